"""How strange the newest daily bars of an instrument are: an adversarial network, judged beside the autoencoder."""
