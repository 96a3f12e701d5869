"""Deliveries to subscribers: alerts into an outbox in PostgreSQL, from there to webhooks, mail and chat."""

from sinks.notify.outbox import Progress, Summary
from sinks.notify.service import NotifySink

__all__ = ["NotifySink", "Progress", "Summary"]
