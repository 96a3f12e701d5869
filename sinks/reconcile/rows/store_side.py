"""What PostgreSQL holds, in one snapshot: how far the sink has read, and the rows as COPY gives them."""

import io
from collections.abc import Callable, Iterator
from typing import Any

from psycopg2 import sql
from psycopg2.extensions import connection as Connection  # noqa: N812 - a class with a lower-case name

from sinks.postgres.binary import HEADER
from sinks.postgres.positions import next_offsets
from sinks.postgres.tables import Table

_BLOCK = 1_000_000
_ITERSIZE = 2000


class Snapshot:
    """One repeatable-read transaction: rows and positions agree, whatever the sink writes meanwhile."""

    def __init__(self, session: Connection) -> None:
        self._session = session
        session.set_session(isolation_level="REPEATABLE READ", readonly=True)

    def ends(self) -> dict[tuple[str, int], int]:
        """Next offset of each partition that the sink reads."""
        with self._session.cursor() as cursor:
            return next_offsets(cursor)

    def logs(self, topic: str) -> dict[int, int]:
        """Partition -> number of a market topic's logs."""
        with self._session.cursor() as cursor:
            cursor.execute("SELECT partition, id FROM logs WHERE topic = %s", (topic,))
            return {int(partition): int(number) for partition, number in cursor}

    def refused(self, topic: str) -> set[tuple[int, int]]:
        """Partition and offset of records that the sink has buried."""
        with self._session.cursor() as cursor:
            cursor.execute("SELECT partition, log_offset FROM dead_letters WHERE topic = %s", (topic,))
            return {(int(partition), int(offset)) for partition, offset in cursor}

    def copy(self, table: Table, logs: list[int], take: Callable[[bytes], None]) -> None:
        """Hand over the rows of these logs, in no order, in PostgreSQL's binary format."""
        names = sql.SQL(", ").join(map(sql.Identifier, table.columns))
        query = sql.SQL("COPY (SELECT {} FROM {} WHERE log_id = ANY({})) TO STDOUT WITH (FORMAT binary)").format(
            names, sql.Identifier(table.name), sql.Literal(logs)
        )
        # COPY writes row by row: what gathers rows into blocks had better not be Python.
        with io.BufferedWriter(_Blocks(take), _BLOCK) as blocks, self._session.cursor() as cursor:
            cursor.copy_expert(query, blocks)

    def rows(self, query: str, values: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
        """Rows of a query, as a stream."""
        with self._session.cursor("reconcile_rows") as cursor:
            cursor.itersize = _ITERSIZE
            cursor.execute(query, values)
            yield from cursor

    def close(self) -> None:
        """End it."""
        self._session.rollback()


class _Blocks(io.RawIOBase):
    """A file that hands on what is written to it, without the format's header."""

    def __init__(self, take: Callable[[bytes], None]) -> None:
        self._take, self._skip = take, len(HEADER)

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: Any) -> int:
        """Hand on a block."""
        cut = min(self._skip, len(data))
        self._skip -= cut
        self._take(bytes(data[cut:]))
        return len(data)
