"""The PostgreSQL sink's work with a real database and a log made by hand: what is read, and in which transactions."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sinks.postgres.batch import Batch
from sinks.postgres.database import connect
from sinks.postgres.intake import Intake, Refusals
from sinks.postgres.keys import Keys
from sinks.postgres.partitions import FeatureColumns
from sinks.postgres.positions import Positions
from sinks.postgres.writer import Writer
from tapewatch.contract import messages
from tapewatch.market_log.dead_letters import DeadLetter
from tapewatch.market_log.registry import FixedRegistry
from tapewatch.settings import Settings

Row = dict[str, Any]


@dataclass(frozen=True)
class Record:
    """A record of a log, in the shape of a Kafka client's message."""

    at: tuple[str, int, int]
    content: bytes | None
    carried: tuple[tuple[str, bytes], ...] = ()

    def topic(self) -> str:
        return self.at[0]

    def partition(self) -> int:
        return self.at[1]

    def offset(self) -> int:
        return self.at[2]

    def value(self) -> bytes | None:
        return self.content

    def headers(self) -> list[tuple[str, bytes]]:
        return list(self.carried)

    def timestamp(self) -> tuple[int, int]:
        return 1, 1_700_000_000_000


class KeptLetters:
    """Dead letters that would have been sent; or nobody takes any."""

    def __init__(self) -> None:
        self.sent: list[DeadLetter] = []
        self.fails = False

    def send(self, letters: Sequence[DeadLetter]) -> None:
        if self.fails and letters:
            raise ConnectionError("the broker is gone")
        self.sent += letters


class HandSink:
    """A sink that reads what it is given; every call of `take` is one transaction."""

    def __init__(self, url: str) -> None:
        self.url, self.letters, self._ends = url, KeptLetters(), Counter[tuple[str, int]]()
        self.begin()

    def begin(self) -> None:
        """A session of its own, as after a start: what it knows, the database told it."""
        self.session = connect(self.url)
        self.keys = Keys(self.session)
        self.positions = Positions(self.session, FixedRegistry([]))
        self.intake = Intake(self.keys, self.positions, FeatureColumns(self.session), Refusals(self.session))
        self.writer = Writer(self.session, self.keys, self.letters, self.positions.topic_ids)  # type: ignore[arg-type]

    def restart(self) -> None:
        self.session.close()
        self.begin()

    def record(self, message: messages.Message | bytes, topic: str = "", partition: int = 0) -> Record:
        """The next record of its topic."""
        value = message if isinstance(message, bytes) else messages.encode(message)
        log = (topic or message.TOPIC, partition)  # type: ignore[union-attr]
        offset = max(self._ends[log], self.positions.next_offsets.get(log, 0))
        self._ends[log] = offset + 1
        return Record((*log, offset), value)

    def take(self, *records: Record) -> Batch:
        batch = Batch()
        for record in records:
            self.intake.take(record, batch)
        self.writer.write(batch)
        return batch

    def say(self, *said: messages.Message) -> Batch:
        """These messages, in one transaction, which the database holds all."""
        batch = self.take(*(self.record(message) for message in said))
        assert not batch.dead
        return batch

    def rows(self, table: str, where: str = "true", *values: Any) -> list[Row]:
        """Rows of a table, with instruments by name and logs by topic and partition."""
        statement = f"SELECT * FROM {table} WHERE {where}"
        with self.session, self.session.cursor() as cursor:
            cursor.execute("SELECT id, name FROM instruments")
            names = dict(cursor.fetchall())
            cursor.execute("SELECT id, topic, partition FROM logs")
            logs = {number: (topic, partition) for number, topic, partition in cursor}
            cursor.execute(statement, values)
            columns = [column.name for column in cursor.description or ()]
            found = [dict(zip(columns, row, strict=True)) for row in cursor]
        for row in found:
            if "instrument_id" in row:
                row["instrument_id"] = names[row["instrument_id"]]
            if row.get("log_id") is not None:
                row["log_id"] = logs[row["log_id"]]
        return found


@contextmanager
def hand_sink(settings: Settings) -> Iterator[HandSink]:
    """A sink over a database of its own."""
    sink = HandSink(settings.postgres_url())
    try:
        yield sink
    finally:
        sink.session.close()
