"""Generations of a feed's topic: a feed that needs another number of partitions goes on in a new topic, whose
partitions begin with the state that the old ones ended with.

The compacted topic `feeds.generations` says which there are, a record each (docs/rescale.md has the protocol). The
first generation of a feed is `market.<feed>` and has no record; the second is `market.<feed>-g2`, a feed of its own to
all readers.
"""

import re
from collections.abc import Mapping

import msgspec
from confluent_kafka import Message

from tapewatch.contract import topics
from tapewatch.errors import TapewatchError
from tapewatch.runtime import kafka
from tapewatch.runtime.batches import UnreadableBatch
from tapewatch.settings import Settings

CLOSING, OPENING, OPEN = "closing", "opening", "open"
"""How far a generation is: the one before it is being closed; its partitions' states lie ready; it is written to."""

_NAMED = re.compile(r"(?P<feed>[a-z0-9][a-z0-9-]*)-g(?P<number>[2-9]|[1-9][0-9]+)")


class InitialSnapshot(msgspec.Struct, frozen=True):
    """The state that a partition begins with, a snapshot.

    partition, offset, chunks : where it lies on `engine.snapshots`; digest : SHA-256 of its bytes
    """

    partition: int
    offset: int
    chunks: int
    digest: str
    instruments: int


class Generation(msgspec.Struct, frozen=True):
    """A later generation of a feed.

    feed : of the first generation; number : from 2 on; partitions : of its topic; state : one of those above
    before : topic of the generation before it; at : time of the cut, UTC ns; cut : by partition of `before`, offset of
    the record that closes it; openings : by partition
    """

    feed: str
    number: int
    topic: str
    partitions: int
    state: str
    before: str
    at: int = 0
    cut: list[int] = []
    openings: list[InitialSnapshot] = []

    @property
    def name(self) -> str:
        """The generation as a feed."""
        return topics.feed_of(self.topic)


class Generations:
    """What the topic says. by_topic : generations by their market topic"""

    def __init__(self, by_topic: Mapping[str, Generation] = {}) -> None:
        self.by_topic = by_topic

    def of(self, feed: str) -> list[Generation]:
        """A feed's generations behind the first, oldest first. feed : of any of them"""
        base = self.base(feed)
        return sorted((each for each in self.by_topic.values() if each.feed == base), key=lambda each: each.number)

    def base(self, feed: str) -> str:
        """The name of a feed's first generation."""
        found = self.by_topic.get(f"market.{feed}")
        return found.feed if found else feed

    def current(self, feed: str) -> str:
        """The generation that is written to, as a feed."""
        opened = [each for each in self.of(feed) if each.state == OPEN]
        return opened[-1].name if opened else self.base(feed)

    def under_way(self, feed: str) -> Generation | None:
        """The one that is being made, if any."""
        return next((each for each in self.of(feed) if each.state != OPEN), None)

    def successor(self, topic: str) -> Generation | None:
        """The generation behind a market topic, once its partitions' states lie ready."""
        return next((each for each in self.by_topic.values() if each.before == topic and each.state != CLOSING), None)

    def opening(self, topic: str, partition: int) -> InitialSnapshot | None:
        """What a partition begins with; None where it begins with nothing."""
        found = self.by_topic.get(topic)
        return found.openings[partition] if found and partition < len(found.openings) else None


def read(settings: Settings) -> Generations:
    """The generations of all feeds as they stand now."""
    found: dict[str, Generation] = {}

    def take(message: Message) -> None:
        value = message.value()
        if value and not isinstance(message, UnreadableBatch):
            one = msgspec.json.decode(value, type=Generation)
            found[one.topic] = one

    if topics.GENERATIONS in kafka.existing_topics(kafka.admin(settings)):
        kafka.read_all(settings, topics.GENERATIONS, take)
    return Generations(found)


def write(settings: Settings, generation: Generation) -> None:
    """Put a generation's record on the topic, acknowledged."""
    kafka.create_topics(settings, [topics.generations_topic()])
    sent = kafka.Deliveries(kafka.producer(settings, linger_ms=0))
    sent.send(topics.GENERATIONS, msgspec.json.encode(generation), generation.topic.encode())
    sent.settle()


def next_after(feed: str, standing: Generations) -> tuple[int, str]:
    """Number and feed name of the generation behind the present one; TapewatchError where that is no feed name."""
    number = len([each for each in standing.of(feed) if each.state == OPEN]) + 2
    name = f"{standing.base(feed)}-g{number}"
    topics.market(name)
    return number, name


def writable(settings: Settings, feed: str) -> str:
    """The name under which a feed is written now; TapewatchError while it is being rescaled."""
    standing = read(settings)
    making = standing.under_way(feed)
    if making is not None:
        raise TapewatchError(
            f"the feed {making.feed} is being rescaled: nothing may be sent",
            f"Finish it: tapewatch rescale {making.feed} --partitions {making.partitions}",
        )
    return standing.current(feed)


def named(feed: str) -> tuple[str, int] | None:
    """First generation and number that a feed's name says, were it a later generation; None for other names."""
    match = _NAMED.fullmatch(feed)
    return (match["feed"], int(match["number"])) if match else None
