"""A feed goes on in a new topic of another number of partitions: see docs/rescale.md for the protocol."""
