"""One input partition verified: the brokerless task over its log, its rows held against those that lie there."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import gcd

from streams.driver import TOPICS
from streams.engine.build import build_hash
from streams.engine.models import ActiveModels, ModelSource
from streams.engine.task import ReferenceData, Task
from streams.verifying.aligning import Aligner, ComparisonResult, Log, OutputReader, Record, Window
from streams.verifying.rows import MESSAGES, Headers, RowDecoder, streams_of
from tapewatch.clock import NANOS
from tapewatch.contract import topics
from tapewatch.runtime.batches import UnreadableBatch

STEP_FRAMES = 256
"""Input frames whose rows are compared at once."""
FOREVER = 2**62

OUTPUTS = (*TOPICS, topics.SHADOW_SIGNALS)
"""Topics that are compared, beside the feed's dead letters."""

Stream = tuple[str, str]
"""An output topic and a row type on it."""


@dataclass(frozen=True, slots=True)
class Input:
    """A partition of a feed. partitions : how many the feed has; end : input offsets from there on are left out"""

    feed: str
    partition: int
    partitions: int
    end: int

    @property
    def topic(self) -> str:
        """The market topic."""
        return topics.market(self.feed)


@dataclass(slots=True)
class PartitionResult:
    """What came out of one partition.

    rows : accepted input rows by type; refused : rows and records by reason; duplicates : frames seen before
    streams : by output topic and row type; other_builds : messages that name another build than this one
    """

    partition: int
    frames: int
    rows: dict[str, int]
    refused: dict[str, int]
    duplicates: int
    streams: dict[Stream, ComparisonResult]
    other_builds: int


def lies_in(topic: str, origin: int, inputs: int, partition: int, count: int) -> bool:
    """Whether rows of an input partition may lie in a partition of an output topic.

    origin : one of `inputs` partitions of the feed; partition : one of `count` of the topic. Messages go by their
    instrument, all others by their input partition.
    """
    if topic in MESSAGES:
        return partition % gcd(inputs, count) == origin % gcd(inputs, count)
    return partition == origin % count


