"""How far each partition was read, and what of it was admitted: read once a session, written in every transaction."""

from collections.abc import Mapping

from psycopg2.extensions import connection as Connection  # noqa: N812 - a class with a lower-case name
from psycopg2.extensions import cursor as Cursor  # noqa: N812 - a class with a lower-case name
from psycopg2.extras import execute_values

from sinks.log_reader import Log
from sinks.postgres.batch import Batch
from tapewatch.market_log.admission import Admission, InstrumentProvider

_SAVE_OFFSETS = """
INSERT INTO sink_offsets (topic, partition, next_offset, clock_s, topic_id) VALUES %s
ON CONFLICT (topic, partition) DO UPDATE
SET next_offset = EXCLUDED.next_offset, clock_s = EXCLUDED.clock_s, topic_id = EXCLUDED.topic_id
"""
_TAKE_UP = "UPDATE sink_offsets SET topic_id = %s WHERE topic = %s AND topic_id = ''"
_IS_ANOTHER = "SELECT max(topic_id) FROM sink_offsets WHERE topic = %s HAVING max(topic_id) <> %s"
_BEGIN_ANEW = (
    "DELETE FROM sink_offsets WHERE topic = %(topic)s",
    "DELETE FROM sink_sources WHERE topic = %(topic)s",
    # What is of the old topic keeps its offsets, under a name of its own.
    "UPDATE logs SET topic = %(old)s WHERE topic = %(topic)s",
    "UPDATE dead_letters SET topic = %(old)s WHERE topic = %(topic)s",
)
_SAVE_SOURCES = """
INSERT INTO sink_sources (topic, partition, source, epoch, sequence, missing) VALUES %s
ON CONFLICT (topic, partition, source) DO UPDATE
SET epoch = EXCLUDED.epoch, sequence = EXCLUDED.sequence, missing = EXCLUDED.missing
"""


def next_offsets(cursor: Cursor) -> dict[Log, int]:
    """How far the sink has come, by partition; empty where it never ran."""
    cursor.execute("SELECT topic, partition, next_offset FROM sink_offsets")
    return {(topic, partition): int(offset) for topic, partition, offset in cursor}


def begin_anew(session: Connection, ids: Mapping[str, str]) -> None:
    """Forget how far these topics were read, where the database knows another one by the name. ids : of the broker's"""
    with session, session.cursor() as cursor:
        for topic, there in ids.items():
            cursor.execute(_IS_ANOTHER, (topic, there))
            for (kept,) in cursor.fetchall():
                for statement in _BEGIN_ANEW:
                    cursor.execute(statement, {"topic": topic, "old": f"{topic}@{kept or 'before'}"})


class Positions:
    """The state of all partitions as the database has it.

    topic_ids : of the topics that the offsets are of, as far as they are known

    Instrument slots are not kept: the sink uses only whether an id was registered by the time of a record, which the
    registry tells anew.
    """

    def __init__(self, session: Connection, registry: InstrumentProvider) -> None:
        self._registry = registry
        self._admissions: dict[Log, Admission] = {}
        with session, session.cursor() as cursor:
            cursor.execute("SELECT topic, partition, next_offset, clock_s FROM sink_offsets")
            found = {(topic, partition): (int(offset), int(clock)) for topic, partition, offset, clock in cursor}
            cursor.execute("SELECT DISTINCT topic, topic_id FROM sink_offsets WHERE topic_id <> ''")
            self.topic_ids: dict[str, str] = dict(cursor)
            cursor.execute("SELECT topic, partition, source, epoch, sequence, missing FROM sink_sources")
            sources: dict[Log, dict[str, tuple[int, int]]] = {}
            missing: dict[Log, dict[str, int]] = {}
            for topic, partition, source, epoch, sequence, left_out in cursor:
                sources.setdefault((topic, partition), {})[source] = (epoch, sequence)
                if left_out:
                    missing.setdefault((topic, partition), {})[source] = left_out
        self.next_offsets: dict[Log, int] = {log: offset for log, (offset, _) in found.items()}
        self._saved = {log: (sources.get(log, {}), clock, missing.get(log, {})) for log, (_, clock) in found.items()}

    def take_up_ids(self, session: Connection) -> None:
        """Keep the ids of topics that were read before ids were kept."""
        with session, session.cursor() as cursor:
            for topic, kept in self.topic_ids.items():
                cursor.execute(_TAKE_UP, (kept, topic))

    def admission(self, log: Log) -> Admission:
        """The admission of a market partition, as its log has left it."""
        known = self._admissions.get(log)
        if known is None:
            known = self._admissions[log] = Admission(self._registry, *log)
            sources, clock, missing = self._saved.get(log, ({}, -1, {}))
            known.load([], sources, clock, missing)
        return known


def save(cursor: Cursor, batch: Batch, topic_ids: Mapping[str, str]) -> None:
    """Write how far the batch was read, and of which topics."""
    rows = [
        (*log, offset, batch.clocks.get(log, -1), topic_ids.get(log[0], ""))
        for log, offset in batch.next_offsets.items()
    ]
    execute_values(cursor, _SAVE_OFFSETS, rows, page_size=1000)
    sources = [(*key, *newest) for key, newest in batch.sources.items()]
    if sources:
        execute_values(cursor, _SAVE_SOURCES, sources, page_size=1000)
