"""How far a feed's log has come, so that a new writer's rows are not older than those that lie there.

Opening a feed: its topics exist and its instruments are registered before the first row is sent; its producer.

Waiting for an engine, so that a show does not begin before anybody looks on.
"""

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import cast

from confluent_kafka import KafkaException, Message, Producer

from tapewatch.clock import WALL, Clock
from tapewatch.contract import topics
from tapewatch.contract.checks import MAX_SKEW_NS
from tapewatch.contract.frames import Decoder, FrameHeaders, Headers
from tapewatch.contract.instruments import Instrument
from tapewatch.errors import ContractError, TapewatchError
from tapewatch.market_log import control_rows, generations, registry
from tapewatch.market_log.admission import ASIDE
from tapewatch.runtime import kafka
from tapewatch.settings import Settings

LOOK_S = 0.05
ANSWER_S = 1.0
"""A broker that has just started may leave a question about a group it does not know yet without an answer."""


def await_engine(settings: Settings, feed: str, partitions: int, stop: threading.Event) -> None:
    """Create the feed's topics and wait until the engine's group has taken them up, or until `stop` is set."""
    kafka.create_topics(settings, topics.market_topics(feed, settings.topics, partitions))
    client, topic, group = kafka.admin(settings), topics.market(feed), settings.engine.group
    while not stop.wait(LOOK_S):
        try:
            members = client.describe_consumer_groups([group], request_timeout=ANSWER_S)[group].result().members
        except KafkaException:
            continue
        if any(place.topic == topic for member in members for place in member.assignment.topic_partitions):
            return


def open_feed(
    settings: Settings, feed: str, instruments: Iterable[Instrument], partitions: int = 0, clock: Clock = WALL
) -> int:
    """Create the feed's missing topics (a new one begins with what is in force by order), register its instruments, and
    return the topic's partition count.

    partitions : of a new topic, 0 takes the setting; a topic that exists keeps its own
    TapewatchError where the feed goes on in a later generation of its topic, or is being rescaled.
    """
    written = generations.writable(settings, feed)
    if written != feed:
        raise TapewatchError(f"the feed {feed} goes on as {written}, since it was rescaled", f"Send to {written}.")
    specs = [*topics.market_topics(feed, settings.topics, partitions), *topics.shared_topics(settings.topics)]
    kafka.create_topics(settings, specs)
    control_rows.seed_new_feed(settings, topics.market(feed), clock)
    registry.register(settings, instruments, clock)
    return kafka.existing_topics(kafka.admin(settings))[topics.market(feed)]


def feed_producer(settings: Settings, linger_ms: int) -> Producer:
    """An idempotent producer for frames.

    Books compress to a third at no cost in time. Without gaps: after a frame that is lost no later one may be taken,
    for its sequence would hide the lost one from a second replay.
    """
    return kafka.producer(
        settings,
        linger_ms=linger_ms,
        batch_size=1_000_000,
        compression_type="lz4",
        enable_gapless_guarantee=True,
    )


TAIL_RECORDS = 64
"""Records read at the end of each partition."""


@dataclass(slots=True)
class LogTail:
    """The newest of the last records of all partitions, control records and replays aside.

    newest_ns : newest ts_recv, UTC nanoseconds, 0 for an empty log; epochs : newest epoch by source
    appended_ns : when the broker appended the newest, UTC nanoseconds
    """

    newest_ns: int = 0
    epochs: dict[str, int] = field(default_factory=dict)
    appended_ns: int = 0

    def next_epoch(self, source: str, now_ns: int) -> int:
        """An epoch above all that the source has had.

        What it had before the records that were looked at is not known: its writer's clock may have been ahead, by half
        of what readers believe. The other half is left for brokers whose clocks differ.
        """
        known = self.epochs.get(source)
        return max(now_ns, self.appended_ns + MAX_SKEW_NS // 2 if known is None else known + 1)

    def take(self, message: Message, decoder: Decoder) -> None:
        """Look at one record; an unreadable one tells nothing."""
        try:
            headers = FrameHeaders.from_kafka(cast(Headers | None, message.headers()))
            times = decoder.open(message.value() or b"").column("ts_recv")
        except ContractError:
            return
        appended_ns = message.timestamp()[1] * 1_000_000
        self.appended_ns = max(self.appended_ns, appended_ns)
        # What readers refuse must become neither this writer's time nor its epoch.
        latest = appended_ns + MAX_SKEW_NS
        if headers.source not in ASIDE and headers.epoch <= latest:
            self.newest_ns = max(self.newest_ns, int(times[times <= latest].max(initial=0)))
            self.epochs[headers.source] = max(self.epochs.get(headers.source, -1), headers.epoch)


def read_tail(settings: Settings, feed: str) -> LogTail:
    """Read the end of every partition of the feed's market topic."""
    tail, decoder, topic = LogTail(), Decoder(), topics.market(feed)
    reader = kafka.consumer(settings)
    try:
        for partition in range(kafka.existing_topics(kafka.admin(settings)).get(topic, 0)):
            low, high = kafka.watermarks(reader, topic, partition)
            for message in kafka.read_range(reader, topic, partition, max(low, high - TAIL_RECORDS), high):
                tail.take(message, decoder)
    finally:
        reader.close()
    return tail
