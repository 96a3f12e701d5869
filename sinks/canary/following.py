"""The watcher's side of Kafka: canaries and alerts, read committed, each from where it is asked to."""

from collections.abc import Callable

from confluent_kafka import OFFSET_END, Consumer, KafkaException, Message, TopicPartition

from tapewatch import kafka, logs, topics
from tapewatch.canaries import Canary, is_canary
from tapewatch.errors import ContractError
from tapewatch.idling import Ends
from tapewatch.messages import Alert, decode
from tapewatch.settings import Settings

AT_ONCE = 500
_log = logs.get("sink.canary")


class CanaryConsumer:
    """Follows both topics. since_ns : alerts recorded earlier are not read; at : next offset of the canaries

    took : gets each canary and each alert of a canary instrument, with the time of its record (UTC ns)
    told : gets the client's statistics
    """

    def __init__(
        self,
        settings: Settings,
        since_ns: int,
        at: int,
        took: Callable[[Canary | Alert, int], None],
        told: Callable[[str], None] | None = None,
    ) -> None:
        self._canaries, self._took = settings.notify.canaries, took
        self._consumer: Consumer = kafka.consumer(
            settings, "tapewatch-canary-watch", told=told, enable_partition_eof=True
        )
        self._ends = Ends()
        self.unreadable = 0
        found = self._consumer.list_topics(topics.ALERTS, timeout=kafka.TIMEOUT_S).topics[topics.ALERTS].partitions
        self._alerts = [(topics.ALERTS, number) for number in found]
        asked = [TopicPartition(topics.ALERTS, number, since_ns // 1_000_000) for number in sorted(found)]
        starts = kafka.offsets_at(self._consumer, asked)
        for start in starts:
            if start.offset in (OFFSET_END, -1):
                start.offset = kafka.watermarks(self._consumer, topics.ALERTS, start.partition)[1]
        self._consumer.assign([*starts, TopicPartition(topics.CANARIES, 0, at)])

    def poll(self, seconds: float) -> bool:
        """Take what has come; waits that long at most. Whether all alerts that there are have been read since the last
        call of `look_again`. KafkaException where the broker fails.
        """
        for message in self._ends.read(self._consumer.consume(AT_ONCE, timeout=seconds)):
            error = message.error()
            if error is None:
                self._read(message)
            elif not error.retriable():
                raise KafkaException(error)
        return self._ends.cover(self._alerts)

    def _read(self, message: Message) -> None:
        recorded_ns = message.timestamp()[1] * 1_000_000
        try:
            if message.topic() == topics.CANARIES:
                self._took(decode(Canary, message.value() or b""), recorded_ns)
                return
            alert = decode(Alert, message.value() or b"")
            if is_canary(self._canaries, alert.instrument):
                self._took(alert, recorded_ns)
        except ContractError as error:
            self.unreadable += 1
            _log.warning("a record is no message", topic=message.topic(), problem=logs.printable(error.message)[:200])

    def close(self) -> None:
        """Give the consumer back."""
        self._consumer.close()
