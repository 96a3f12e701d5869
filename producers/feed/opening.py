"""Opening a feed: its topics exist and its instruments are registered before the first row is sent; its producer."""

from collections.abc import Iterable

from confluent_kafka import Producer

from tapewatch.clock import WALL, Clock
from tapewatch.contract import topics
from tapewatch.contract.instruments import Instrument
from tapewatch.errors import TapewatchError
from tapewatch.market_log import control_rows, generations, registry
from tapewatch.runtime import kafka
from tapewatch.settings import Settings


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
