"""The embedded stack: real Apache Kafka and PostgreSQL below one data folder, without containers or configuration."""

from infra.embedded.jars import Report, shown, silent
from infra.embedded.lifecycle import running, session, start, stop

__all__ = ["Report", "running", "session", "shown", "silent", "start", "stop"]
