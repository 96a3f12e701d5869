"""Asking for partitions' offsets while somebody else is creating its topic."""

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from confluent_kafka import Consumer, TopicPartition

from tapewatch.contract.topics import TopicSpec
from tapewatch.runtime import kafka
from tapewatch.settings import Settings

PARTITIONS = 4


def ends(reader: Consumer, topic: str) -> bool:
    return kafka.watermarks(reader, topic, PARTITIONS - 1) == (0, 0)


def times(reader: Consumer, topic: str) -> bool:
    (found,) = kafka.offsets_at(reader, [TopicPartition(topic, PARTITIONS - 1, 1)])
    return int(found.offset) == -1


@pytest.mark.parametrize("are_told", [ends, times])
def test_a_topic_that_comes_into_being_is_waited_for(
    are_told: Callable[[Consumer, str], bool], settings: Settings
) -> None:
    """Of twenty, one at least says that its leader does not lead yet, or that the client has not heard of it."""
    names = [f"t{uuid.uuid4().hex[:8]}" for _ in range(20)]
    reader = kafka.consumer(settings)
    try:
        with ThreadPoolExecutor(1) as beside:
            made = beside.submit(kafka.create_topics, settings, [TopicSpec(name, PARTITIONS) for name in names])
            for name in reversed(names):
                assert are_told(reader, name)
            assert set(made.result(30)) == set(names)
    finally:
        reader.close()
