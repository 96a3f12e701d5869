"""The PostgreSQL sink: COPY, merge and offsets in one database transaction."""

from sinks.postgres.sink import PostgresSink
from sinks.postgres.summary import Progress, Summary

__all__ = ["PostgresSink", "Progress", "Summary"]
