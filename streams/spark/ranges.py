"""One partition's share of a micro-batch, done in a Spark task: the engine's own steps, from the group's committed
offset to the batch's end.

The truth about what was done is the group's, as it is for live engines: outputs, offsets and the pointers to snapshots
are committed in one Kafka transaction. Spark's checkpoint only says how far a batch goes. A task that is run twice, or
a batch that is done again after a crash, finds the offsets moved on and has nothing left to do.
"""

import os
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path

import msgspec
from confluent_kafka import Message, TopicPartition

from streams.engine import opening_snapshots
from streams.engine.process import Engine
from streams.engine.rebuilding import AssignedPartition
from streams.engine.snapshots import Pointers
from streams.engine.task import OutputRecord
from streams.engine.warm import warm_up
from streams.members import Key
from streams.spark.backfill import KEPT, TableFiles
from streams.spark.stored_log import span
from streams.spark.tables import rows_of
from tapewatch.contract import topics
from tapewatch.errors import TapewatchError
from tapewatch.runtime import kafka
from tapewatch.settings import Settings


class Share(msgspec.Struct, frozen=True):
    """What was done of a batch in one partition. recovered : whether its state had to be made from snapshot and log"""

    topic: str
    partition: int
    next_offset: int
    frames: int = 0
    rows: int = 0
    features: int = 0
    scores: int = 0
    alerts: int = 0
    signals: int = 0
    transactions: int = 0
    recovered: bool = False


_COUNTS = ("frames", "rows", "features", "scores", "alerts", "signals", "transactions")


class RangeEngine(Engine):
    """An engine of one partition that is told how far to go, and is no member of its group.

    A live engine's group has members, and takes no offsets from anybody else: the two never work on a log together.
    """

    def __init__(self, settings: Settings, key: Key) -> None:
        named = msgspec.structs.replace(settings.engine, instance=f"spark-{key[0]}-{key[1]}")
        super().__init__(msgspec.structs.replace(settings, engine=named))
        self._key = key
        self._out = Path(settings.spark.parquet) if settings.spark.parquet else None
        self._files: TableFiles | None = None
        self._written = 0
        self._group = kafka.consumer(self._settings, self._settings.engine.group)
        self._reader = kafka.consumer(self._settings, auto_offset_reset="error")
        warm_up()

    def work(self, until: int) -> Share:
        """Process the log up to an offset, exclusive. TapewatchError where the group does not take what was done."""
        before = {name: getattr(self.totals, name) for name in _COUNTS}
        recovered = self.totals.recovered
        # The producer before this one, here or in a worker that died, is fenced first: then the offsets say the truth.
        self._writer = self._fence()
        self._partitions = self._partitions or kafka.existing_topics(kafka.admin(self._settings))
        held = self._taken_up(self._standing.proved(self._group, [TopicPartition(*self._key)])[0])
        self._read(held, until)
        counts = {name: getattr(self.totals, name) - before[name] for name in _COUNTS}
        return Share(*self._key, held.task.next_offset, **counts, recovered=self.totals.recovered > recovered)

    def _taken_up(self, place: TopicPartition) -> AssignedPartition:
        """The partition as it is committed, from memory where this process has it still."""
        done, pointers = max(place.offset, 0), Pointers.decoded(place.metadata)
        held = self._held.get(self._key)
        if held is not None and held.task.next_offset < done and held.pointers == pointers:
            self._catch_up(held, done)
        # One that is silent still was left in the middle of catching up.
        if held is None or held.task.silent or held.task.next_offset != done:
            self._held.clear()
            self._rebuilding.begin(self._key, done, pointers)
            while not (whole := self._rebuilding.step()):
                pass
            held = self._held[self._key] = whole[self._key]
        if self._out is not None:
            _drop_from(self._out, self._key, held.task.next_offset)
        self._written = held.task.next_offset
        return held

    def _catch_up(self, held: AssignedPartition, done: int) -> None:
        """Compute silently what other workers have done of the partition since this one had it; no snapshot of it was
        written meanwhile, so this is the shortest way.
        """
        task = held.task
        task.silent = True
        for batch in self._batches(task.next_offset, done):
            self._registry.fetched(batch)
            self._feed(batch)
        task.end_replay()
        task.next_offset = done
        held.opened = opening_snapshots.day_of(task)

    def _read(self, held: AssignedPartition, until: int) -> None:
        """Feed the log and commit it, a transaction every so many frames."""
        for batch in self._batches(held.task.next_offset, until):
            self._do(batch)
        self._settled()

    def _batches(self, first: int, until: int) -> Iterator[list[Message]]:
        """The log's records, as many at once as a transaction has."""
        log = kafka.read_range(self._reader, *self._key, first, until)
        while batch := list(islice(log, self._settings.spark.transaction_frames)):
            yield batch

    def _do(self, batch: list[Message]) -> None:
        """Compute a batch, and commit it while the next one is computed."""
        self._registry.fetched(batch)
        self._sent_ms = batch[0].timestamp()[1]
        touched = self._feed(batch)
        self._settled()
        if touched:
            self._begin(self._group, touched)

    def _settled(self) -> None:
        failed = self.totals.aborted
        if not self._settle() or self.totals.aborted > failed or self._lost:
            self._lost.clear()
            raise TapewatchError(
                f"what Spark computed of {self._key[0]}[{self._key[1]}] was not committed",
                "A live engine of the same group takes no offsets from Spark: end it, or set engine.group. "
                "Otherwise run the job again: it goes on where the group stands.",
            )

    def _write_task(self, held: AssignedPartition) -> None:
        """Outputs into the open transaction; into Parquet before it is committed."""
        if self._out is None:
            super()._write_task(held)
            return
        name = f"{self._written}-{held.task.next_offset}"
        self._files = TableFiles(partial(_folder, self._out, self._key), name)
        try:
            super()._write_task(held)
            self._files.finish()
        finally:
            self._files.drop()
            self._files = None
        self._written = held.task.next_offset

    def _produce(self, record: OutputRecord, partition: int) -> None:
        super()._produce(record, partition)
        if self._files is not None and record.topic in KEPT:
            self._files.add(*rows_of(record.topic, record.value, record.key, record.headers))


def _folder(out: Path, key: Key, table: str) -> Path:
    return out / table / f"feed={topics.feed_of(key[0])}" / f"partition={key[1]}"


def _drop_from(out: Path, key: Key, offset: int) -> None:
    """Take away what was written for transactions that were never committed. offset : the first not processed"""
    for path in out.glob(f"*/feed={topics.feed_of(key[0])}/partition={key[1]}/*"):
        if path.name.startswith(".") or span(path)[0] >= offset:
            path.unlink()


_ENGINES: dict[tuple[int, str, str, Key], RangeEngine] = {}
"""Of this worker process: Spark gives a partition to whichever is free, and may give it back later."""


def work(settings: Settings, topic: str, partition: int, until: int) -> Share:
    """Do one partition's share of a batch, with the state that this process may have kept of it."""
    name = os.getpid(), settings.bootstrap(), settings.engine.group, (topic, partition)
    engine = _ENGINES.pop(name, None) or RangeEngine(settings, (topic, partition))
    share = engine.work(until)
    # Kept only where it came to its end: after a failure everything is made anew.
    _ENGINES[name] = engine
    return share


def prepare(settings: Settings) -> None:
    """Make the topics that are written to, and put the shipped models where every build finds them."""
    from streams.engine.model_store import KafkaModelStore

    kafka.create_topics(settings, topics.shared_topics(settings.topics))
    KafkaModelStore(settings).publish_shipped()
