"""What an alert means for a subscription: nothing, a message of its own, or a line of a digest. Pure functions."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from tapewatch.canaries import Canary
from tapewatch.clock import NANOS
from tapewatch.delivery_store import message_id
from tapewatch.messages import Alert
from tapewatch.rfc3339 import to_rfc3339
from tapewatch.subscriptions import Subscription

HOUR_NS = 3600 * NANOS
DIGEST_ALERTS = 200
"""Alerts of one digest at most; more become several."""
TYPES = {"open": "alert.opened", "update": "alert.updated", "closed": "alert.closed"}
Gathered = Literal["", "digest", "quiet_hours", "rate_limit"]


@dataclass(frozen=True, slots=True)
class PlannedDelivery:
    """A message for the outbox. gathered : why it waits for a digest, until due_ns; empty for one of its own."""

    message_id: str
    type: str
    body: str
    gathered: Gathered
    due_ns: int


def placed(subscription: Subscription, alert: Alert, sent_this_hour: int, now_ns: int) -> PlannedDelivery | None:
    """Where the alert goes; None where the subscription is not for it.

    sent_this_hour : messages of their own that the subscription got in this clock hour
    """
    if not subscription.takes(alert):
        return None
    gathered, due_ns = _gathered(subscription, alert, sent_this_hour, now_ns)
    key = message_id(subscription.id, alert.id, alert.revision)
    return PlannedDelivery(key, TYPES[alert.state], alert_body(alert), gathered, due_ns)


def operation(subscription: Subscription, canary: Canary, now_ns: int) -> PlannedDelivery | None:
    """The message about a canary; None where the subscription is not for it, or there is nothing to tell.

    Pace is for alerts: the operator hears of a missed canary at once, in quiet hours too.
    """
    kind = operation_type(canary)
    if not kind or not subscription.hears_operation(canary.instrument):
        return None
    key = message_id(subscription.id, canary.id, canary.revision)
    return PlannedDelivery(key, kind, _json({"type": kind, "timestamp": canary.at, "data": canary}), "", now_ns)


def operation_type(canary: Canary) -> str:
    """What a revision means for the operator; empty where nothing is wrong and nothing was."""
    if canary.state in ("missed", "late"):
        return f"canary.{canary.state}"
    if canary.state != "found":
        return ""
    if canary.absent:
        return "canary.unstored"
    return "canary.recovered" if canary.in_a_row else ""


def _gathered(subscription: Subscription, alert: Alert, sent_this_hour: int, now_ns: int) -> tuple[Gathered, int]:
    """Why and until when it waits for a digest."""
    pace = subscription.pace
    if pace.quiet is not None and not pace.quiet.lets_through(alert.severity) and (ends := pace.quiet.until(now_ns)):
        return "quiet_hours", ends
    if pace.digest_minutes:
        return "digest", next_edge(now_ns, pace.digest_minutes * 60 * NANOS)
    if pace.per_hour and sent_this_hour >= pace.per_hour:
        return "rate_limit", next_edge(now_ns, HOUR_NS)
    return "", now_ns


def next_edge(now_ns: int, step_ns: int) -> int:
    """The end of the step of the clock that `now_ns` lies in."""
    return now_ns - now_ns % step_ns + step_ns


def alert_body(alert: Alert) -> str:
    """The JSON body of a message about one alert."""
    return _json({"type": TYPES[alert.state], "timestamp": alert.updated, "data": alert})


class _AlertBody(msgspec.Struct, frozen=True):
    """The body of a message about one alert."""

    data: Alert


def digest(
    subscription_id: str, gathered: Gathered, members: Sequence[tuple[str, str]], now_ns: int
) -> PlannedDelivery:
    """One message in place of several.

    members : message id and body of each, in order
    A digest and what came in quiet hours hold the alerts whole; beyond the rate limit they are counted and named.
    """
    alerts = [msgspec.json.decode(body, type=_AlertBody).data for _, body in members]
    kind = "alerts.overflow" if gathered == "rate_limit" else "alerts.digest"
    data = {
        "reason": gathered,
        "count": len(alerts),
        "by_scenario": Counter(alert.scenario for alert in alerts),
        "by_severity": Counter(alert.severity for alert in alerts),
        "alerts": [_named(alert) for alert in alerts] if gathered == "rate_limit" else alerts,
    }
    key = message_id(subscription_id, "digest", *(member for member, _ in members))
    return PlannedDelivery(key, kind, _json({"type": kind, "timestamp": to_rfc3339(now_ns), "data": data}), "", now_ns)


def _named(alert: Alert) -> dict[str, object]:
    """What names an alert."""
    fields = ("id", "revision", "scenario", "instrument", "severity", "state", "updated")
    return {field: getattr(alert, field) for field in fields}


def _json(value: object) -> str:
    return msgspec.json.encode(value, order="deterministic").decode()
