"""Every figure the README claims, each one command."""
