"""How far each lane of the sink has come: the offsets of its consumer group."""

from collections.abc import Callable

from confluent_kafka import TopicPartition

from sinks.log_reader import Log
from tapewatch import kafka
from tapewatch.settings import Settings


def next_offsets(settings: Settings, lane: str, is_wanted: Callable[[str], bool]) -> dict[Log, int]:
    """Next offset of each partition of the topics that are wanted; 0 where the lane has not begun with it.

    lane : urgent or data
    """
    there = kafka.existing_topics(kafka.admin(settings))
    logs = [TopicPartition(name, each) for name in there if is_wanted(name) for each in range(there[name])]
    reader = kafka.consumer(settings, f"{settings.elasticsearch.group}-{lane}")
    try:
        stand = reader.committed(logs, timeout=kafka.TIMEOUT_S) if logs else []
    finally:
        reader.close()
    return {(each.topic, each.partition): max(int(each.offset), 0) for each in stand}
