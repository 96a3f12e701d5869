"""Venue simulators: REST exchanges on the loopback that check what a real one checks, and fail as real ones do."""
