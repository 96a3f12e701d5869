"""Parsers of recordings: each yields chunks of contract rows in receipt order."""
