"""What `tapewatch doctor` looks at on the machine and in PostgreSQL."""
