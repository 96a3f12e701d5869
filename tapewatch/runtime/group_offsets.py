"""What a consumer group has committed, asked of a coordinator that may be on the move."""

from collections.abc import Iterable

from confluent_kafka import Consumer, KafkaException, TopicPartition

from tapewatch.clock import NANOS
from tapewatch.errors import TapewatchError
from tapewatch.logs import Log
from tapewatch.runtime import kafka

PATIENCE_S = 30
"""How long a coordinator is waited for, s."""
KEPT_AGAIN_NS = 3600 * NANOS
"""How often who is no member of a group commits offsets that do not move again: the broker forgets each of them after
`offsets.retention.minutes` without a commit (KIP-211).
"""


def committed(consumer: Consumer, places: list[TopicPartition]) -> list[TopicPartition]:
    """What the consumer's group has committed of these partitions, in their order; offset -1001 where nothing. A
    coordinator that moves or still loads is waited for, PATIENCE_S at most: KafkaException then.
    """

    def ask() -> list[TopicPartition]:
        found: list[TopicPartition] = consumer.committed(places, timeout=10)
        for each in found:
            if each.error:
                raise KafkaException(each.error)
        return found

    return kafka.answered(ask, kafka.is_passing, PATIENCE_S) if places else []


def next_offsets(consumer: Consumer, logs: Iterable[tuple[str, int]]) -> dict[tuple[str, int], int]:
    """Where the consumer's group stands: next offset by topic and partition, without those that it never committed."""
    found = committed(consumer, [TopicPartition(*log) for log in logs])
    return {(each.topic, each.partition): int(each.offset) for each in found if each.offset >= 0}


def restore(group: str, place: TopicPartition, to: int, told: bool, log: Log, says: str, remedy: str) -> None:
    """Say that a group's own records stand at another offset than it has. TapewatchError unless it was told to go on.

    place : with the group's offset, negative where it has none; to : theirs; told : whether to go on there
    says : what they stand at and what is at risk; remedy : how to go on
    """
    if told:
        log.warning("offset restored", topic=place.topic, partition=place.partition, had=max(place.offset, -1), has=to)
        return
    has = "no offset" if place.offset < 0 else f"offset {place.offset:,}"
    raise TapewatchError(
        f"the group {group} has {has} for {place.topic}[{place.partition}], {says}",
        "Offsets expire when a group is away for longer than the broker's offsets.retention.minutes, and tools set "
        f"them. {remedy}",
    )
