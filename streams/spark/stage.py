"""The Structured Streaming job: market topics in, features, scores, bars, alerts and signals out, bit for bit what live
engines write, with Spark's checkpoint.

Each micro-batch is one Spark job of one task a Kafka partition (`streams.spark.ranges`), so that the order within a
partition is kept without a shuffle.

Market topics as a streaming source of Spark: what it hands out are stretches of a partition's log, a row each; tasks
read the records themselves.

Rows of the market never pass the JVM: tasks fetch them by the client, with the security settings, that every process of
ours has. Spark keeps the offsets in its checkpoint. No connector is needed.
"""

import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
from confluent_kafka import Consumer

from streams import members
from streams.spark import ranges, session
from streams.spark.backfill import resolved
from streams.spark.ranges import Share
from tapewatch import logs
from tapewatch.clock import NANOS, WALL
from tapewatch.errors import TapewatchError
from tapewatch.runtime import group_offsets, kafka
from tapewatch.runtime.monitoring import Monitor
from tapewatch.settings import Settings

NAME = "tapewatch-market"
SCHEMA = "topic string, partition int, first bigint, next bigint"

Offsets = dict[str, int]
"""`TOPIC/PARTITION` to the next offset: what Spark's checkpoint holds."""


def ends(settings: Settings, feeds: Sequence[str], low: bool = False) -> Offsets:
    """The next offset of each partition of the feeds in all their generations, as a live engine takes them; of every
    feed where none is named. low : the first one instead
    """
    reader = kafka.consumer(settings)
    try:
        return {
            f"{topic}/{partition}": at[0 if low else 1] for (topic, partition), at in _bounds(reader, feeds).items()
        }
    finally:
        reader.close()


def _bounds(reader: Consumer, feeds: Sequence[str]) -> dict[tuple[str, int], tuple[int, int]]:
    """First and next offset of each partition."""
    wanted = [re.compile(each) for each in members.subscribed(tuple(feeds))]
    return {
        (topic, partition): kafka.watermarks(reader, topic, partition)
        for topic, count in sorted(kafka.existing_topics(reader).items())
        if any(each.match(topic) for each in wanted)
        for partition in range(count)
    }


def is_through(settings: Settings) -> bool:
    """Whether the group has committed every record of the feeds' logs, of which there must be one at least."""
    reader = kafka.consumer(settings, settings.engine.group)
    try:
        bounds = _bounds(reader, settings.engine.feeds)
        done = group_offsets.next_offsets(reader, bounds)
        for log, (low, high) in bounds.items():
            # What is left may be the marks of transactions alone.
            with closing(kafka.read_range(reader, *log, max(low, done.get(log, 0)), high)) as rest:
                if next(rest, None) is not None:
                    return False
        return bool(bounds)
    finally:
        reader.close()


def stretches(start: Offsets, end: Offsets) -> list[tuple[str, int, int, int]]:
    """Topic, partition, first and next offset of what lies between; a partition that is new begins at 0."""
    found = []
    for name, until in sorted(end.items()):
        topic, _, partition = name.rpartition("/")
        if (first := start.get(name, 0)) < until:
            found.append((topic, int(partition), first, until))
    return found


def capped(start: Offsets, high: Offsets, most: int) -> Offsets:
    """As far as one batch goes. most : records of a partition"""
    return {name: max(start.get(name, 0), min(end, start.get(name, 0) + most)) for name, end in high.items()}


def register(spark: Any, settings: Settings) -> None:
    """Let `spark.readStream.format(NAME)` read the market topics of `settings.engine.feeds`."""
    from pyspark.sql.datasource import DataSource, DataSourceStreamReader, InputPartition

    class Reader(DataSourceStreamReader):
        """Tells Spark how far the logs are."""

        def initialOffset(self) -> Offsets:  # noqa: N802 - Spark's name
            return ends(settings, settings.engine.feeds, low=True)

        def latestOffset(self, start: Offsets | None = None, limit: object = None) -> Offsets:  # noqa: N802
            high = ends(settings, settings.engine.feeds)
            return high if start is None else start | capped(start, high, settings.spark.batch_records)

        def partitions(self, start: Offsets, end: Offsets) -> Sequence[InputPartition]:
            return [InputPartition(row) for row in stretches(start, end)]

        def read(self, partition: InputPartition) -> Iterator[tuple[str, int, int, int]]:
            yield partition.value

    class Market(DataSource):
        """The source."""

        @classmethod
        def name(cls) -> str:
            return NAME

        def schema(self) -> str:
            return SCHEMA

        def streamReader(self, schema: object) -> Reader:  # noqa: N802 - Spark's name
            return Reader()

    spark.dataSource.register(Market)


log = logs.get("spark")

