"""Deliveries in PostgreSQL: what was sent, and what is sent again, for the command line and the console.

Every function works in the transaction of the session it is given. Times are UTC nanoseconds.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec
import sqlalchemy as sa

from tapewatch.contract.message import stable_id
from tapewatch.desk.subscription_store import one
from tapewatch.desk.subscriptions import Subscription
from tapewatch.errors import TapewatchError
from tapewatch.rfc3339 import to_rfc3339

DeliveryState = Literal["gathering", "folded", "queued", "waiting", "delivered", "dead"]
DELIVERY_STATES: tuple[DeliveryState, ...] = ("gathering", "folded", "queued", "waiting", "delivered", "dead")
"""gathering, folded : for a digest, into one; queued : behind an earlier message of its lane, a subscription and an
instrument; waiting : the one of its lane to be sent; delivered, dead : the end."""

_LANES = sa.text("SELECT pg_advisory_xact_lock(7236006)")
_PROMOTE = sa.text(
    "UPDATE deliveries SET state = 'waiting', due_ns = :now WHERE message_id IN (SELECT DISTINCT ON (d.instrument) "
    "d.message_id FROM deliveries d WHERE d.subscription_id = :id AND d.state = 'queued' AND NOT EXISTS (SELECT 1 FROM "
    "deliveries e WHERE e.subscription_id = d.subscription_id AND e.instrument = d.instrument AND e.state = 'waiting') "
    "ORDER BY d.instrument, d.seq)"
)
_LAST_NS = 2**63 - 1


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One message to one subscription. gathered : why it waits for a digest; folded_into : the digest it went into."""

    message_id: str
    seq: int
    subscription_id: str
    instrument: str
    alert_id: str
    revision: int
    type: str
    state: str
    gathered: str
    folded_into: str
    due_ns: int
    created_ns: int
    done_ns: int
    attempts: int
    replays: int
    status: int
    last_error: str


_DELIVERY = ", ".join(field.name for field in msgspec.structs.fields(Delivery))


class DeliveryFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which deliveries to show: newest first, `before` this number (0: from the newest), `limit` at most.

    subscriptions : ids of those whose deliveries to show
    """

    subscriptions: tuple[str, ...]
    state: DeliveryState | Literal[""] = ""
    before: int = 0
    limit: int = 100


def hold_lanes(session: sa.Connection) -> None:
    """Nobody else puts messages into lanes or takes one off until the transaction ends.

    So a lane with queued messages always has a waiting one: whoever ends that one sees what is behind it.
    """
    session.execute(_LANES)


def message_id(*parts: str | int) -> str:
    """The id of a message to a subscription: the same however often it is made."""
    return "msg_" + stable_id(*parts)


def deliveries(session: sa.Connection, wanted: DeliveryFilter) -> list[Delivery]:
    """Deliveries, newest first."""
    conditions = ["(:before = 0 OR seq < :before)", "subscription_id = ANY(:subscriptions)"]
    conditions += ["state = :state"] if wanted.state else []
    query = f"SELECT {_DELIVERY} FROM deliveries WHERE {' AND '.join(conditions)} ORDER BY seq DESC LIMIT :limit"  # noqa: S608 - constants
    rows = session.execute(sa.text(query), {**msgspec.structs.asdict(wanted), "subscriptions": [*wanted.subscriptions]})
    return [Delivery(**row._mapping) for row in rows]


def counts(session: sa.Connection) -> dict[str, dict[str, int]]:
    """How many deliveries each subscription has in each state."""
    found: dict[str, dict[str, int]] = {}
    query = "SELECT subscription_id, state, count(*) FROM deliveries GROUP BY 1, 2"
    for key, state, count in session.execute(sa.text(query)):
        found.setdefault(key, {})[state] = int(count)
    return found


def replay(
    session: sa.Connection,
    key: str,
    since_ns: int,
    until_ns: int,
    now_ns: int,
    states: Sequence[str] = ("delivered", "dead"),
) -> int:
    """Send again what was made from `since_ns` to `until_ns` (exclusive), under the same message ids; how many.

    TapewatchError where the subscription is disabled.
    """
    found = _active(session, key)
    hold_lanes(session)
    done = session.execute(
        sa.text(
            "UPDATE deliveries SET state = 'queued', due_ns = :now, lease_ns = 0, attempts = 0, done_ns = 0, "
            "status = 0, last_error = '', replays = replays + 1 WHERE subscription_id = :id AND state = ANY(:states) "
            "AND created_ns >= :since AND created_ns < :until"
        ),
        {
            "id": found.id,
            "states": list(states),
            "since": min(since_ns, _LAST_NS),
            "until": min(until_ns, _LAST_NS),
            "now": now_ns,
        },
    )
    session.execute(_PROMOTE, {"id": found.id, "now": now_ns})
    return int(done.rowcount)


def send_test(session: sa.Connection, key: str, who: str, now_ns: int) -> str:
    """Put a test message into the outbox; its id. It goes past filters, quiet hours and limits."""
    found = _active(session, key)
    fresh = message_id(found.id, "test", now_ns)
    told = {"message": f"A test of the subscription {found.name}.", "by": who}
    message = {"type": "subscription.test", "timestamp": to_rfc3339(now_ns), "data": told}
    body = msgspec.json.encode(message, order="deterministic").decode()
    hold_lanes(session)
    session.execute(
        sa.text(
            "INSERT INTO deliveries (message_id, subscription_id, type, body, state, due_ns, created_ns) VALUES "
            "(:message, :id, 'subscription.test', :body, 'queued', :now, :now) ON CONFLICT DO NOTHING"
        ),
        {"message": fresh, "id": found.id, "body": body, "now": now_ns},
    )
    session.execute(_PROMOTE, {"id": found.id, "now": now_ns})
    return fresh


def _active(session: sa.Connection, key: str) -> Subscription:
    """The subscription; TapewatchError where it is disabled."""
    found = one(session, key)
    if found.state != "active":
        raise TapewatchError(f"{found.name} is disabled", "Enable it first: `tapewatch subscriptions enable`.")
    return found
