"""Subscriptions and their secrets in PostgreSQL, for the sink, the command line and the console.

Every function works in the transaction of the session it is given. Times are UTC nanoseconds.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from tapewatch.contract.message import stable_id
from tapewatch.desk.subscriptions import (
    Filter,
    Kind,
    Name,
    Pace,
    Subscription,
    Target,
    check_target,
    new_secret,
    shown_target,
    zone_named,
)
from tapewatch.errors import TapewatchError
from tapewatch.security.secret_box import SecretBox

_COLUMNS = (
    "id, name, kind, target, filter, pace, entitled, state, reason, created_ns, created_by, updated_ns, "
    "failing_since_ns, hold_until_ns, revision"
)


class NewSubscription(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody asks for. target : the whole address, with its credentials."""

    name: Name
    kind: Kind
    target: Target
    filter: Filter = Filter()
    pace: Pace = Pace()


def listed(session: sa.Connection) -> list[Subscription]:
    """Every subscription, by name."""
    return [_read(row) for row in session.execute(sa.text(f"SELECT {_COLUMNS} FROM subscriptions ORDER BY name"))]  # noqa: S608 - constants


def one(session: sa.Connection, key: str) -> Subscription:
    """The subscription of this id or name; TapewatchError where there is none."""
    query = f"SELECT {_COLUMNS} FROM subscriptions WHERE id = :key OR name = :key ORDER BY id <> :key LIMIT 1"  # noqa: S608 - constants
    row = session.execute(sa.text(query), {"key": key.replace("\0", "?")}).first()
    if row is None:
        raise TapewatchError(f"there is no subscription {key[:100]!r}", "See `tapewatch subscriptions list`.")
    return _read(row)


def add(
    session: sa.Connection,
    box: SecretBox,
    new: NewSubscription,
    who: str,
    now_ns: int,
    entitled: Sequence[str] = ("*",),
) -> tuple[Subscription, str]:
    """Keep a new subscription; it and its webhook secret (empty for other kinds), which nothing shows again.

    entitled : patterns of the instruments that `who` may see
    TapewatchError where the name is taken or the address is none of its kind.
    """
    _check(new)
    key = stable_id("subscription", new.name, who, now_ns)
    inserted = session.execute(
        sa.text(
            "INSERT INTO subscriptions (id, name, kind, target, sealed_target, filter, pace, entitled, state, "
            "created_ns, created_by, updated_ns) VALUES (:id, :name, :kind, :target, :sealed, :filter, :pace, "
            ":entitled, 'active', :now, :who, :now) ON CONFLICT DO NOTHING"
        ),
        {
            "id": key,
            "name": new.name,
            "kind": new.kind,
            "target": shown_target(new.kind, new.target),
            "sealed": box.seal(new.target),
            "filter": _json(new.filter),
            "pace": _json(new.pace),
            "entitled": _json(list(entitled)),
            "now": now_ns,
            "who": who,
        },
    )
    if inserted.rowcount != 1:
        raise TapewatchError(f"there is a subscription {new.name!r} already", "Choose another name.")
    secret = ""
    if new.kind == "webhook":
        secret = new_secret()
        _keep_secret(session, box, key, secret, now_ns)
    return one(session, key), secret


def edit(
    session: sa.Connection,
    box: SecretBox,
    key: str,
    now_ns: int,
    *,
    name: str | None = None,
    target: str | None = None,
    filter: Filter | None = None,
    pace: Pace | None = None,
) -> Subscription:
    """Change what is given; TapewatchError as `add`. The kind stays. What is waiting goes to the new address."""
    old = one(session, key)
    fresh = NewSubscription(
        name=name or old.name,
        kind=old.kind,
        target=target or box.open(_sealed_target(session, old.id)),
        filter=filter or old.filter,
        pace=pace or old.pace,
    )
    _check(fresh)
    taken = sa.text("SELECT 1 FROM subscriptions WHERE name = :name AND id <> :id")
    if session.execute(taken, {"name": fresh.name, "id": old.id}).first() is not None:
        raise TapewatchError(f"there is a subscription {fresh.name!r} already", "Choose another name.")
    session.execute(
        sa.text(
            "UPDATE subscriptions SET name = :name, target = :target, sealed_target = :sealed, filter = :filter, "
            "pace = :pace, updated_ns = :now, revision = revision + 1 WHERE id = :id"
        ),
        {
            "id": old.id,
            "name": fresh.name,
            "target": shown_target(fresh.kind, fresh.target),
            "sealed": box.seal(fresh.target),
            "filter": _json(fresh.filter),
            "pace": _json(fresh.pace),
            "now": now_ns,
        },
    )
    return one(session, old.id)


