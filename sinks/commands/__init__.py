"""Commands of the sinks."""
