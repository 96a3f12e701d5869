"""What a consumer group has committed, asked of a coordinator that may be on the move."""

from collections.abc import Iterable

from confluent_kafka import Consumer, KafkaError, TopicPartition

from tapewatch import kafka

PATIENCE_S = 30
"""How long a coordinator is waited for, s."""

_PASSING = frozenset(
    {
        KafkaError._TIMED_OUT,
        KafkaError._TRANSPORT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._RESOLVE,
        KafkaError._WAIT_COORD,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.UNSTABLE_OFFSET_COMMIT,
    }
)
"""What a broker or coordinator that moves, starts or is away for a while gives for an answer; librdkafka does not call
all of it retriable.
"""


def is_passing(error: KafkaError) -> bool:
    """Whether the same request may be answered a little later."""
    return bool(error.retriable()) or error.code() in _PASSING


def committed(consumer: Consumer, places: list[TopicPartition]) -> list[TopicPartition]:
    """What the consumer's group has committed of these partitions, in their order; offset -1001 where nothing. A
    coordinator that moves or still loads is waited for, PATIENCE_S at most: KafkaException then.
    """
    if not places:
        return []
    return kafka.answered(lambda: list(consumer.committed(places, timeout=10)), is_passing, PATIENCE_S)


def next_offsets(consumer: Consumer, logs: Iterable[tuple[str, int]]) -> dict[tuple[str, int], int]:
    """Where the consumer's group stands: next offset by topic and partition, without those that it never committed."""
    found = committed(consumer, [TopicPartition(*log) for log in logs])
    return {(each.topic, each.partition): int(each.offset) for each in found if each.offset >= 0}
