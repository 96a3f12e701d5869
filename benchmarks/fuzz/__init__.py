"""Fuzzing: everything that reads bytes of strangers, under mutated and coverage-guided inputs (docs/fuzzing.md)."""
