"""What tapewatch runs on: the embedded stack, its commands, database migrations."""
