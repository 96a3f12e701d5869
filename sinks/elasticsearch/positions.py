"""How far each lane of the sink has come: the offsets of its consumer group."""

from collections.abc import Callable

from sinks.log_reader import Log
from tapewatch.runtime import group_offsets, kafka
from tapewatch.settings import Settings


def next_offsets(settings: Settings, lane: str, is_wanted: Callable[[str], bool]) -> dict[Log, int]:
    """Next offset of each partition of the topics that are wanted; 0 where the lane has not begun with it.

    lane : urgent or data
    """
    there = kafka.existing_topics(kafka.admin(settings))
    logs = [(name, each) for name in there if is_wanted(name) for each in range(there[name])]
    reader = kafka.consumer(settings, f"{settings.elasticsearch.group}-{lane}")
    try:
        return dict.fromkeys(logs, 0) | group_offsets.next_offsets(reader, logs)
    finally:
        reader.close()
