"""Where a partition's state lies in Kafka: the committed market offset's metadata names its record.

Headers of a state: the group that wrote it, the id of its market topic, and the market offset that it is of.
"""

from confluent_kafka import Consumer, Message, TopicPartition

from streams.engine.task import ReferenceData
from streams.members import Key
from streams.paper.paper_partition import PaperPartition, load
from tapewatch.contract import topics
from tapewatch.contract.frames import Headers
from tapewatch.errors import TapewatchError
from tapewatch.runtime import kafka

_GROUP, _TOPIC_ID, _OFFSET = "group", "topic_id", "offset"


def state_key(market: Key) -> bytes:
    """The compaction key of a partition's state."""
    return f"{market[0]}|{market[1]}".encode()


def state_partition(market: Key, count: int) -> int:
    """Which of the `count` partitions of `paper.snapshots` has the states of a market partition."""
    return market[1] % count


def headers(group: str, topic_id: str, begin: int) -> Headers:
    """Headers of a state. begin : the market offset that is committed with it"""
    return [(_GROUP, group.encode()), (_TOPIC_ID, topic_id.encode()), (_OFFSET, str(begin).encode())]


def group(state: Message) -> str:
    """The group that wrote a state; empty where it does not say."""
    return _header(state, _GROUP)


def topic_id(state: Message) -> str:
    """The id of the market topic that a state is of; empty where it does not say."""
    return _header(state, _TOPIC_ID)


def begin(state: Message) -> int:
    """The market offset that a state of ours is of."""
    return int(_header(state, _OFFSET))


def _header(state: Message, name: str) -> str:
    return next((value.decode(errors="replace") for key, value in state.headers() or () if key == name and value), "")


def pointer(partition: int, offset: int) -> str:
    """A place in `paper.snapshots` as offset metadata."""
    return f"{partition}:{offset}"


def pointer_to(state: Message) -> str:
    """The place of a state as offset metadata."""
    return pointer(state.partition() or 0, state.offset() or 0)


def pointed_to(metadata: str | None) -> tuple[int, int] | None:
    """Partition and offset that offset metadata names; None where it names none."""
    partition, _, offset = (metadata or "").partition(":")
    return (int(partition), int(offset)) if partition.isdigit() and offset.isdigit() else None


def read_state(reader: Consumer, place: TopicPartition, registry: ReferenceData, beside: list[Key]) -> PaperPartition:
    """The state that a committed market offset names; TapewatchError where it is not there."""
    market: Key = (place.topic, place.partition)
    named = pointed_to(place.metadata)
    if named is not None:
        partition, first = named
        found = list(kafka.read_range(reader, topics.PAPER_SNAPSHOTS, partition, first, first + 1))
        if found and found[0].offset() == first and found[0].key() == state_key(market):
            return load(found[0].value() or b"", registry, beside)
    raise TapewatchError(
        f"the paper broker's state of {market[0]}[{market[1]}] is not where its offset says ({place.metadata!r})",
        "Was the topic made anew? Let the broker begin again with a group of its own (paper.group).",
    )
