"""A second verifier, by the documentation of topics and stores alone: it imports nothing of ours."""
