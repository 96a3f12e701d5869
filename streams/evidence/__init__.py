"""Archiving what alerts were decided from, and proving alerts from what was archived."""
