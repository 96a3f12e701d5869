"""From topics to the outbox: alerts and the case stage's word in one transaction with the offsets, then their messages.

An alert waits in the inbox until the case stage has said whether it is inhibited, or its time is up. Alerts of one
instrument leave it in their order.

What an alert means for a subscription: nothing, a message of its own, or a line of a digest. Pure functions.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec
import sqlalchemy as sa

from tapewatch.clock import NANOS
from tapewatch.contract.canaries import Canary
from tapewatch.contract.messages import Alert, Case, decode, encode
from tapewatch.desk.delivery_store import hold_lanes, message_id
from tapewatch.desk.subscription_store import listed
from tapewatch.desk.subscriptions import Subscription
from tapewatch.rfc3339 import to_rfc3339

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


AT_ONCE = 200
_TAKE = sa.text(
    "INSERT INTO notify_inbox (alert_id, instrument, revision, body, recorded_ns, deadline_ns) VALUES "
    "(:alert, :instrument, :revision, :body, :recorded, :deadline)"
)
_HEAR = sa.text(
    "INSERT INTO notify_verdicts (alert_id, revision, inhibited, updated_ns) VALUES (:alert, :revision, :inhibited, "
    ":now) ON CONFLICT (alert_id) DO UPDATE SET revision = EXCLUDED.revision, inhibited = EXCLUDED.inhibited, "
    "updated_ns = EXCLUDED.updated_ns WHERE notify_verdicts.revision <= EXCLUDED.revision"
)
_REACHED = sa.text(
    "INSERT INTO notify_offsets (topic, partition, next_offset, topic_id) VALUES (:topic, :partition, :next, :id) "
    "ON CONFLICT (topic, partition) DO UPDATE SET next_offset = EXCLUDED.next_offset, topic_id = EXCLUDED.topic_id"
)
_WAITING = sa.text(
    "SELECT i.seq, i.instrument, i.body, i.recorded_ns, i.deadline_ns <= :now OR COALESCE(v.revision, -1) >= "
    "i.revision AS ready, COALESCE(v.inhibited, '') FROM notify_inbox i LEFT JOIN notify_verdicts v USING (alert_id) "
    "ORDER BY i.seq LIMIT :limit"
)
_PLACE = sa.text(
    "INSERT INTO deliveries (message_id, subscription_id, instrument, alert_id, revision, type, body, gathered, "
    "due_ns, created_ns, state) VALUES (:message, :id, :instrument, :alert, :revision, :type, :body, :gathered, :due, "
    ":now, CASE WHEN :gathered <> '' THEN 'gathering' "
    "WHEN EXISTS (SELECT 1 FROM deliveries WHERE subscription_id = :id AND instrument = :instrument "
    "AND state IN ('queued', 'waiting')) THEN 'queued' ELSE 'waiting' END) ON CONFLICT (message_id) DO NOTHING"
)
_THIS_HOUR = sa.text(
    "SELECT count(*) FROM deliveries WHERE subscription_id = :id AND created_ns >= :hour AND gathered = '' "
    "AND alert_id <> ''"
)
_GATHERED = sa.text(
    "SELECT subscription_id, gathered, message_id, body FROM deliveries WHERE state = 'gathering' AND due_ns <= :now "
    "ORDER BY subscription_id, gathered, seq"
)
_LATER = sa.text(
    "UPDATE deliveries SET due_ns = :due WHERE state = 'gathering' AND subscription_id = :id AND due_ns <= :now"
)
_FOLD = sa.text(
    "UPDATE deliveries SET state = 'folded', folded_into = :into, done_ns = :now WHERE message_id = ANY(:members)"
)

Log = tuple[str, int]


@dataclass(slots=True)
class InboxBatch:
    """What one transaction takes up. alerts, canaries : with their record's time, UTC ns; offsets : next, by log;
    topic_ids : of the topics that are read.
    """

    alerts: list[tuple[Alert, int]] = field(default_factory=list)
    cases: list[Case] = field(default_factory=list)
    canaries: list[tuple[Canary, int]] = field(default_factory=list)
    offsets: dict[Log, int] = field(default_factory=dict)
    topic_ids: Mapping[str, str] = field(default_factory=dict)


def topic_ids(session: sa.Connection) -> dict[str, str]:
    """Ids of the topics that were read, as far as they are known."""
    rows = session.execute(sa.text("SELECT DISTINCT topic, topic_id FROM notify_offsets WHERE topic_id <> ''"))
    return {row.topic: row.topic_id for row in rows}


def offsets(session: sa.Connection) -> dict[Log, int]:
    """How far each log was read."""
    rows = session.execute(sa.text("SELECT topic, partition, next_offset FROM notify_offsets"))
    return {(topic, partition): int(offset) for topic, partition, offset in rows}


def take(session: sa.Connection, taken: InboxBatch, now_ns: int, wait_ns: int) -> None:
    """Keep alerts, the case stage's word and offsets. wait_ns : how long an alert waits for that word"""
    rows = [
        {
            "alert": alert.id,
            "instrument": alert.instrument.replace("\0", "?"),
            "revision": alert.revision,
            "body": encode(alert).decode(),
            "recorded": recorded,
            "deadline": now_ns + wait_ns,
        }
        for alert, recorded in taken.alerts
    ]
    heard = [
        {"alert": one.id, "revision": one.revision, "inhibited": one.inhibited.replace("\0", "?"), "now": now_ns}
        for case in taken.cases
        for one in case.alerts
    ]
    reached = [
        {"topic": log[0], "partition": log[1], "next": offset, "id": taken.topic_ids.get(log[0], "")}
        for log, offset in taken.offsets.items()
    ]
    for statement, values in ((_TAKE, rows), (_HEAR, heard), (_REACHED, reached)):
        if values:
            session.execute(statement, values)
    told = [(canary, recorded) for canary, recorded in taken.canaries if operation_type(canary)]
    if told:
        _tell_operator(session, told, now_ns)


