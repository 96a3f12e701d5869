"""Reading topics from their beginning to their end, read committed, with nothing but confluent-kafka."""

import time
from collections.abc import Iterator, Mapping

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

PATIENCE_S = 60.0
BATCH = 2000


class Broker:
    """A cluster. properties : of librdkafka, with bootstrap.servers and whatever security it asks for"""

    def __init__(self, properties: Mapping[str, str]) -> None:
        self._properties = {"log_level": "3", **properties}
        self._known: dict[str, list[tuple[int, int]]] = {}
        # It commits nothing and joins no group; the client wants a name all the same.
        self._reader = self._consumer("foreign-verifier")
        listed = self._reader.list_topics(timeout=PATIENCE_S).topics
        self.partitions = {name: len(each.partitions) for name, each in listed.items()}

    def read(self, topic: str, partition: int) -> Iterator[Message]:
        """The records of a partition up to its last stable offset; SystemExit where its beginning is deleted."""
        reader = self._reader
        low, high = self._ends(topic)[partition]
        if low > 0 and topic.startswith("market."):
            raise SystemExit(f"{topic}[{partition}] begins at {low}: what retention took cannot be counted again")
        if low == high:
            return
        reader.assign([TopicPartition(topic, partition, low)])
        heard, ended = time.monotonic(), False
        while not ended:
            # It waits for a whole batch, or as long as it is told to.
            batch = reader.consume(BATCH, timeout=0.05)
            if batch:
                heard = time.monotonic()
            elif time.monotonic() - heard > PATIENCE_S:
                raise SystemExit(f"{topic}[{partition}] does not answer")
            for message in batch:
                error = message.error()
                if error is None:
                    yield message
                elif error.code() == KafkaError._PARTITION_EOF:
                    ended = True
                else:
                    raise KafkaException(error)
        reader.unassign()

    def read_all(self, topic: str) -> Iterator[Message]:
        """Every partition of a topic, one after the other; nothing where there is no such topic."""
        for partition in range(self.partitions.get(topic, 0)):
            yield from self.read(topic, partition)

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """Next offset of each partition that a group has committed; -1 where it has none."""
        member = self._consumer(group)
        try:
            asked = [TopicPartition(topic, partition) for partition in range(self.partitions[topic])]
            found = member.committed(asked, timeout=PATIENCE_S)
            return {place.partition: max(place.offset, -1) for place in found}
        finally:
            member.close()

    def _ends(self, topic: str) -> list[tuple[int, int]]:
        """First and next offset of each partition, asked for once."""
        if topic not in self._known:
            client = AdminClient(self._properties)
            places = [TopicPartition(topic, partition) for partition in range(self.partitions[topic])]
            low, high = (
                client.list_offsets(dict.fromkeys(places, spec), request_timeout=PATIENCE_S)
                for spec in (OffsetSpec.earliest(), OffsetSpec.latest())
            )
            self._known[topic] = [(low[place].result().offset, high[place].result().offset) for place in places]
        return self._known[topic]

    def close(self) -> None:
        """End the connection."""
        self._reader.close()

    def _consumer(self, group: str) -> Consumer:
        return Consumer(
            {
                "queued.max.messages.kbytes": "65536",
                "fetch.wait.max.ms": "20",
                # The client unpacks no batch of more: what we pass over for its size can be read here.
                "receive.message.max.bytes": "1000000000",
                **self._properties,
                "group.id": group,
                "isolation.level": "read_committed",
                "enable.auto.commit": "false",
                "enable.partition.eof": "true",
            }
        )


def headers_of(message: Message) -> dict[str, str]:
    """Headers as text."""
    return {name: (value or b"").decode("utf-8", "replace") for name, value in message.headers() or ()}
