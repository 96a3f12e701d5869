"""What `tapewatch doctor` looks at in Kafka, and of the models: what the engine's guarantees rest on."""
