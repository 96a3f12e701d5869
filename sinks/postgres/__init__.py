"""The PostgreSQL sink: COPY, merge and offsets in one database transaction."""

from sinks.postgres.sink import PostgresSink, Progress, Summary

__all__ = ["PostgresSink", "Progress", "Summary"]
