"""Subcommands of `tapewatch` about the console."""