def _tell_operator(session: sa.Connection, canaries: Sequence[tuple[Canary, int]], now_ns: int) -> None:
    """Messages about canaries, at once, for the subscriptions that are about our own working."""
    hold_lanes(session)
    for subscription in listed(session):
        for canary, recorded_ns in canaries:
            if recorded_ns >= subscription.created_ns - NANOS // 1000:
                found = operation(subscription, canary, now_ns)
                if found is not None:
                    _insert(session, subscription.id, found, now_ns)


def plan(session: sa.Connection, now_ns: int) -> tuple[int, int]:
    """Turn alerts that need wait no longer into messages; how many messages, and how many alerts were inhibited."""
    waiting = session.execute(_WAITING, {"now": now_ns, "limit": AT_ONCE}).all()
    if not waiting:
        return 0, 0
    hold_lanes(session)
    places = [Place(session, each, now_ns) for each in listed(session) if each.state == "active"]
    held: set[str] = set()
    done, made, inhibited = [], 0, 0
    for seq, instrument, body, recorded_ns, ready, why in waiting:
        if not ready or instrument in held:
            held.add(instrument)
            continue
        done.append(seq)
        if why:
            inhibited += 1
            continue
        alert = decode(Alert, body.encode())
        made += sum(place.put(alert, recorded_ns) for place in places)
    session.execute(sa.text("DELETE FROM notify_inbox WHERE seq = ANY(:done)"), {"done": done})
    return made, inhibited


class Place:
    """Puts alerts into the outbox for one subscription, counting those of the hour."""

    def __init__(self, session: sa.Connection, subscription: Subscription, now_ns: int) -> None:
        self._session, self._subscription, self._now = session, subscription, now_ns
        self._sent = 0
        if subscription.pace.per_hour:
            hour = {"id": subscription.id, "hour": now_ns - now_ns % HOUR_NS}
            self._sent = int(session.execute(_THIS_HOUR, hour).scalar_one())

    def put(self, alert: Alert, recorded_ns: int) -> int:
        """1 where a message was made; 0 where the alert is not for the subscription, or the message is there."""
        # A subscription gets what is recorded from its beginning on, to the broker's milliseconds.
        if recorded_ns < self._subscription.created_ns - NANOS // 1000:
            return 0
        found = placed(self._subscription, alert, self._sent, self._now)
        if found is None or not _insert(self._session, self._subscription.id, found, self._now, alert):
            return 0
        self._sent += not found.gathered
        return 1


def fold(session: sa.Connection, now_ns: int) -> int:
    """Make digests of what was gathered until now; how many. Those of a disabled subscription wait."""
    groups: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for key, gathered, message, body in session.execute(_GATHERED, {"now": now_ns}):
        groups.setdefault((key, gathered), []).append((message, body))
    if not groups:
        return 0
    hold_lanes(session)
    subscriptions = {each.id: each for each in listed(session)}
    made = 0
    for (key, gathered), members in groups.items():
        subscription = subscriptions[key]
        quiet = subscription.pace.quiet
        ends = quiet.until(now_ns) if quiet is not None else 0
        if subscription.state != "active" or ends:
            session.execute(_LATER, {"id": key, "now": now_ns, "due": max(ends, now_ns + 60 * NANOS)})
            continue
        for start in range(0, len(members), DIGEST_ALERTS):
            made += _fold_one(session, key, gathered, members[start : start + DIGEST_ALERTS], now_ns)
    return made


def _fold_one(session: sa.Connection, key: str, gathered: str, members: Sequence[tuple[str, str]], now_ns: int) -> int:
    """One digest in place of its members."""
    whole = digest(key, msgspec.convert(gathered, Gathered), members, now_ns)
    made = _insert(session, key, whole, now_ns)
    told = {"into": whole.message_id, "members": [message for message, _ in members], "now": now_ns}
    session.execute(_FOLD, told)
    return made


def _insert(session: sa.Connection, key: str, found: PlannedDelivery, now_ns: int, alert: Alert | None = None) -> int:
    """Put a message into the outbox unless it is there; how many."""
    values = {
        "message": found.message_id,
        "id": key,
        "instrument": alert.instrument.replace("\0", "?") if alert else "",
        "alert": alert.id if alert else "",
        "revision": alert.revision if alert else 0,
        "type": found.type,
        "body": found.body,
        "gathered": found.gathered,
        "due": found.due_ns,
        "now": now_ns,
    }
    return int(session.execute(_PLACE, values).rowcount)
