"""Asking for a partition's offsets right when it comes into being."""

import threading
import time
import uuid

from confluent_kafka.admin import NewPartitions

from tapewatch import kafka
from tapewatch.settings import Settings
from tapewatch.topics import TopicSpec


def test_a_partition_that_the_client_has_not_heard_of_yet_is_waited_for(settings: Settings) -> None:
    topic = f"t{uuid.uuid4().hex[:8]}"
    kafka.create_topics(settings, [TopicSpec(topic, 1)])
    reader = kafka.consumer(settings)
    assert kafka.watermarks(reader, topic, 0) == (0, 0)

    def grow() -> None:
        time.sleep(0.5)
        client = kafka.admin(settings)
        for future in client.create_partitions([NewPartitions(topic, 2)]).values():
            future.result()

    growing = threading.Thread(target=grow)
    growing.start()
    try:
        assert kafka.watermarks(reader, topic, 1) == (0, 0)
    finally:
        growing.join()
        reader.close()
