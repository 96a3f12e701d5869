"""Mutants: small wrong changes of the core, and whether a test notices each of them (docs/mutants.md)."""
