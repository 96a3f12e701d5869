"""A batch into the database: rows, messages, admission state and offsets in one transaction.

1. Partitions that the batch needs are made, in a transaction of their own. If we die here, they stay empty.
2. Dead letters are sent and acknowledged. If we die here, they are sent again: the topic may hold one twice, the table
   never.
3. One transaction: COPY, merges, dead-letter rows (those of retried records go), sources, clocks, offsets. If we die
   before its commit, nothing of it is there and the same records are read again; after it, they are not.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection  # noqa: N812 - a class with a lower-case name
from psycopg2.extensions import cursor as Cursor  # noqa: N812 - a class with a lower-case name
from psycopg2.extras import execute_values

from sinks.dead_letters import DeadLetterTopics
from sinks.postgres import desk_work, intake, merge, own_trading, positions
from sinks.postgres.batch import Batch, JsonRecord, RefusedRecord
from sinks.postgres.binary import HEADER, TRAILER
from sinks.postgres.intake import refused
from sinks.postgres.keys import Keys
from sinks.postgres.partitions import DayPartitions
from sinks.postgres.tables import Table

_CHUNK = 1 << 20
_DEAD = "INSERT INTO dead_letters (topic, partition, log_offset, reason, detail) VALUES %s ON CONFLICT DO NOTHING"
_NOT_STORABLE = (psycopg2.DataError, psycopg2.IntegrityError, ValueError)
"""What the database, or the way to it, says about a value that it cannot hold."""


class Writer:
    """Writes batches over one database session. topic_ids : of the topics that are read"""

    def __init__(
        self, session: Connection, keys: Keys, dead_letters: DeadLetterTopics, topic_ids: Mapping[str, str]
    ) -> None:
        self._session, self._keys, self._dead_letters, self._topic_ids = session, keys, dead_letters, topic_ids
        self._partitions = DayPartitions(session)

    def write(self, batch: Batch) -> None:
        """Write and commit; the batch's `dead` then also holds the messages that the database could not hold."""
        self._partitions.ensure(batch.days)
        self._dead_letters.send([refusal.letter for refusal in batch.dead])
        with self._session, self._session.cursor() as cursor:
            for table, packed in batch.packed.items():
                copy_rows(cursor, table, [part.data for part in packed])
            late = merge_storable(cursor, batch.messages, partial(merge.merge, cursor, self._keys))
            self._dead_letters.send([refusal.letter for refusal in late])
            batch.dead += late
            intake.forget(cursor, batch.retried)
            _keep_dead(cursor, batch.dead)
            positions.save(cursor, batch, self._topic_ids)
        batch.rows.update(_stored(batch.messages, late))


def merge_storable(
    cursor: Cursor, messages: list[JsonRecord], write: Callable[[list[JsonRecord]], None]
) -> list[RefusedRecord]:
    """Write all messages at once, or in halves where one of them cannot be held; returns those that cannot."""
    problem = _try(cursor, messages, write) if messages else None
    if problem is None:
        return []
    if len(messages) == 1:
        return [refused(messages[0], "not_storable", problem)]
    half = len(messages) // 2
    return [*merge_storable(cursor, messages[:half], write), *merge_storable(cursor, messages[half:], write)]


def _try(cursor: Cursor, messages: list[JsonRecord], write: Callable[[list[JsonRecord]], None]) -> str | None:
    """Write, or leave everything as it was and return what is wrong."""
    cursor.execute("SAVEPOINT messages")
    try:
        write(messages)
    except _NOT_STORABLE as error:
        cursor.execute("ROLLBACK TO SAVEPOINT messages")
        return str(error)
    cursor.execute("RELEASE SAVEPOINT messages")
    return None


class Parts:
    """Pieces of bytes as one file: what a COPY is given to read, without as much memory again for the whole of it."""

    def __init__(self, parts: Iterable[bytes]) -> None:
        self._parts, self._left = iter(parts), memoryview(b"")

    def read(self, size: int) -> bytes:
        """The next bytes, `size` of them unless it is the end."""
        found = []
        while size > 0:
            if not self._left:
                part = next(self._parts, None)
                if part is None:
                    break
                self._left = memoryview(part)
                continue
            piece, self._left = self._left[:size], self._left[size:]
            found.append(piece)
            size -= len(piece)
        return b"".join(found)


def copy_rows(cursor: Cursor, table: Table, packed: Iterable[bytes]) -> None:
    """COPY rows of one table. packed : in the binary format, without header and trailer"""
    names = sql.SQL(", ").join(map(sql.Identifier, table.columns))
    statement = sql.SQL("COPY {} ({}) FROM STDIN WITH (FORMAT binary)").format(sql.Identifier(table.name), names)
    parts = Parts([HEADER, *packed, TRAILER])
    cursor.copy_expert(statement, parts, size=_CHUNK)  # type: ignore[arg-type] # COPY reads, but no lines


def _keep_dead(cursor: Cursor, dead: list[RefusedRecord]) -> None:
    """Note the dead letters."""
    rows = [(d.record.topic, d.record.partition, d.record.offset, d.reason, d.detail) for d in dead]
    if rows:
        execute_values(cursor, _DEAD, rows)


def _stored(messages: list[JsonRecord], late: list[RefusedRecord]) -> list[str]:
    """The table of each message that was written; several revisions of an alert count one by one."""
    buried = {id(refusal.record) for refusal in late}
    kept = [record.topic for record in messages if id(record) not in buried]
    tables = own_trading.TABLES | desk_work.TABLES
    return [tables.get(topic, topic) for topic in kept]