STOP_S = 30.0
"""How long a batch under way is waited for at the end, s."""
_LOOK_S = 0.1
_LOOK_AGAIN_S = 1.0
_STARVED = "failed to connect back"
"""What Spark says of a Python process that took longer to start than its fixed 10 s, as on an overloaded machine."""
_STARTS = 5
"""How often in a row the job is started for that before it ends."""


@dataclass(slots=True)
class Totals:
    """What the job has done so far. batches : of Spark; recovered : partitions whose state was made anew"""

    batches: int = 0
    frames: int = 0
    rows: int = 0
    features: int = 0
    scores: int = 0
    alerts: int = 0
    signals: int = 0
    transactions: int = 0
    recovered: int = 0

    def add(self, share: Share) -> None:
        """Count one partition's share of a batch."""
        for name in self.__slots__:
            if name != "batches":
                setattr(self, name, getattr(self, name) + getattr(share, name))


class SparkStage:
    """`tapewatch run spark`. spark : a session to work with, which is left open; one of its own where none is given"""

    def __init__(self, settings: Settings, spark: Any = None) -> None:
        self.settings = resolved(settings)
        self.totals = Totals()
        self.monitor = Monitor("spark", settings)
        self._given = spark
        self._moved = WALL.elapsed()
        self._busy = threading.Event()

    @property
    def checkpoint(self) -> Path | str:
        """Where Spark keeps its offsets."""
        group = self.settings.engine.group
        return self.settings.spark.checkpoint or self.settings.data_path / "spark" / group

    def run(self, stop: threading.Event, until_idle_s: float = 0.0) -> None:
        """Work until told to stop, or until all is done that there is and nothing came for so long."""
        chosen = self.settings.spark
        ranges.prepare(self.settings)
        spark = self._given or session.start(chosen.master, chosen.memory, "run `tapewatch run engine`")
        try:
            register(spark, self.settings)
            starts, batches = 0, 0
            while failure := self._query(spark, stop, until_idle_s):
                starts = starts + 1 if batches == self.totals.batches else 1
                batches = self.totals.batches
                if _STARVED not in failure or starts == _STARTS:
                    hint = "See the trace above; start it again."
                    raise TapewatchError(f"the Spark job failed: {_last(failure)}", hint)
                log.warning("a Python process of Spark's was not up within 10 s: on from the checkpoint", start=starts)
        finally:
            if self._given is None:
                spark.stop()

    def _query(self, spark: Any, stop: threading.Event, until_idle_s: float) -> str:
        """Work from the checkpoint on; why it failed, or empty text."""
        query = (
            spark.readStream.format(NAME)
            .load()
            .writeStream.foreachBatch(self._batch)
            .option("checkpointLocation", str(self.checkpoint))
            .trigger(processingTime=f"{int(self.settings.spark.trigger_seconds * 1000)} milliseconds")
            .start()
        )
        self.monitor.ready()
        return self._watch(query, stop, until_idle_s)

    def _batch(self, frame: Any, number: int) -> None:
        """One micro-batch. frame : rows of source.SCHEMA, a Spark partition each"""
        settings = self.settings

        def tasks(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for batch in batches:
                for row in batch.to_pylist():
                    share = ranges.work(settings, row["topic"], row["partition"], row["next"])
                    yield pa.record_batch({"share": pa.array([msgspec.json.encode(share)], pa.binary())})

        self._busy.set()
        try:
            shares = [
                msgspec.json.decode(bytes(row["share"]), type=Share)
                for row in frame.mapInArrow(tasks, "share binary").collect()
            ]
        finally:
            self._busy.clear()
        for share in shares:
            self.totals.add(share)
        self.totals.batches += 1
        self._moved = WALL.elapsed()
        log.info("batch done", batch=number, partitions=len(shares), rows=sum(share.rows for share in shares))

    def _watch(self, query: Any, stop: threading.Event, until_idle_s: float) -> str:
        """Until it is told to stop, is idle, or has failed: why, then."""
        self._moved = WALL.elapsed()
        while not stop.is_set() and query.isActive:
            self.monitor.beat()
            if until_idle_s and not self._busy.is_set() and WALL.elapsed() - self._moved > until_idle_s * NANOS:
                # Spark may take its time between batches.
                if is_through(self.settings):
                    break
                stop.wait(_LOOK_AGAIN_S)
            stop.wait(_LOOK_S)
        until = WALL.elapsed() + int(STOP_S * NANOS)
        while self._busy.is_set() and query.isActive and WALL.elapsed() < until:
            WALL.sleep(_LOOK_S)
        failure = query.exception()
        query.stop()
        return "" if failure is None else str(failure)


def _last(text: str) -> str:
    """What a Python task said, out of a Java trace."""
    lines = [line.strip() for line in text.splitlines() if "Error" in line]
    return lines[-1] if lines else text.strip().splitlines()[0]