class PartitionCheck:
    """Verifies one input partition.

    tell : called now and then with the rows in and what is found so far; task : what the partition begins with, where
    that is not an empty one
    """

    def __init__(
        self,
        log: Log,
        given: Input,
        registry: ReferenceData,
        shelf: ModelSource,
        tell: Callable[["PartitionCheck"], None] = lambda check: None,
        task: Task | None = None,
    ) -> None:
        self._log, self.given, self._registry, self._tell = log, given, registry, tell
        self._task = task or Task(given.topic, given.partition, registry, ActiveModels.default(shelf), build_hash())
        self._reading = RowDecoder()
        self._topics = [*OUTPUTS, topics.dead_letters(given.topic)]
        self._counts = {topic: log.partitions[topic] for topic in self._topics if log.partitions.get(topic)}
        self._readers = list(self._own_readers())
        self._beside = list(self._readers_beside())
        self._wanted: dict[tuple[str, int, str], Window] = {}
        self._aligners: dict[tuple[str, int, str], Aligner] = {}
        for reader in [*self._readers, *self._beside]:
            for kind in reader.windows:
                self._stream(reader.topic, reader.partition, kind)

    def _reader(self, topic: str, partition: int, mine: int) -> OutputReader:
        place, given, count = (topic, partition), self.given, self._counts[topic]
        watched = partition % given.partitions == given.partition

        def may_lie(origin: int) -> bool:
            """Rows that strayed are told by one check alone, the one that watches the partition."""
            return not watched or lies_in(topic, origin, given.partitions, partition, count)

        kinds = streams_of(topic)
        return OutputReader(self._log, place, given.feed, mine, given.end, may_lie, kinds, self._reading)

    def _own_readers(self) -> Iterator[OutputReader]:
        """Of every partition in which this input's rows may lie."""
        mine, inputs = self.given.partition, self.given.partitions
        for topic, count in self._counts.items():
            for partition in range(count):
                if lies_in(topic, mine, inputs, partition, count):
                    yield self._reader(topic, partition, mine)

    def _readers_beside(self) -> Iterator[OutputReader]:
        """Of partitions in which nothing of this input may lie, and in which nobody else looks for what strayed."""
        mine, inputs = self.given.partition, self.given.partitions
        for topic, count in self._counts.items():
            for partition in range(mine, count, inputs):
                if not lies_in(topic, mine, inputs, partition, count):
                    yield self._reader(topic, partition, -1)

    def _stream(self, topic: str, partition: int, kind: str) -> tuple[Window, Aligner]:
        """What is wanted in a stream, and what compares it."""
        key = topic, partition, kind
        if key not in self._aligners:
            self._wanted[key], self._aligners[key] = Window(), Aligner(self._reading.names)
        return self._wanted[key], self._aligners[key]

    def run(self) -> PartitionResult:
        """Compare everything."""
        frames = 0
        for record in self._log.records(self.given.topic, self.given.partition):
            if (record.offset() or 0) >= self.given.end:
                break
            self._feed(record)
            frames += 1
            if frames % STEP_FRAMES == 0:
                self._step()
        self._step()
        self._finish()
        tally = self._task.tally
        return PartitionResult(
            partition=self.given.partition,
            frames=frames,
            rows=dict(tally.rows),
            refused=dict(tally.refused),
            duplicates=tally.duplicates,
            streams=self.found(),
            other_builds=self._reading.other_builds,
        )

    def found(self) -> dict[Stream, ComparisonResult]:
        """What is found so far, by output topic and row type."""
        together: dict[Stream, ComparisonResult] = {}
        for (topic, _, kind), aligner in self._aligners.items():
            together.setdefault((topic, kind), ComparisonResult()).add(aligner.found)
        return together

    @property
    def rows(self) -> Counter[str]:
        """Accepted input rows so far, by type."""
        return self._task.tally.rows

    @property
    def offset(self) -> int:
        """The next input offset."""
        return self._task.next_offset

    def _feed(self, record: Record) -> None:
        if isinstance(record, UnreadableBatch):
            self._task.pass_over(record)
            return
        headers: Headers | None = record.headers()  # type: ignore[assignment]
        self._task.feed(record.offset() or 0, record.value(), headers, record.timestamp()[1] * 1_000_000)

    def _step(self) -> None:
        """Compare what the log has given since the last step."""
        for record in self._task.take():
            partition = record.target(self.given.partition, self._counts.get(record.topic, 1))
            kind, rows = self._reading.rows(record.topic, record.value, record.key, record.headers)
            self._stream(record.topic, partition, kind)[0].add(rows)
        for reader in self._readers:
            for kind in list(reader.windows):
                self._compare(reader, kind, self._end_of(reader.topic))
        self._tell(self)

    def _end_of(self, topic: str) -> int:
        """The order up to which all of a topic's rows have been given, exclusive."""
        return self._task.clock_ns // NANOS * NANOS if topic == topics.ALERTS else self._task.next_offset

    def _compare(self, reader: OutputReader, kind: str, end: int) -> None:
        wanted, aligner = self._stream(reader.topic, reader.partition, kind)
        found = reader.read_to(kind, end)
        aligner.compare(wanted.before(end), found.before(end), end)
        self._note_others(reader)

    def _note_others(self, reader: OutputReader) -> None:
        """Tell what a reader has come by beside its own rows."""
        for kind, rows in reader.strangers:
            self._stream(reader.topic, reader.partition, kind)[1].stray(rows)
        for offset in reader.unreadable:
            aligner = self._stream(reader.topic, reader.partition, next(iter(reader.windows)))[1]
            aligner.unreadable(reader.topic, reader.partition, offset)
        reader.strangers, reader.unreadable = [], []

    def _finish(self) -> None:
        """Compare what is left, to the ends of all topics."""
        for reader in self._readers:
            while True:
                for kind in list(reader.windows):
                    self._compare(reader, kind, FOREVER)
                if reader.done:
                    break
        for reader in self._beside:
            while not reader.done:
                reader.read_some()
                self._note_others(reader)
        for (topic, partition, kind), wanted in self._wanted.items():
            if wanted.rows:
                # There is no such partition to read.
                left = wanted.before(FOREVER)
                self._aligners[topic, partition, kind].compare(left, left.cut(slice(0, 0)), FOREVER)
