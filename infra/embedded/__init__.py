"""The embedded stack: real Apache Kafka and PostgreSQL below one data folder, without containers or configuration."""

from infra.embedded.lifecycle import running, session, start, stop
from infra.embedded.progress import Report, shown, silent

__all__ = ["Report", "running", "session", "shown", "silent", "start", "stop"]
