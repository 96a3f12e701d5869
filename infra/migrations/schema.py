"""Bring a database to the schema that this build needs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from tapewatch.errors import TapewatchError

_MIGRATION_LOCK = 7_236_001


def migrate(url: str) -> str:
    """Upgrade the database of this SQLAlchemy URL to the newest revision, all in one transaction; returns the revision.

    Two processes that migrate at once take turns. TapewatchError where the database does not answer or lacks a right.
    """
    with connect(url) as session:
        session.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
        config = _config()
        config.attributes["connection"] = session
        command.upgrade(config, "head")
        return current(session)


def current(session: sa.Connection) -> str:
    """The database's revision; empty before the first migration."""
    return MigrationContext.configure(session).get_current_revision() or ""


def head() -> str:
    """The newest revision this build knows."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def known(revision: str) -> bool:
    """Whether this build has that revision."""
    return any(each.revision == revision for each in ScriptDirectory.from_config(_config()).walk_revisions())


@contextmanager
def connect(url: str) -> Iterator[sa.Connection]:
    """A connection with one transaction, committed at the end; database errors become errors for users."""
    engine = sa.create_engine(url, poolclass=sa.NullPool, connect_args={"connect_timeout": 10})
    try:
        with engine.begin() as session:
            yield session
    except sa.exc.OperationalError as error:
        hint = "Run `tapewatch status`; check postgres.url, and that no long query holds the tables."
        raise TapewatchError(f"PostgreSQL: {str(error.orig).strip()}", hint) from error
    except sa.exc.ProgrammingError as error:
        raise TapewatchError(f"PostgreSQL refuses: {str(error.orig).strip()}", "Check the role's rights.") from error


def _config() -> Config:
    """Alembic's configuration, made here so that no alembic.ini has to be found."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
