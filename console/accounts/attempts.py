"""Guessing passwords is slow: logins are counted before the password is looked at, and locks grow with each failure.

Names that do not exist are counted as others are, so that a lock tells nothing about which accounts there are.
"""

import hashlib

import sqlalchemy as sa

from tapewatch.clock import NANOS

FREE = {"account": 5, "address": 25}
"""Failures in a row before the first lock."""

FIRST_S, LONGEST_S = 15, 900
"""The first lock; each further failure doubles it."""

_FORGOTTEN_NS = 24 * 3600 * NANOS
_COUNT = """
INSERT INTO login_attempts AS a VALUES (:key, 1, :now, 0) ON CONFLICT (key) DO UPDATE SET
    failures = CASE WHEN a.last_ns < :forgotten THEN 1 ELSE a.failures + 1 END, last_ns = :now
RETURNING failures, locked_ns
"""


class LockedError(Exception):
    """Too many failures. seconds : until the next try, in whole ones that are enough"""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"locked for {seconds} s")
        self.seconds = seconds


def count(session: sa.Connection, name: str, address: str, now: int) -> None:
    """Count a login as failed before it is tried; LockedError (and nothing counted) while a lock lasts."""
    locked_ns = now
    for kind, value in (("address", address), ("account", name)):
        key = _key(kind, value)
        row = session.execute(sa.text(_COUNT), {"key": key, "now": now, "forgotten": now - _FORGOTTEN_NS}).one()
        locked_ns = max(locked_ns, row.locked_ns)
        if row.failures >= FREE[kind]:
            wait = min(LONGEST_S, FIRST_S * 2 ** min(row.failures - FREE[kind], 20))
            session.execute(
                sa.text("UPDATE login_attempts SET locked_ns = :until WHERE key = :key"),
                {"until": now + wait * NANOS, "key": key},
            )
    if locked_ns > now:
        # The caller's transaction ends with this, and what was counted above is undone.
        raise LockedError(-((now - locked_ns) // NANOS))


def forgive(session: sa.Connection, name: str, address: str, now: int) -> None:
    """The login was good: the account begins anew, the address gets this one back."""
    session.execute(
        sa.text("DELETE FROM login_attempts WHERE key = :key OR last_ns < :forgotten"),
        {"key": _key("account", name), "forgotten": now - _FORGOTTEN_NS},
    )
    session.execute(
        sa.text("UPDATE login_attempts SET failures = greatest(failures - 1, 0), locked_ns = 0 WHERE key = :key"),
        {"key": _key("address", address)},
    )


def _key(kind: str, value: str) -> str:
    """Hashed: a password typed into the name's field must not lie in the table."""
    return hashlib.sha256(f"{kind}|{value.lower()}".encode()).hexdigest()
