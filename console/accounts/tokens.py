"""API tokens: `tw_` and 256 random bits, shown once and kept as a hash, with scopes and an end."""

import secrets
from collections.abc import Sequence

import msgspec
import sqlalchemy as sa

from console.accounts.sessions import RIGHTS_OF_TOKEN, TOUCH_NS, digest
from console.identity import Account
from tapewatch.errors import TapewatchError

SCOPES = ("read", "write", "admin")
MOST = 50
"""Tokens of one account."""


class Token(msgspec.Struct, frozen=True):
    """A token without its secret."""

    id: str
    account: str
    name: str
    scopes: tuple[str, ...]
    created_ns: int
    expires_ns: int
    used_ns: int | None


def make(
    session: sa.Connection, account: str, name: str, scopes: Sequence[str], now: int, expires_ns: int
) -> tuple[str, str]:
    """Make a token; its id, and the token itself, which cannot be had again."""
    if not scopes or set(scopes) - set(SCOPES):
        raise TapewatchError("a token needs scopes", f"Choose among {', '.join(SCOPES)}.")
    if len(of(session, account)) >= MOST:
        raise TapewatchError(f"the account has {MOST} tokens", "Revoke one first.")
    number, secret = secrets.token_hex(8), "tw_" + secrets.token_urlsafe(32)
    session.execute(
        sa.text("INSERT INTO api_tokens VALUES (:id, :hash, :account, :name, :scopes, :now, :expires, NULL)"),
        {
            "id": number,
            "hash": digest(secret),
            "account": account,
            "name": name,
            "scopes": sorted(set(scopes), key=SCOPES.index),
            "now": now,
            "expires": expires_ns,
        },
    )
    return number, secret


def find(session: sa.Connection, secret: str, now: int) -> Account | None:
    """The account that a token speaks for, with the token's scopes; None where it is none (any more)."""
    row = session.execute(sa.text(RIGHTS_OF_TOKEN), {"hash": digest(secret), "now": now}).first()
    if row is None:
        return None
    if row.used_ns is None or now - row.used_ns > TOUCH_NS:
        session.execute(sa.text("UPDATE api_tokens SET used_ns = :now WHERE id = :id"), {"now": now, "id": row.id})
    return Account(row.name, row.role, tuple(row.instruments), tuple(row.pages), tuple(row.scopes), by_token=True)


def of(session: sa.Connection, account: str) -> list[Token]:
    """An account's tokens, newest first; every account's where it is empty."""
    rows = session.execute(
        sa.text(
            "SELECT id, account, name, scopes, created_ns, expires_ns, used_ns FROM api_tokens "
            "WHERE :account = '' OR account = :account ORDER BY created_ns DESC, id LIMIT 10000"
        ),
        {"account": account},
    )
    return [msgspec.convert(dict(row._mapping), Token) for row in rows]


def end(session: sa.Connection, account: str) -> None:
    """End all of an account's tokens."""
    session.execute(sa.text("DELETE FROM api_tokens WHERE account = :account"), {"account": account})


def revoke(session: sa.Connection, account: str, number: str) -> None:
    """End a token of the account at once; of any account where it is empty."""
    ended = session.execute(
        sa.text("DELETE FROM api_tokens WHERE id = :id AND (:account = '' OR account = :account)"),
        {"id": number, "account": account},
    )
    if not ended.rowcount:
        raise TapewatchError("there is no such token", "See the list of tokens.")
