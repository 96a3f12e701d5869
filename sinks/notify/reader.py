"""The notify sink's side of Kafka: alerts and cases, read on from where the database says."""

from collections.abc import Callable, Mapping

from confluent_kafka import OFFSET_BEGINNING, KafkaError, KafkaException, Message, TopicPartition

from sinks.notify.inbox import InboxBatch, Log
from tapewatch import kafka, logs, topic_ids, topics
from tapewatch.canaries import Canary, is_canary
from tapewatch.errors import ContractError, TapewatchError
from tapewatch.messages import Alert, Case, decode
from tapewatch.settings import Settings

AT_ONCE = 500
ANEW = (
    "Restore the topic; or `DELETE FROM notify_offsets WHERE topic = '{topic}'`: it is then read from its beginning, "
    "and a message that was made already is not made again."
)
MOST_REVISION = 2**31 - 1
_log = logs.get("sink.notify")


class Reader:
    """A consumer without a group's help: the database alone says where to read on. It reads how canaries fared, too.

    ids : of the topics that the offsets are of, as far as they are known
    since_ns : where alerts are read from at the very first start: the beginning of the oldest subscription, UTC ns
    told : given librdkafka's statistics every second
    """

    def __init__(
        self,
        settings: Settings,
        next_offsets: Mapping[Log, int],
        ids: Mapping[str, str],
        since_ns: int,
        told: Callable[[str], None] | None = None,
    ) -> None:
        self._consumer = kafka.consumer(settings, "tapewatch-sink-notify", told, enable_partition_eof=True)
        self._canaries = settings.notify.canaries
        cases = (topics.CASES,) if settings.notify.case_wait_s else ()
        self._wanted = (topics.ALERTS, topics.CANARIES, *cases)
        self._settings, self._ids = settings, dict(ids)
        self._next, self._since_ns = dict(next_offsets), since_ns
        self._first = not any(topic == topics.ALERTS for topic, _ in next_offsets)
        self._assigned: set[Log] = set()
        self._at_end: set[Log] = set()
        self.unreadable = self.canaries = 0

    def discover(self) -> None:
        """Take up topics and partitions that have appeared.

        TopicRecreatedError where one is not what the offsets are of.
        """
        found = self._consumer.list_topics(timeout=kafka.TIMEOUT_S).topics
        there = {(name, number) for name in self._wanted if name in found for number in found[name].partitions}
        fresh = sorted(there - self._assigned)
        if fresh:
            present = topic_ids.present(kafka.admin(self._settings), {topic for topic, _ in fresh})
            topic_ids.check(self._ids, present, "the database", ANEW)
            self._ids.update(present)
            starts = [TopicPartition(*log, self._start(log)) for log in fresh]
            self._consumer.incremental_assign(starts)
            self._assigned |= set(fresh)

    def _start(self, log: Log) -> int:
        """Where to read a partition; TapewatchError where it ends before the place we had reached."""
        known = self._next.get(log)
        if known is not None:
            low, high = kafka.watermarks(self._consumer, *log)
            if high < known:
                raise TapewatchError(
                    f"{log[0]}[{log[1]}] ends at offset {high}, but subscribers were told up to {known}",
                    "The topic was made anew, or the database belongs to another cluster: use an empty database.",
                )
            return max(low, known)
        if log[0] != topics.ALERTS or not self._first or self._assigned:
            return int(OFFSET_BEGINNING)
        _, high = kafka.watermarks(self._consumer, *log)
        asked = TopicPartition(*log, self._since_ns // 1_000_000)
        offset = int(kafka.offsets_at(self._consumer, [asked])[0].offset)
        return offset if offset >= 0 else high

    def poll(self, seconds: float) -> InboxBatch:
        """Some records, read; waits that long at most. A record that is no message is counted and passed over."""
        taken = InboxBatch(topic_ids=self._ids)
        for message in self._consumer.consume(AT_ONCE, timeout=seconds):
            log, error = (message.topic(), message.partition()), message.error()
            if error is None:
                self._at_end.discard(log)
                taken.offsets[log] = message.offset() + 1
                self._read(message, taken)
            elif error.code() == KafkaError._PARTITION_EOF:
                self._at_end.add(log)
            elif not error.retriable():
                raise KafkaException(error)
        return taken

    def _read(self, message: Message, taken: InboxBatch) -> None:
        """One record into what is taken up."""
        value = message.value() or b""
        recorded_ns = message.timestamp()[1] * 1_000_000
        try:
            if message.topic() == topics.CANARIES:
                taken.canaries.append((decode(Canary, value), recorded_ns))
                return
            if message.topic() == topics.CASES:
                taken.cases.append(decode(Case, value))
                return
            alert = decode(Alert, value)
        except ContractError as error:
            self.unreadable += 1
            place = {"topic": message.topic(), "partition": message.partition(), "offset": message.offset()}
            _log.error("a record is no message", problem=logs.printable(error.message)[:200], **place)
            return
        if is_canary(self._canaries, alert.instrument):
            self.canaries += 1
        elif alert.revision <= MOST_REVISION:
            taken.alerts.append((alert, recorded_ns))
        else:
            self.unreadable += 1

    def is_at_end(self) -> bool:
        """Whether every partition was read to its end."""
        return self._assigned <= self._at_end

    def close(self) -> None:
        """Give the consumer back."""
        self._consumer.close()
