"""Day partitions and feature columns, made when the first row needs them."""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from psycopg2 import sql
from psycopg2.extensions import connection as Connection  # noqa: N812 - a class with a lower-case name

from sinks.postgres.tables import DAY, PARTITIONED
from tapewatch.errors import ContractError

_LOCK = 7_236_002
_FEATURE = re.compile(r"[a-z][a-z0-9_]{0,62}")
MAX_FEATURES = 1000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_KNOWN = """
SELECT child.relname FROM pg_inherits
JOIN pg_class child ON child.oid = inhrelid JOIN pg_class parent ON parent.oid = inhparent
WHERE parent.relname = ANY(%s) AND parent.relnamespace = current_schema()::regnamespace
"""
_FEATURES = """
SELECT attname, atttypid = 'real'::regtype FROM pg_attribute
WHERE attrelid = 'features'::regclass AND attnum > 0 AND NOT attisdropped
"""


def partition_name(table: str, day: int) -> str:
    """The partition of a day (days since 1970).

    >>> partition_name("quotes", 19_676)
    'quotes_d20231115'
    """
    return f"{table}_d{_EPOCH + timedelta(days=day):%Y%m%d}"


class DayPartitions:
    """The partitions that are there, and making the ones that are not."""

    def __init__(self, session: Connection) -> None:
        self._session = session
        with session, session.cursor() as cursor:
            cursor.execute(_KNOWN, (list(PARTITIONED),))
            self._known = {name for (name,) in cursor}

    def ensure(self, wanted: Iterable[tuple[str, int]]) -> None:
        """Make the partitions of these (table, day), in a transaction of its own; other processes take turns."""
        missing = sorted((table, day) for table, day in wanted if partition_name(table, day) not in self._known)
        if not missing:
            return
        with self._session, self._session.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            cursor.execute(_KNOWN, (list(PARTITIONED),))
            self._known = {name for (name,) in cursor}
            for table, day in missing:
                if partition_name(table, day) not in self._known:
                    for statement in _creation(table, day):
                        cursor.execute(statement)
        self._known.update(partition_name(table, day) for table, day in missing)


def _creation(table: str, day: int) -> Sequence[sql.Composed]:
    """Make the table, then attach it: unlike CREATE ... PARTITION OF, that does not wait for the parent's readers."""
    parent, child = sql.Identifier(table), sql.Identifier(partition_name(table, day))
    start, end = sql.Literal(day * DAY), sql.Literal((day + 1) * DAY)
    return [
        sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)").format(child, parent),
        sql.SQL("ALTER TABLE {} ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})").format(parent, child, start, end),
    ]


class FeatureColumns:
    """The feature columns that the table has; new ones are added, none is ever taken away."""

    def __init__(self, session: Connection) -> None:
        self._session = session
        with session, session.cursor() as cursor:
            cursor.execute(_FEATURES)
            found = cursor.fetchall()
        self._reals = {name for name, real in found if real}
        self._others = {name for name, real in found if not real}

    def ensure(self, names: Sequence[str]) -> None:
        """Add the columns that are missing, in a transaction of its own.

        ContractError("wrong_schema") for a name that cannot be one.
        """
        missing = [name for name in names if name not in self._reals]
        if not missing:
            return
        bad = next((name for name in missing if name in self._others or not _FEATURE.fullmatch(name)), None)
        if bad is not None or len(self._reals) + len(missing) > MAX_FEATURES:
            raise ContractError("wrong_schema", f"{bad or missing[0]!r} cannot be a feature column")
        with self._session, self._session.cursor() as cursor:
            for name in missing:
                statement = sql.SQL("ALTER TABLE features ADD COLUMN IF NOT EXISTS {} real")
                cursor.execute(statement.format(sql.Identifier(name)))
            cursor.execute("SELECT tapewatch_refresh_features_view()")
        self._reals.update(missing)
