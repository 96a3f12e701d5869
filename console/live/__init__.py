"""What the console pushes: event streams of the message topics, and the tape of all instruments."""
