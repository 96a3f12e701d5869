"""Output topics as streams of rows, each read only as far as the comparison needs it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol, cast

from streams.verifying.aligning import Window
from streams.verifying.rows import MESSAGES, Block, Headers, RowDecoder, origin_of
from tapewatch.contract.partitioner import partition_for
from tapewatch.errors import ContractError

STARVED_ROWS = 500_000
"""Rows of other types that are held while one type's next row is looked for. A transaction of the engine holds fewer: a
type that has not come by then does not come.
"""

SOME_RECORDS = 500


class Record(Protocol):
    """What is read of a Kafka record (confluent_kafka.Message has it)."""

    def offset(self) -> int | None:
        """Its place in the partition."""
        ...

    def value(self) -> bytes | None:
        """Its content."""
        ...

    def key(self) -> bytes | None:
        """Its key."""
        ...

    def headers(self) -> object:
        """Its headers, (name, value) pairs or None."""
        ...

    def timestamp(self) -> tuple[int, int]:
        """Kind, and UTC milliseconds."""
        ...


class Log(Protocol):
    """Where records are read."""

    @property
    def partitions(self) -> Mapping[str, int]:
        """Topic -> number of partitions."""
        ...

    def records(self, topic: str, partition: int) -> Iterator[Record]:
        """The committed records of a partition as it stood when it was first asked for, in order."""
        ...


class OutputReader:
    """One partition of an output topic, split by row type.

    mine : the input partition whose rows are wanted, -1 for none; end : input offsets from there on are left out
    may_lie : whether rows of another input partition are nothing to wonder at here
    strangers : rows of which that is not so
    """

    def __init__(
        self,
        log: Log,
        place: tuple[str, int],
        feed: str,
        mine: int,
        end: int,
        may_lie: Callable[[int], bool],
        kinds: Iterable[str],
        reading: RowDecoder,
    ) -> None:
        self.topic, self.partition = place
        self._count = log.partitions[self.topic]
        self._records: Iterator[Record] | None = log.records(*place)
        self._feed, self._mine, self._end = feed, mine, end
        self._may_lie, self._reading = may_lie, reading
        self.windows = {kind: Window() for kind in kinds}
        self.strangers: list[tuple[str, Block]] = []
        self.unreadable: list[int] = []

    def read_to(self, kind: str, order: int) -> Window:
        """Read until a row of that order or a later one waits, or none can come; the rows that wait."""
        window = self.windows[kind]
        while self._records is not None and not window.reaches(order) and not self._starved(kind):
            self._take_next()
        return window

    @property
    def done(self) -> bool:
        """Whether everything has been read."""
        return self._records is None

    def read_some(self) -> None:
        """Read on a little, whatever is there."""
        for _ in range(SOME_RECORDS):
            self._take_next()

    def _starved(self, kind: str) -> bool:
        return sum(window.rows for other, window in self.windows.items() if other != kind) > STARVED_ROWS

    def _take_next(self) -> None:
        """Take up one record."""
        record = next(self._records, None) if self._records is not None else None
        if record is None:
            self._records = None
            return
        value, headers = record.value() or b"", cast(Headers, record.headers() or ())
        origin = origin_of(self.topic, self._feed, value, headers)
        if origin is None or (origin != self._mine and self._may_lie(origin)):
            return
        try:
            kind, rows = self._reading.rows(self.topic, value, record.key(), headers)
        except ContractError:
            self.unreadable.append(record.offset() or 0)
            return
        if origin != self._mine or not self._at_home(rows):
            self.strangers.append((kind, rows))
            return
        if kind not in self.windows:
            self.unreadable.append(record.offset() or 0)
            return
        before_end = rows.offsets < self._end
        self.windows[kind].add(rows if before_end.all() else rows.cut(before_end))

    def _at_home(self, rows: Block) -> bool:
        """Whether a message lies in its instrument's partition."""
        if self.topic not in MESSAGES:
            return True
        return partition_for(self._reading.names.of(int(rows.names[0])), self._count) == self.partition
