"""Where a partition's state lies in Kafka: the committed market offset's metadata names its record."""

from confluent_kafka import Consumer, TopicPartition

from streams.engine.task import ReferenceData
from streams.members import Key
from streams.paper.desk import Desk, load
from tapewatch import kafka, topics
from tapewatch.errors import TapewatchError


def state_key(market: Key) -> bytes:
    """The compaction key of a partition's state."""
    return f"{market[0]}|{market[1]}".encode()


def pointer(partition: int, offset: int) -> str:
    """A place in `paper.snapshots` as offset metadata."""
    return f"{partition}:{offset}"


def read_state(reader: Consumer, place: TopicPartition, registry: ReferenceData, beside: list[Key]) -> Desk:
    """The state that a committed market offset names; TapewatchError where it is not there."""
    market: Key = (place.topic, place.partition)
    partition, _, offset = (place.metadata or "").partition(":")
    if partition.isdigit() and offset.isdigit():
        first = int(offset)
        found = list(kafka.read_range(reader, topics.PAPER_SNAPSHOTS, int(partition), first, first + 1))
        if found and found[0].offset() == first and found[0].key() == state_key(market):
            return load(found[0].value() or b"", registry, beside)
    raise TapewatchError(
        f"the paper broker's state of {market[0]}[{market[1]}] is not where its offset says ({place.metadata!r})",
        "Was the topic made anew? Let the broker begin again with a group of its own (paper.group).",
    )
