"""The sender's side of the outbox: take messages that are due, in order within a lane, and write what became of them.

A lane is a subscription and an instrument: its oldest message that is not done waits, the others are queued behind it.

1. A message is leased: nobody else takes it for a while. If we die here, it is taken again when the lease has run out,
   or when a sink starts, which gives back every lease.
2. It is sent. If we die here, it is sent again under the same id.
3. What became of it is written; where that was the end of it, the next of its lane waits from here on. After that, it
   is not sent again.

What a run of the notify sink did.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
import sqlalchemy as sa

from sinks.notify.outcome import Outcome
from tapewatch.clock import NANOS
from tapewatch.desk.delivery_store import hold_lanes


class Summary(msgspec.Struct, frozen=True):
    """The end of a run.

    alerts : revisions read; inhibited : reached nobody, by the case stage's word; canaries : by their instrument
    planned : messages made; delivered, failed : attempts; dead : messages given up; disabled : subscriptions
    unreadable : records that are no message; retries : how often database or broker failed
    """

    alerts: int
    inhibited: int
    canaries: int
    planned: int
    delivered: int
    failed: int
    dead: int
    disabled: int
    unreadable: int
    retries: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Progress:
    """Now. trouble : why nothing moves, else empty"""

    planned: int
    delivered: int
    failed: int
    trouble: str = ""


@dataclass(slots=True)
class Tally:
    """Counts so far; last_ns : when something last happened, by `elapsed`."""

    counts: Counter[str] = field(default_factory=Counter)
    last_ns: int = 0

    def add(self, elapsed_ns: int, **counts: int) -> None:
        """Count what happened."""
        self.counts.update(counts)
        if any(counts.values()):
            self.last_ns = elapsed_ns

    def progress(self, trouble: str = "") -> Progress:
        """The counts for people."""
        return Progress(self.counts["planned"], self.counts["delivered"], self.counts["failed"], trouble)

    def summary(self, elapsed_ns: int) -> Summary:
        """The counts as plain values."""
        names = [each.name for each in msgspec.structs.fields(Summary) if each.name != "seconds"]
        return Summary(**{name: self.counts[name] for name in names}, seconds=round(elapsed_ns / 1e9, 3))


_DUE = sa.text(
    "SELECT s.id FROM subscriptions s WHERE s.state = 'active' AND s.hold_until_ns <= :now AND EXISTS (SELECT 1 FROM "
    "deliveries d WHERE d.subscription_id = s.id AND d.state = 'waiting' AND d.due_ns <= :now AND d.lease_ns <= :now)"
)
_CLAIM = sa.text(
    "UPDATE deliveries SET lease_ns = :until WHERE message_id IN (SELECT d.message_id FROM deliveries d "
    "WHERE d.subscription_id = :id AND d.state = 'waiting' AND d.due_ns <= :now AND d.lease_ns <= :now "
    "ORDER BY d.seq LIMIT :room FOR UPDATE SKIP LOCKED) RETURNING message_id, seq, subscription_id, instrument, body, "
    "attempts, replays"
)
_DONE = sa.text(
    "UPDATE deliveries SET state = :state, attempts = attempts + 1, status = :status, last_error = :error, "
    "lease_ns = 0, done_ns = :now WHERE message_id = :message AND state = 'waiting' AND replays = :replays"
)
_AGAIN = sa.text(
    "UPDATE deliveries SET attempts = attempts + 1, status = :status, last_error = :error, lease_ns = 0, "
    "due_ns = :due WHERE message_id = :message AND state = 'waiting' AND replays = :replays"
)
_NEXT = sa.text(
    "UPDATE deliveries SET state = 'waiting', due_ns = :now WHERE message_id = (SELECT message_id FROM deliveries "
    "WHERE subscription_id = :id AND instrument = :instrument AND state = 'queued' ORDER BY seq LIMIT 1) AND NOT "
    "EXISTS (SELECT 1 FROM deliveries WHERE subscription_id = :id AND instrument = :instrument AND state = 'waiting')"
)
_WORKS = sa.text("UPDATE subscriptions SET failing_since_ns = 0 WHERE id = ANY(:ids) AND failing_since_ns <> 0")
_FAILS = sa.text(
    "UPDATE subscriptions SET failing_since_ns = CASE failing_since_ns WHEN 0 THEN :now ELSE failing_since_ns END, "
    "hold_until_ns = GREATEST(hold_until_ns, :hold) WHERE id = :id RETURNING failing_since_ns"
)
_DISABLE = sa.text(
    "UPDATE subscriptions SET state = 'disabled', reason = :reason, updated_ns = :now, revision = revision + 1 "
    "WHERE id = :id AND state = 'active'"
)


@dataclass(frozen=True, slots=True)
class ClaimedMessage:
    """A message that is ours to send. attempts : made before; replays : how often it was asked for anew"""

    message_id: str
    seq: int
    subscription_id: str
    instrument: str
    body: str
    attempts: int
    replays: int


@dataclass(frozen=True, slots=True)
class DeliveryAttempt:
    """What became of a message. due_ns : when it is tried again; None where this was the end of it"""

    message: ClaimedMessage
    outcome: Outcome
    due_ns: int | None


def give_back_leases(session: sa.Connection) -> None:
    """What a sink that died had taken is free again. To be called by the one sink there is."""
    session.execute(sa.text("UPDATE deliveries SET lease_ns = 0 WHERE state = 'waiting' AND lease_ns <> 0"))


def due(session: sa.Connection, now_ns: int) -> list[str]:
    """Subscriptions that have messages to send now."""
    return list(session.execute(_DUE, {"now": now_ns}).scalars())


def claim(session: sa.Connection, key: str, room: int, now_ns: int, lease_ns: int) -> list[ClaimedMessage]:
    """Lease `room` messages of a subscription at most, one a lane, oldest first."""
    rows = session.execute(_CLAIM, {"id": key, "room": room, "now": now_ns, "until": now_ns + lease_ns})
    return sorted((ClaimedMessage(*row) for row in rows), key=lambda message: message.seq)


def settle(session: sa.Connection, ended: Sequence[DeliveryAttempt], now_ns: int, disable_after_s: float) -> list[str]:
    """Write what became of messages; the subscriptions that were disabled for it."""
    disabled = []
    hold_lanes(session)
    for one in ended:
        told = {
            "message": one.message.message_id,
            "replays": one.message.replays,
            "status": one.outcome.status,
            "error": one.outcome.error.replace("\0", "?"),
            "now": now_ns,
        }
        if one.due_ns is None:
            session.execute(_DONE, {**told, "state": "delivered" if one.outcome.delivered else "dead"})
            lane = {"id": one.message.subscription_id, "instrument": one.message.instrument, "now": now_ns}
            session.execute(_NEXT, lane)
        else:
            session.execute(_AGAIN, {**told, "due": one.due_ns})
        if not one.outcome.delivered and _failed(session, one, now_ns, disable_after_s):
            disabled.append(one.message.subscription_id)
    works = sorted({one.message.subscription_id for one in ended if one.outcome.delivered})
    if works:
        session.execute(_WORKS, {"ids": works})
    return disabled


def _failed(session: sa.Connection, one: DeliveryAttempt, now_ns: int, disable_after_s: float) -> bool:
    """Note a failure with its subscription; whether it was disabled for it."""
    hold = now_ns + int(one.outcome.retry_after_s * NANOS) if one.outcome.retry_after_s else 0
    since = session.execute(_FAILS, {"id": one.message.subscription_id, "now": now_ns, "hold": hold}).scalar()
    reason = ""
    if one.outcome.gone:
        reason = "the receiver answered 410 Gone: it wants no more"
    elif since is not None and now_ns - since >= disable_after_s * NANOS:
        reason = f"nothing got through for {disable_after_s / 3600:g} hours; last: {one.outcome.error}"
    return bool(reason) and disable(session, one.message.subscription_id, reason, now_ns)


def disable(session: sa.Connection, key: str, reason: str, now_ns: int) -> bool:
    """Disable a subscription with a reason; False where it was not active."""
    done = session.execute(_DISABLE, {"id": key, "reason": reason.replace("\0", "?"), "now": now_ns})
    return bool(done.rowcount)


def forget(session: sa.Connection, before_ns: int) -> int:
    """Drop deliveries that got through before then, and what the case stage said before then; how many deliveries."""
    gone = sa.text("DELETE FROM deliveries WHERE state IN ('delivered', 'folded') AND done_ns < :before")
    dropped = session.execute(gone, {"before": before_ns}).rowcount
    session.execute(sa.text("DELETE FROM notify_verdicts WHERE updated_ns < :before"), {"before": before_ns})
    return int(dropped)
