"""Pure functions and models: no Kafka, no clock, no input or output."""
