"""Accounts before the console runs: from the command line, on a connection of its own."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import sqlalchemy as sa

from console.accounts import passwords, store
from console.serve import check_schema
from tapewatch.clock import WALL
from tapewatch.errors import TapewatchError
from tapewatch.proof import audit
from tapewatch.settings import Settings


@contextmanager
def connected(settings: Settings) -> Iterator[sa.Connection]:
    """A transaction on a database whose schema was checked; database errors become errors for users."""
    engine = sa.create_engine(settings.postgres_url(), poolclass=sa.NullPool, connect_args={"connect_timeout": 10})
    try:
        with engine.begin() as session:
            check_schema(session)
            yield session
    except sa.exc.OperationalError as error:
        raise TapewatchError(f"PostgreSQL: {str(error.orig).strip()}", "Run `tapewatch status`.") from error


def open_accounts(settings: Settings, wanted: Sequence[str]) -> list[dict[str, str]]:
    """Make the accounts (NAME:ROLE) that are not there yet; those with their generated passwords."""
    made = []
    for text in wanted:
        name, _, role = text.partition(":")
        with connected(settings) as session:
            if store.entries(session, name):
                continue
            password = passwords.generated()
            store.make_with_password(session, name, role or "viewer", password, WALL.now())
        recorded(settings, "account.add", name, role=role or "viewer")
        made.append({"name": name, "role": role or "viewer", "password": password})
    return made


def anybody(settings: Settings) -> bool:
    """Whether there is any account."""
    with connected(settings) as session:
        return bool(store.entries(session))


def recorded(settings: Settings, action: str, name: str, why: str = "", **details: Any) -> None:
    """An entry of the audit log, by the operating system's user."""
    act = partial(audit.append, audit.folder(settings.data_path), action=action, subject=name)
    act(why=why or "command line", details=details)
