"""Market topics as a streaming source of Spark: what it hands out are stretches of a partition's log, a row each; tasks
read the records themselves.

Rows of the market never pass the JVM: tasks fetch them by the client, with the security settings, that every process of
ours has. Spark keeps the offsets in its checkpoint. No connector is needed.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

from confluent_kafka import Consumer

from streams import members
from tapewatch import group_offsets, kafka
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
