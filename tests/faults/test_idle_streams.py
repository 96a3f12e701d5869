"""Windows that never close on idle streams: what users of Faust and Quix Streams complain of."""

import uuid
from collections.abc import Callable

import msgspec
from confluent_kafka import TopicPartition

from producers.feed import FeedWriter, LiveWriter, feed_producer, open_feed
from streams.driver import table
from streams.engine.process import Engine
from streams.engine.task import OutputRecord
from tapewatch.clock import NANOS, WALL
from tapewatch.contract import topics
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.partitioner import partition_for
from tapewatch.contract.rows import RowType
from tapewatch.runtime import kafka
from tapewatch.settings import Settings
from tests.eventually import eventually
from tests.integration.at_work import at_work
from tests.unit.engine_market import Event, rows_of

PARTITIONS = 3
DEADLINE_S = 180.0
NAME = "ALONE.SIMX"


def test_windows_that_never_close_on_idle_streams(settings: Settings) -> None:
    """One quote in an hour-long silence of all instruments, two partitions without any row: every second of all three
    is sealed all the same, and the quote's minute becomes a bar's end, by heartbeats alone.
    """
    feed = f"idle{uuid.uuid4().hex[:8]}"
    engine = msgspec.structs.replace(settings.engine, feeds=(feed,), group=feed, instance=feed)
    settings = msgspec.structs.replace(settings, engine=engine)
    open_feed(settings, feed, [Instrument(NAME)], PARTITIONS)
    live = LiveWriter(FeedWriter(feed_producer(settings, linger_ms=1), feed, "live", 1, PARTITIONS, [NAME]))
    first = WALL.now() // NANOS
    values = {"bid_price": 99.0, "bid_qty": 1.0, "ask_price": 101.0, "ask_qty": 1.0, "last_price": 100.0, "volume": 0.0}
    live.add(rows_of([Event(RowType.QUOTE, NAME, first * NANOS + 1, values)], [NAME]))
    from_here = ends(settings)
    with at_work(Engine(settings).run):
        beat(live, first, first + 5)
        markers = poll(settings, feed, from_here, lambda found: all(len(each) >= 4 for each in found.values()))
    for partition in range(PARTITIONS):
        assert markers[partition][:4] == [first, first + 1, first + 2, first + 3]
    assert partition_for(NAME, PARTITIONS) in markers


def beat(live: LiveWriter, first: int, last: int) -> None:
    """What a live producer of an open session sends while nobody trades."""
    for second in range(first, last + 1):
        WALL.sleep(second - WALL.now() / NANOS)
        live.flush(max(WALL.now(), second * NANOS))
    live.writer.flush()


def ends(settings: Settings) -> list[TopicPartition]:
    """Where the topic of features ends now: other tests wrote into it."""
    kafka.create_topics(settings, topics.shared_topics(settings.topics))
    count = kafka.existing_topics(kafka.admin(settings))[topics.FEATURES]
    reader = kafka.consumer(settings)
    try:
        return [
            TopicPartition(topics.FEATURES, each, kafka.watermarks(reader, topics.FEATURES, each)[1])
            for each in range(count)
        ]
    finally:
        reader.close()


def poll(
    settings: Settings, feed: str, places: list[TopicPartition], done: Callable[[dict[int, list[int]]], bool]
) -> dict[int, list[int]]:
    """Sealed seconds by input partition, read committed, until `done`."""
    found: dict[int, list[int]] = {partition: [] for partition in range(PARTITIONS)}
    reader = kafka.consumer(settings)

    def is_done() -> bool:
        for message in reader.consume(500, timeout=0.1):
            headers = dict(message.headers() or ())
            if headers.get("feed") == feed.encode() and headers.get("type") == b"sealed":
                rows = table([OutputRecord(topics.FEATURES, message.value() or b"", None, message.headers())], "sealed")
                found[int(headers["partition"])] += (rows["ts"] // NANOS - 1).tolist()
        return done(found)

    try:
        reader.assign(places)
        eventually(is_done, what="seconds are sealed", seconds=DEADLINE_S, pause=0.0, told=lambda: found)
    finally:
        reader.close()
    return found
