"""Filling topics in advance: market frames for the engine, one JSON record a quote for its peers."""

import json
from collections.abc import Iterator

import numpy as np
from confluent_kafka import Producer

from benchmarks.pace import Pace
from benchmarks.quotes import START_NS, Shape, frames_of, partition_rows
from producers.feed import FeedWriter, WriterTotals, feed_producer, open_feed
from tapewatch.clock import NANOS
from tapewatch.contract.rows import Rows
from tapewatch.contract.topics import TopicSpec
from tapewatch.errors import TapewatchError
from tapewatch.runtime import kafka
from tapewatch.settings import Settings

PEER_FIELDS = ("bid_price", "bid_qty", "ask_price", "ask_qty", "last_price", "volume")


def fill_market(settings: Settings, feed: str, shape: Shape) -> int:
    """Create the feed with its instruments, write quotes and closing heartbeats; returns the bytes of the frames."""
    return fill_with(settings, feed_producer(settings, linger_ms=5), feed, shape).bytes


def fill_with(settings: Settings, producer: Producer, feed: str, shape: Shape) -> WriterTotals:
    """The same through a producer of the caller's; returns what was sent."""
    open_feed(settings, feed, shape.reference_data(), shape.partitions)
    writer = FeedWriter(producer, feed, "bench", 0, shape.partitions, shape.names)
    closing = np.array([START_NS + shape.seconds * NANOS], dtype=np.int64)
    pace = Pace(f"filling {feed}")
    for partition, names in enumerate(shape.by_partition()):
        if names:
            for rows in frames_of(partition_rows(shape, partition, names), shape.frame_rows):
                writer.send(partition, rows)
                sent = writer.sent.rows.total()
                pace.tell(sent, sent / shape.rows)
            writer.heartbeats(partition, closing)
    writer.flush()
    return writer.sent


def fill_peers(settings: Settings, topic: str, shape: Shape, seconds: int) -> int:
    """Write the quotes of the first `seconds` as one JSON record each, keyed by instrument; returns their bytes."""
    kafka.create_topics(settings, [TopicSpec(topic, shape.partitions)])
    producer = kafka.producer(settings, linger_ms=20)
    total = 0
    for partition, names in enumerate(shape.by_partition()):
        rows = partition_rows(shape, partition, names).take(slice(0, seconds * len(names)))
        for key, value in records(rows):
            kafka.enqueue(producer, topic, value, key, partition=partition)
            total += len(value)
    if producer.flush(60):
        raise TapewatchError(f"the records for {topic} were not acknowledged in 60 s", "Run the bench again.")
    return total


def records(rows: Rows) -> Iterator[tuple[bytes, bytes]]:
    """Key and JSON value of each quote: instrument, ts (UTC ns) and the quote's fields."""
    columns = [rows.columns[name].tolist() for name in PEER_FIELDS]
    for code, ts, *values in zip(rows.columns["instrument"].tolist(), rows.ts_recv.tolist(), *columns, strict=True):
        name = rows.instruments[code]
        quote = {"instrument": name, "ts": ts, **dict(zip(PEER_FIELDS, values, strict=True))}
        yield name.encode(), json.dumps(quote, separators=(",", ":")).encode()
