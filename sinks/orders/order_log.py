"""The topics `orders` and `fills` as a gateway reads and writes them."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol

from confluent_kafka import OFFSET_BEGINNING, Message, TopicPartition

from sinks.orders.intake import OrderRecord
from sinks.orders.journal import Log, OutboxRecord
from tapewatch.contract import topics
from tapewatch.runtime import kafka
from tapewatch.runtime.idling import Ends
from tapewatch.settings import Settings


class OrderLog(Protocol):
    """Where orders come from and where their revisions and fills go."""

    def backlog(self) -> list[OrderRecord]:
        """Everything there is, from the beginning."""
        ...

    def start(self, offsets: Mapping[Log, int]) -> None:
        """Read on from these offsets; from the beginning where there is none."""
        ...

    async def read(self, wait_s: float) -> list[OrderRecord]:
        """What has come; waits for it for so long at most."""
        ...

    @property
    def at_end(self) -> bool:
        """Whether every partition was read to its end, and nothing came since."""
        ...

    async def publish(self, records: list[OutboxRecord]) -> None:
        """Write records in their order; returns once they are acknowledged."""
        ...

    def close(self) -> None:
        """Disconnect."""
        ...


class KafkaOrderLog:
    """The topics on Kafka. One gateway reads every partition; its offsets are in its journal.

    told : given librdkafka's statistics of the reader every second
    """

    def __init__(self, settings: Settings, told: Callable[[str], None] | None = None) -> None:
        self._settings = settings
        kafka.create_topics(settings, topics.shared_topics(settings.topics))
        # As the Java client chooses partitions by default, so that all records of an order lie in one.
        self._writer = kafka.producer(settings, linger_ms=2, partitioner="murmur2_random")
        self._reader = kafka.consumer(settings, told=told, enable_partition_eof=True)
        self._ends = Ends()
        self._partitions = range(kafka.existing_topics(kafka.admin(settings))[topics.ORDERS])

    def backlog(self) -> list[OrderRecord]:
        """Everything there is, from the beginning."""
        found: list[OrderRecord] = []
        kafka.read_all(self._settings, topics.ORDERS, lambda message: found.append(_arrived(message)))
        return found

    def start(self, offsets: Mapping[Log, int]) -> None:
        """Read on from these offsets; from the beginning where there is none."""
        self._reader.assign(
            [
                TopicPartition(topics.ORDERS, each, offsets.get((topics.ORDERS, each), OFFSET_BEGINNING))
                for each in self._partitions
            ]
        )

    async def read(self, wait_s: float) -> list[OrderRecord]:
        """What has come; waits for it for so long at most. Errors of the broker pass by: the client reconnects."""
        messages = await asyncio.to_thread(self._reader.consume, 500, wait_s)
        return [_arrived(message) for message in self._ends.read(messages) if not message.error()]

    @property
    def at_end(self) -> bool:
        """Whether every partition was read to its end, and nothing came since."""
        return self._ends.cover([(topics.ORDERS, each) for each in self._partitions])

    async def publish(self, records: list[OutboxRecord]) -> None:
        """Write records in their order; DeliveryError where the broker does not take one within 30 s: they stay in the
        journal.
        """
        sent = kafka.Deliveries(self._writer)
        for record in records:
            sent.send(record.topic, record.value, record.key.encode())
        await asyncio.to_thread(sent.settle)

    def close(self) -> None:
        """Disconnect."""
        self._reader.close()


def _arrived(message: Message) -> OrderRecord:
    """A message as it is taken in; an empty one is no order."""
    return OrderRecord((topics.ORDERS, message.partition() or 0), (message.offset() or 0) + 1, message.value() or b"")
