"""Asking for a partition's offsets while somebody else is creating its topic."""

import uuid
from concurrent.futures import ThreadPoolExecutor

from tapewatch import kafka
from tapewatch.settings import Settings
from tapewatch.topics import TopicSpec

PARTITIONS = 4


def test_a_topic_that_comes_into_being_is_waited_for(settings: Settings) -> None:
    """Of twenty, one at least says that its leader does not lead yet, or that the client has not heard of it."""
    names = [f"t{uuid.uuid4().hex[:8]}" for _ in range(20)]
    reader = kafka.consumer(settings)
    try:
        with ThreadPoolExecutor(1) as beside:
            made = beside.submit(kafka.create_topics, settings, [TopicSpec(name, PARTITIONS) for name in names])
            for name in reversed(names):
                assert kafka.watermarks(reader, name, PARTITIONS - 1) == (0, 0)
            assert set(made.result(30)) == set(names)
    finally:
        reader.close()
