"""Letting a consumer group stand elsewhere, as Kafka's own tools do, once its members are gone."""

from collections.abc import Callable

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition

from tapewatch.runtime import kafka
from tapewatch.settings import Settings
from tests.eventually import eventually


def stand_at(settings: Settings, group: str, place: TopicPartition) -> None:
    """Set one offset of the group, and what it keeps beside it."""
    wanted, client = ConsumerGroupTopicPartitions(group, [place]), kafka.admin(settings)

    def alter() -> bool:
        (future,) = client.alter_consumer_group_offsets([wanted]).values()
        return all(each.error is None for each in future.result().topic_partitions)

    _once_empty(alter, "the group is empty, and its offset set")


def forget(settings: Settings, group: str) -> None:
    """Let the broker forget the group, as it does when its offsets expire."""
    client = kafka.admin(settings)

    def delete() -> bool:
        client.delete_consumer_groups([group])[group].result()
        return True

    _once_empty(delete, "the group is empty, and forgotten")


def _once_empty(act: Callable[[], bool], what: str) -> None:
    """A static member's place is kept for a session, and the group is not empty so long."""

    def is_done() -> bool:
        try:
            return act()
        except KafkaException:
            return False

    eventually(is_done, what=what, pause=0.5)
