"""Commands of the producers."""
