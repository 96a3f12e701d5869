"""Isolation forest: how few random cuts set a row apart from all others."""
