"""Sessions of people: a random cookie, kept as hash; they end by idleness, by age, and at the next login."""

import hashlib
import hmac
import secrets

import msgspec
import sqlalchemy as sa

from console.identity import Account
from tapewatch.clock import NANOS

TOUCH_NS = 60 * NANOS
"""How old the last sight of a session may be before it is written anew, where a sixtieth of its idle time is longer."""

_RIGHTS = """a.name, a.role, coalesce(a.instruments, seats.instruments) AS instruments,
    coalesce(a.pages, seats.pages) AS pages"""
_FIND = f"""
SELECT {_RIGHTS}, s.seen_ns, s.id FROM sessions s JOIN accounts a ON a.name = s.account
JOIN seats ON seats.role = a.role WHERE s.id = :id AND NOT a.disabled AND s.expires_ns > :now AND s.seen_ns > :idle
"""  # noqa: S608 - of constants alone
RIGHTS_OF_TOKEN = f"""
SELECT {_RIGHTS}, t.scopes, t.used_ns, t.id FROM api_tokens t JOIN accounts a ON a.name = t.account
JOIN seats ON seats.role = a.role WHERE t.hash = :hash AND NOT a.disabled AND t.expires_ns > :now
"""  # noqa: S608 - of constants alone


class SessionRow(msgspec.Struct, frozen=True):
    """An open session. id : names it, and is no key to it; agent : the browser's own words, cut"""

    id: str
    created_ns: int
    seen_ns: int
    expires_ns: int
    address: str
    agent: str


def digest(secret: str) -> str:
    """What is kept of a cookie or token of 256 random bits: its SHA-256, which needs no salt."""
    return hashlib.sha256(secret.encode()).hexdigest()


def proof(cookie: str) -> str:
    """The CSRF proof of a session: follows from the cookie, and does not give it away."""
    return hmac.new(cookie.encode(), b"tapewatch csrf", hashlib.sha256).hexdigest()


def begin(session: sa.Connection, account: str, now: int, hours: float, address: str, agent: str) -> str:
    """Open a session and return its cookie; sessions that are over are forgotten."""
    cookie = secrets.token_urlsafe(32)
    session.execute(sa.text("DELETE FROM sessions WHERE expires_ns <= :now"), {"now": now})
    session.execute(
        sa.text("INSERT INTO sessions VALUES (:id, :account, :now, :now, :expires, :address, :agent)"),
        {
            "id": digest(cookie),
            "account": account,
            "now": now,
            "expires": now + int(hours * 3600 * NANOS),
            "address": address[:64],
            "agent": agent[:200],
        },
    )
    return cookie


def find(session: sa.Connection, cookie: str, now: int, idle_minutes: float) -> Account | None:
    """The account of a cookie; None where the session is not open (any more)."""
    idle_ns = int(idle_minutes * 60 * NANOS)
    row = session.execute(sa.text(_FIND), {"id": digest(cookie), "now": now, "idle": now - idle_ns}).first()
    if row is None:
        return None
    if now - row.seen_ns > min(TOUCH_NS, idle_ns // 60):
        session.execute(sa.text("UPDATE sessions SET seen_ns = :now WHERE id = :id"), {"now": now, "id": row.id})
    return Account(
        row.name, row.role, tuple(row.instruments), tuple(row.pages), proof=proof(cookie), session=row.id[:16]
    )


def of(session: sa.Connection, account: str, now: int, idle_minutes: float) -> list[SessionRow]:
    """An account's open sessions, newest first."""
    rows = session.execute(
        sa.text(
            "SELECT left(id, 16) AS id, created_ns, seen_ns, expires_ns, address, agent FROM sessions "
            "WHERE account = :account AND expires_ns > :now AND seen_ns > :idle ORDER BY created_ns DESC LIMIT 1000"
        ),
        {"account": account, "now": now, "idle": now - int(idle_minutes * 60 * NANOS)},
    )
    return [SessionRow(*row) for row in rows]


def end(session: sa.Connection, account: str, begun_with: str = "") -> int:
    """End an account's sessions, or the one whose id begins so; how many there were."""
    return session.execute(
        sa.text("DELETE FROM sessions WHERE account = :account AND starts_with(id, :start)"),
        {"account": account, "start": begun_with},
    ).rowcount


def end_cookie(session: sa.Connection, cookie: str) -> None:
    """End the session of a cookie, where there is one."""
    session.execute(sa.text("DELETE FROM sessions WHERE id = :id"), {"id": digest(cookie)})
