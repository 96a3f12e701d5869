"""A market stored in Kafka's market topics, found by log time, and taken up from a snapshot where one lies near."""

from collections.abc import Iterator, Sequence

from confluent_kafka import Consumer, Message, TopicPartition

from evaluation.history_features import Partition, Record, Span
from streams.engine import snapshots
from streams.engine.build import build_hash
from streams.engine.models import ActiveModels, ModelSource
from streams.engine.snapshots import DamagedError, Pointer, Pointers
from streams.engine.task import Task
from tapewatch.clock import NANOS
from tapewatch.contract import frames, topics
from tapewatch.errors import ContractError, TapewatchError
from tapewatch.market_log import control_rows
from tapewatch.market_log.admission import ASIDE
from tapewatch.market_log.registry import Registry
from tapewatch.runtime import group_offsets, kafka
from tapewatch.settings import Settings


class TopicHistory:
    """Every market topic, or one feed's."""

    def __init__(self, settings: Settings, shelf: ModelSource, feed: str = "") -> None:
        self._settings, self._shelf = settings, shelf
        self._registry = Registry(settings)
        self._reader = kafka.consumer(settings)
        self._group = kafka.consumer(settings, settings.engine.group)
        known = control_rows.market_partitions(settings)
        if feed and topics.market(feed) not in known:
            raise TapewatchError(f"there is no feed {feed}", f"There are: {', '.join(known) or 'none'}.")
        self._places = {name: known[name] for name in ([topics.market(feed)] if feed else known)}
        self.where = ", ".join(self._places)

    @property
    def extent(self) -> tuple[int, int]:
        """First and last log time of all partitions, UTC ns; TapewatchError where they are empty."""
        ends: list[int] = []
        for topic, partition in self._all():
            low, high = kafka.watermarks(self._reader, topic, partition)
            ends += [
                found for found in (self._time(topic, partition, low, high), self._last(topic, partition)) if found
            ]
        if not ends:
            raise TapewatchError("the market topics are empty", "Fill one: `tapewatch produce replay FILE`.")
        return min(ends), max(ends)

    def _all(self) -> Iterator[tuple[str, int]]:
        return ((topic, partition) for topic, partitions in self._places.items() for partition in partitions)

    def partitions(self, span: Span) -> Sequence[Partition]:
        """Those with records in the span."""
        found = [self._partition(topic, partition, span) for topic, partition in self._all()]
        kept = [one for one in found if one is not None]
        if not kept:
            raise TapewatchError(
                "no market topic has a record in the span", "It may be deleted already: topics.market_retention_hours."
            )
        return kept

    def _partition(self, topic: str, partition: int, span: Span) -> "TopicPartitionLog | None":
        low, high = kafka.watermarks(self._reader, topic, partition)
        start = self._offset(topic, partition, low, high, span.start_ns)
        if start >= high or self._time(topic, partition, start, high) >= span.end_ns:
            return None
        warm = self._offset(topic, partition, low, start, span.start_ns - int(span.warm_up_s * NANOS))
        pointers = Pointers.decoded(
            group_offsets.committed(self._group, [TopicPartition(topic, partition)])[0].metadata
        )
        near = next((one for one in pointers.snapshots if warm <= one.next_offset <= start), None)
        return TopicPartitionLog(
            self._settings, (topic, partition), (warm, start, high), near, self._registry, self._shelf
        )

    def _offset(self, topic: str, partition: int, low: int, high: int, ns: int) -> int:
        """The first offset of `low..high` whose record's newest ts_recv is not before `ns`: a partition's clock never
        goes back.
        """
        while low < high:
            middle = (low + high) // 2
            at = self._time(topic, partition, middle, high)
            if at and at < ns:
                low = middle + 1
            else:
                high = middle
        return low

    def _time(self, topic: str, partition: int, offset: int, high: int) -> int:
        """Newest ts_recv of the first readable market record at or behind the offset; 0 for none."""
        for message in kafka.read_range(self._reader, topic, partition, offset, high):
            found = _newest(message)
            if found:
                return found
        return 0

    def _last(self, topic: str, partition: int) -> int:
        """Newest ts_recv of the partition's end; 0 where it is empty."""
        low, high = kafka.watermarks(self._reader, topic, partition)
        for offset in range(high - 1, max(low, high - 64) - 1, -1):
            found = self._time(topic, partition, offset, high)
            if found:
                return found
        return 0

    def kind(self, instrument: str) -> str:
        """By the registry, as it was read on the way."""
        known = self._registry.instruments.get(instrument)
        return known.kind if known else ""

    def close(self) -> None:
        """Give the clients back."""
        for client in (self._reader, self._group):
            client.close()
        self._registry.close()


def _newest(message: Message) -> int:
    """Newest ts_recv of a record, UTC ns; 0 where it moves no clock: a control row, a replayed one, or what cannot be
    read.
    """
    source = dict(message.headers() or ()).get("source")
    if isinstance(source, bytes) and source.decode("utf-8", "replace") in ASIDE:
        return 0
    try:
        return int(frames.to_rows(message.value() or b"").ts_recv.max())
    except ContractError:
        return 0


class TopicPartitionLog:
    """One partition's log from a snapshot or a warm-up on.

    place : topic and partition; offsets : where the warm-up begins, where the span does, the log's end
    """

    def __init__(
        self,
        settings: Settings,
        place: tuple[str, int],
        offsets: tuple[int, int, int],
        near: Pointer | None,
        registry: Registry,
        shelf: ModelSource,
    ) -> None:
        self._settings, self._registry, self._shelf = settings, registry, shelf
        self._topic, self._partition = place
        self._warm, self._start, self._high = offsets
        self.name = f"{self._topic}[{self._partition}]"
        self._snapshot = self._read(near) if near else b""
        self._first = near.next_offset if near and self._snapshot else self._warm
        records = f"{self._start - self._first:,} records before the span"
        self.begin = f"snapshot, {records}" if self._snapshot else f"without state, {records}"

    def _read(self, near: Pointer) -> bytes:
        """The snapshot's bytes; empty where it is damaged or of another format."""
        reader = kafka.consumer(self._settings)

        def read(partition: int, offset: int) -> list[Message]:
            low, high = kafka.watermarks(reader, topics.SNAPSHOTS, partition)
            return list(kafka.read_range(reader, topics.SNAPSHOTS, partition, max(low, offset), high))

        task = self._new(ActiveModels.default(self._shelf))
        try:
            data = snapshots.collect(near, task, read)
            snapshots.restore(task, data, self._shelf)
        except DamagedError:
            return b""
        finally:
            reader.close()
        return data

    def _new(self, force: ActiveModels) -> Task:
        return Task(self._topic, self._partition, self._registry, force, build_hash())

    def task(self, force: ActiveModels) -> Task:
        """The snapshot's task, or a new one, under the given models and thresholds."""
        task = self._new(force)
        if self._snapshot:
            snapshots.restore(task, self._snapshot, self._shelf)
            task.judge_by(force)
        return task

    def records(self) -> Iterator[Record]:
        """The log up to its present end."""
        reader: Consumer = kafka.consumer(self._settings)
        try:
            for message in kafka.read_range(reader, self._topic, self._partition, self._first, self._high):
                self._registry.stale = True
                yield Record(message.offset(), message.value(), message.headers(), message.timestamp()[1] * 1_000_000)
        finally:
            reader.close()
