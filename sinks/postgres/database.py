"""The database session of the sink: one writer at a time, and a connection that notices when the other side is gone."""

import threading

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812 - a class with a lower-case name
from sqlalchemy.engine import make_url

from sinks.postgres.tables import REVISION
from tapewatch.clock import NANOS, WALL
from tapewatch.errors import TapewatchError

_WRITER_LOCK = 7_236_003
"""Advisory lock of the one sink that writes to a database."""

# A server that still works for a sink that is gone would hold its lock and its half-made batch.
_NOTICE = "SET client_connection_check_interval = 1000; SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5"


def connect(url: str) -> Connection:
    """A session of the database of this SQLAlchemy URL."""
    address = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    session = psycopg2.connect(
        address,
        connect_timeout=5,
        application_name="tapewatch sink postgres",
        keepalives_idle=10,
        keepalives_interval=5,
        keepalives_count=3,
    )
    with session, session.cursor() as cursor:
        cursor.execute(_NOTICE)
    return session


def claim(session: Connection, patience_s: float, stop: threading.Event) -> bool:
    """Become the database's one writer until the session ends; False where `stop` was set first.

    The lock ends with the session of a sink that died, and only after its last transaction did: what is read after
    `claim` is final.
    TapewatchError where another sink still writes after `patience_s`.
    """
    deadline = WALL.elapsed() + int(patience_s * NANOS)
    while not stop.is_set():
        with session, session.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", (_WRITER_LOCK,))
            if cursor.fetchone() == (True,):
                return True
        if WALL.elapsed() > deadline:
            raise TapewatchError("another PostgreSQL sink writes to this database", "Stop it first; one is enough.")
        stop.wait(0.2)
    return False


def check_revision(session: Connection) -> None:
    """TapewatchError where the schema is not the one this build writes."""
    with session, session.cursor() as cursor:
        cursor.execute("SELECT to_regclass('alembic_version') IS NOT NULL")
        found = ""
        if cursor.fetchone() == (True,):
            cursor.execute("SELECT version_num FROM alembic_version")
            found = str((cursor.fetchone() or ("",))[0])
    if found < REVISION:
        told = f"revision {found}" if found else "no tables of ours"
        raise TapewatchError(f"the database has {told}, the sink needs {REVISION}", "Run `tapewatch db migrate`.")
