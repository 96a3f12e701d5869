"""Deliveries to subscribers: alerts into an outbox in PostgreSQL, from there to webhooks, mail and chat."""

from sinks.notify.service import NotifySink
from sinks.notify.summary import Progress, Summary

__all__ = ["NotifySink", "Progress", "Summary"]
