"""What every part of tapewatch shares: contract, topics, settings, clock, instruments, audit log, command line."""

__version__ = "0.1.0"
