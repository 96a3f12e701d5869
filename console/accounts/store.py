"""Accounts in PostgreSQL: make, find, change. Every function works within the caller's transaction."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import msgspec
import sqlalchemy as sa

from console.accounts import passwords, sessions, tokens
from console.identity import RANK
from tapewatch.desk import subscription_store
from tapewatch.errors import TapewatchError

NAME = r"^[a-z0-9][a-z0-9._@-]{0,63}$"
Page = Literal[
    "*",
    "tape",
    "instrument",
    "alerts",
    "cases",
    "coverage",
    "labels",
    "signals",
    "models",
    "health",
    "proposals",
    "subscriptions",
    "audit",
]
PAGES = get_args(Page)[1:]
"""What an entitlement to a page can name, beside `*`."""

_CHANGEABLE = ("role", "disabled", "language", "pages", "instruments")
_LIST = """
SELECT a.name, a.role, a.disabled, a.language, a.pages, a.instruments, coalesce(a.issuer, '') AS issuer, a.created_ns,
    (SELECT max(s.seen_ns) FROM sessions s WHERE s.account = a.name) AS seen_ns
FROM accounts a WHERE :name = '' OR a.name = :name ORDER BY a.name LIMIT 10000
"""


class Entry(msgspec.Struct, frozen=True):
    """An account as administrators see it.

    pages, instruments : entitlements of its own, None where its role's seat holds
    issuer : where it logs in, empty here
    """

    name: str
    role: str
    disabled: bool
    language: str
    pages: tuple[str, ...] | None
    instruments: tuple[str, ...] | None
    issuer: str
    created_ns: int
    seen_ns: int | None


def entries(session: sa.Connection, name: str = "") -> list[Entry]:
    """Every account by name, or the one of that name."""
    rows = session.execute(sa.text(_LIST), {"name": name}).mappings()
    return [msgspec.convert(dict(row), Entry) for row in rows]


def is_there(session: sa.Connection, name: str) -> bool:
    """Whether there is an account of that name."""
    statement = "SELECT 1 FROM accounts WHERE name = :name"
    return session.execute(sa.text(statement), {"name": name}).first() is not None


def entry(session: sa.Connection, name: str) -> Entry:
    """The account; TapewatchError where there is none."""
    found = entries(session, name) if name else []
    if not found:
        raise TapewatchError(f"there is no account {name!r}", "See `tapewatch accounts list`.")
    return found[0]


def add(
    session: sa.Connection,
    name: str,
    role: str,
    now: int,
    *,
    password: str = "",
    issuer: str | None = None,
    subject: str | None = None,
) -> None:
    """Make an account; TapewatchError where the name is taken or no name, or the password too weak.

    password : hash, or empty for one that logs in elsewhere; now : UTC ns
    """
    if not re.fullmatch(NAME, name):
        raise TapewatchError(
            f"{name!r} is no account name", "Use lower-case letters, digits, dots, @ and hyphens, 64 at most."
        )
    if role not in RANK:
        raise TapewatchError(f"there is no role {role!r}", f"Use one of {', '.join(RANK)}.")
    made = session.execute(
        sa.text(
            "INSERT INTO accounts (name, role, password, issuer, subject, created_ns, changed_ns) "
            "VALUES (:name, :role, :password, :issuer, :subject, :now, :now) ON CONFLICT DO NOTHING RETURNING name"
        ),
        {"name": name, "role": role, "password": password or None, "issuer": issuer, "subject": subject, "now": now},
    ).first()
    if made is None:
        raise TapewatchError(f"there is an account {name!r} already", "Choose another name.")


def change(session: sa.Connection, name: str, values: Mapping[str, Any], now: int) -> None:
    """Set some of role, disabled, language, pages and instruments; the last admin that can enter stays one.

    Of an account that is disabled, sessions and tokens end, and its subscriptions are disabled.
    """
    entry(session, name)
    wanted = {key: _listed(value) for key, value in values.items() if key in _CHANGEABLE}
    if wanted:
        assignments = ", ".join(f"{key} = :{key}" for key in wanted)
        statement = f"UPDATE accounts SET {assignments}, changed_ns = :now WHERE name = :name"  # noqa: S608 - constants
        session.execute(sa.text(statement), {**wanted, "name": name, "now": now})
    if wanted.get("disabled"):
        _end_entries(session, name)
        subscription_store.disable_all_of(session, name, f"the account {name} was disabled", now)
    admins = session.execute(
        sa.text("SELECT count(*) FROM accounts WHERE role = 'admin' AND NOT disabled")
    ).scalar_one()
    if not admins and wanted.keys() & {"role", "disabled"}:
        raise TapewatchError("no admin would be left", "Make another account admin first.")


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, (tuple, list)) else value


def set_password(session: sa.Connection, name: str, password: str, now: int) -> None:
    """Give an account a new password (as hash) and end all its sessions and tokens."""
    entry(session, name)
    session.execute(
        sa.text("UPDATE accounts SET password = :password, changed_ns = :now WHERE name = :name"),
        {"password": password, "now": now, "name": name},
    )
    _end_entries(session, name)


def _end_entries(session: sa.Connection, name: str) -> None:
    """End what an account enters by."""
    sessions.end(session, name)
    tokens.end(session, name)


def password_of(session: sa.Connection, name: str) -> str | None:
    """The hash of an account that may enter; None where there is none."""
    statement = "SELECT password FROM accounts WHERE name = :name AND NOT disabled"
    return session.execute(sa.text(statement), {"name": name}).scalar_one_or_none()


def refresh_password(session: sa.Connection, name: str, old: str, new: str) -> None:
    """Keep the same password under newer parameters, where nobody changed it meanwhile."""
    session.execute(
        sa.text("UPDATE accounts SET password = :new WHERE name = :name AND password = :old"),
        {"name": name, "old": old, "new": new},
    )


def names_for(session: sa.Connection, issuer: str, subject: str) -> Sequence[str]:
    """The account linked to an identity elsewhere."""
    statement = "SELECT name FROM accounts WHERE issuer = :issuer AND subject = :subject"
    return list(session.execute(sa.text(statement), {"issuer": issuer, "subject": subject}).scalars())


def make_with_password(session: sa.Connection, name: str, role: str, password: str, now: int) -> None:
    """Make an account that logs in here."""
    add(session, name, role, now, password=passwords.hashed(password, name))
