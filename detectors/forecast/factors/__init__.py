"""Factors: technical indicators, ranks and outside series, one definition for batch and stream, minute and day."""
