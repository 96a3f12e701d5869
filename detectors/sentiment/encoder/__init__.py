"""A small pretrained transformer, fine-tuned on labelled texts: a local folder, offline, weights in safetensors."""