def disable(session: sa.Connection, key: str, reason: str, now_ns: int) -> Subscription:
    """Send nothing more, and keep nothing new for it. What waits is sent once it is enabled again."""
    return _switch(session, key, "disabled", reason, now_ns)


def enable(session: sa.Connection, key: str, now_ns: int) -> Subscription:
    """Send again, what waits at once."""
    switched = _switch(session, key, "active", "", now_ns)
    due = "UPDATE deliveries SET due_ns = LEAST(due_ns, :now) WHERE subscription_id = :id AND state = 'waiting'"
    session.execute(sa.text(due), {"id": switched.id, "now": now_ns})
    return switched


def disable_all_of(session: sa.Connection, who: str, reason: str, now_ns: int) -> int:
    """Send nothing more for any subscription that `who` made; how many were active."""
    return session.execute(
        sa.text(
            "UPDATE subscriptions SET state = 'disabled', reason = :reason, failing_since_ns = 0, hold_until_ns = 0, "
            "updated_ns = :now, revision = revision + 1 WHERE created_by = :who AND state = 'active'"
        ),
        {"who": who, "reason": reason, "now": now_ns},
    ).rowcount


def _switch(session: sa.Connection, key: str, state: str, reason: str, now_ns: int) -> Subscription:
    """Another state; a receiver that failed gets a new start."""
    found = one(session, key)
    session.execute(
        sa.text(
            "UPDATE subscriptions SET state = :state, reason = :reason, failing_since_ns = 0, hold_until_ns = 0, "
            "updated_ns = :now, revision = revision + 1 WHERE id = :id"
        ),
        {"id": found.id, "state": state, "reason": reason.replace("\0", "?")[:1000], "now": now_ns},
    )
    return one(session, found.id)


def rotate(session: sa.Connection, box: SecretBox, key: str, overlap_ns: int, now_ns: int) -> str:
    """A new webhook secret, shown this once; the one before still signs for `overlap_ns`."""
    found = one(session, key)
    if found.kind != "webhook":
        raise TapewatchError(f"{found.name} has no webhook secret", "Edit its address instead.")
    session.execute(
        sa.text(
            "UPDATE subscription_secrets SET expires_ns = :then WHERE subscription_id = :id AND expires_ns IS NULL"
        ),
        {"id": found.id, "then": now_ns + overlap_ns},
    )
    session.execute(
        sa.text("DELETE FROM subscription_secrets WHERE subscription_id = :id AND expires_ns <= :now"),
        {"id": found.id, "now": now_ns},
    )
    secret = new_secret()
    _keep_secret(session, box, found.id, secret, now_ns)
    return secret


def address(session: sa.Connection, box: SecretBox, key: str) -> str:
    """The whole address of the subscription of this id, with its credentials: for sending, never for showing."""
    return box.open(_sealed_target(session, key))


def signing_secrets(session: sa.Connection, box: SecretBox, key: str, now_ns: int) -> list[str]:
    """The secrets that sign for the subscription of this id now, newest first."""
    query = (
        "SELECT sealed FROM subscription_secrets WHERE subscription_id = :id AND (expires_ns IS NULL OR "
        "expires_ns > :now) ORDER BY expires_ns IS NOT NULL, created_ns DESC"
    )
    return [box.open(sealed) for (sealed,) in session.execute(sa.text(query), {"id": key, "now": now_ns})]


def _check(new: NewSubscription) -> None:
    """TapewatchError where it cannot work."""
    check_target(new.kind, new.target)
    if new.pace.quiet is not None:
        zone_named(new.pace.quiet.zone)


def _keep_secret(session: sa.Connection, box: SecretBox, key: str, secret: str, now_ns: int) -> None:
    session.execute(
        sa.text("INSERT INTO subscription_secrets (subscription_id, sealed, created_ns) VALUES (:id, :sealed, :now)"),
        {"id": key, "sealed": box.seal(secret), "now": now_ns},
    )


def _sealed_target(session: sa.Connection, key: str) -> bytes:
    query = sa.text("SELECT sealed_target FROM subscriptions WHERE id = :id")
    return bytes(session.execute(query, {"id": key}).scalar_one())


def _json(value: Any) -> str:
    return msgspec.json.encode(value, order="deterministic").decode()


def _read(row: sa.Row[Any]) -> Subscription:
    """A row of `subscriptions`."""
    columns = dict(row._mapping)
    columns["filter"] = msgspec.json.decode(columns["filter"], type=Filter)
    columns["pace"] = msgspec.json.decode(columns["pace"], type=Pace)
    columns["entitled"] = tuple(msgspec.json.decode(columns["entitled"], type=list[str]))
    return Subscription(**columns)
