"""What PostgreSQL holds, in one snapshot: how far the sink has read, and the rows as COPY gives them."""

from collections.abc import Callable, Iterator
from typing import Any

from psycopg2 import sql
from psycopg2.extensions import connection as Connection  # noqa: N812 - a class with a lower-case name

from sinks.postgres.binary import HEADER
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
            cursor.execute("SELECT topic, partition, next_offset FROM sink_offsets")
            return {(topic, partition): int(offset) for topic, partition, offset in cursor}

    def logs(self, topic: str) -> dict[int, int]:
        """Partition -> number of a market topic's logs."""
        with self._session.cursor() as cursor:
            cursor.execute("SELECT partition, id FROM logs WHERE topic = %s", (topic,))
            return {int(partition): int(number) for partition, number in cursor}

    def copy(self, table: Table, logs: list[int], take: Callable[[bytes], None]) -> None:
        """Hand over the rows of these logs, in no order, in PostgreSQL's binary format."""
        names = sql.SQL(", ").join(map(sql.Identifier, table.columns))
        query = sql.SQL("COPY (SELECT {} FROM {} WHERE log_id = ANY({})) TO STDOUT WITH (FORMAT binary)").format(
            names, sql.Identifier(table.name), sql.Literal(logs)
        )
        blocks = _Blocks(take)
        with self._session.cursor() as cursor:
            cursor.copy_expert(query, blocks)
        blocks.close()

    def rows(self, query: str, values: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
        """Rows of a query, as a stream."""
        with self._session.cursor("reconcile_rows") as cursor:
            cursor.itersize = _ITERSIZE
            cursor.execute(query, values)
            yield from cursor

    def close(self) -> None:
        """End it."""
        self._session.rollback()


class _Blocks:
    """A file that hands on what is written to it in large blocks, without the format's header."""

    def __init__(self, take: Callable[[bytes], None]) -> None:
        self._take = take
        self._parts: list[bytes] = []
        self._size = 0
        self._skip = len(HEADER)

    def write(self, data: bytes) -> int:
        """Take up a piece."""
        size = len(data)
        if self._skip:
            cut = min(self._skip, size)
            self._skip -= cut
            data = data[cut:]
        self._parts.append(bytes(data))
        self._size += len(data)
        if self._size >= _BLOCK:
            self.close()
        return size

    def close(self) -> None:
        """Hand on what is left."""
        data, self._parts, self._size = b"".join(self._parts), [], 0
        if data:
            self._take(data)
