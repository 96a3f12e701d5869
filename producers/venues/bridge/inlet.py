"""The input of a bridge: a topic of this or another cluster, read from where the last transaction left off."""

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from producers.base.state import AbortedError, Transaction
from producers.venues.bridge.map import Input
from tapewatch.clock import NANOS, Clock
from tapewatch.errors import TapewatchError
from tapewatch.logs import Log
from tapewatch.runtime import group_offsets, kafka
from tapewatch.settings import KafkaSettings, Settings

BATCH = 2_000
"""Messages of one transaction at most."""

_LOOK_S = 2.0
_COUNT_NS = 30 * NANOS


class _Offsets(msgspec.Struct, frozen=True):
    """The position in a topic of another cluster: next offset by partition."""

    topic: str
    offsets: dict[str, int]


class Inlet:
    """All partitions of one topic, assigned to this process. What it reads is committed messages only.

    committed : the ledger's position, for a topic of another cluster; ours keeps offsets in the consumer group
    from_end : whether a topic that was never read is begun at its end; batch : messages handed out at a time
    """

    def __init__(
        self, settings: Settings, source: Input, topic: str, group: str, clock: Clock, log: Log,
        committed: bytes | None = None, from_end: bool = False, batch: int = BATCH,
    ) -> None:  # fmt: skip
        self.topic, self.elsewhere = topic, bool(source.bootstrap)
        self._settings = input_settings(settings, source)
        self._clock, self._log = clock, log
        self._counted, self._batch = clock.elapsed(), batch
        count = kafka.existing_topics(kafka.admin(self._settings)).get(topic, 0)
        if not count:
            raise TapewatchError(f"there is no topic {topic} on {self._settings.kafka.bootstrap or 'our cluster'}",
                                 "Look at its name, and at input.bootstrap in the map.")  # fmt: skip
        self._reader: Consumer = kafka.consumer(self._settings, group, auto_offset_reset="error")
        self.next: dict[int, int] = {}
        self.gone: list[str] = []
        self._start(range(count), self._known(count, committed), from_end)
        self._reader.assign([TopicPartition(topic, partition, offset) for partition, offset in self.next.items()])

    def _known(self, count: int, committed: bytes | None) -> dict[int, int]:
        """Committed offsets by partition."""
        if self.elsewhere:
            return _elsewhere(committed, self.topic)
        places = [TopicPartition(self.topic, partition) for partition in range(count)]
        found = group_offsets.committed(self._reader, places)
        return {place.partition: place.offset for place in found if place.offset >= 0}

    def _start(self, partitions: range, known: dict[int, int], from_end: bool) -> None:
        """Where each partition is read from, and which messages are gone meanwhile."""
        for partition in partitions:
            low, high = kafka.watermarks(self._reader, self.topic, partition)
            # A partition that was made after the first start is new as a whole.
            offset = known.get(partition, high if from_end and not known else low)
            if not low <= offset <= high:
                self.gone.append(f"{self.topic}[{partition}] offsets {offset} to {low - 1}" if offset < low
                                 else f"{self.topic}[{partition}] ends at {high}, was read up to {offset}")  # fmt: skip
                offset = low
            self.next[partition] = offset

    def poll(self, timeout: float) -> list[Message]:
        """The next messages, in the order of their times where partitions differ; the position moves behind them."""
        found = []
        for message in self._reader.consume(self._batch, timeout=timeout):
            error = message.error()
            if error is None:
                self.next[message.partition()] = message.offset() + 1
                found.append(message)
            elif error.code() == KafkaError._AUTO_OFFSET_RESET:
                raise AbortedError(f"{self.topic}[{message.partition()}]: the position is gone from the log")
            else:
                self._log.warning("input", topic=self.topic, error=str(error))
        return sorted(found, key=lambda message: message.timestamp()[1]) if len(self.next) > 1 else found

    def at_end(self) -> bool:
        """Whether everything that was committed by now has been read; False too where the cluster does not answer."""
        try:
            for partition, offset in self.next.items():
                place = TopicPartition(self.topic, partition)
                # Transaction markers take offsets too: the consumer's own position passes them.
                read = max(offset, self._reader.position([place])[0].offset)
                if read < self._reader.get_watermark_offsets(place, timeout=_LOOK_S)[1]:
                    return False
        except KafkaException as error:
            self._log.warning("input does not answer", topic=self.topic, error=str(error))
            return False
        return True

    def grown(self) -> bool:
        """Whether the topic has got more partitions; looks every 30 s."""
        if self._clock.elapsed() - self._counted < _COUNT_NS:
            return False
        self._counted = self._clock.elapsed()
        try:
            return kafka.existing_topics(kafka.admin(self._settings)).get(self.topic, 0) > len(self.next)
        except TapewatchError:
            return False

    def commit(self, transaction: Transaction) -> None:
        """Make the position part of the transaction."""
        if self.elsewhere:
            offsets = {str(partition): offset for partition, offset in self.next.items()}
            transaction.position(msgspec.json.encode(_Offsets(self.topic, offsets)))
            return
        places = [TopicPartition(self.topic, partition, offset) for partition, offset in self.next.items()]
        transaction.offsets(places, self._reader.consumer_group_metadata())

    def close(self) -> None:
        """Give the consumer back."""
        self._reader.close()


def input_settings(settings: Settings, source: Input) -> Settings:
    """Settings whose Kafka is the input's cluster."""
    if not source.bootstrap:
        return settings
    return msgspec.structs.replace(settings, kafka=KafkaSettings(source.bootstrap, source.client))


def _elsewhere(committed: bytes | None, topic: str) -> dict[int, int]:
    if committed is None:
        return {}
    known = msgspec.json.decode(committed, type=_Offsets)
    if known.topic != topic:
        raise TapewatchError(
            f"this feed was filled from the topic {known.topic}, not {topic}", "Give the new input a feed of its own."
        )
    return {int(partition): offset for partition, offset in known.offsets.items()}
