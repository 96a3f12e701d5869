"""A sink's side of Kafka: every partition of every topic it keeps, read on from where its store says."""

from collections.abc import Callable, Mapping
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from tapewatch import logs
from tapewatch.contract.frames import Headers
from tapewatch.dlq.retry import RetryRecord
from tapewatch.errors import TapewatchError
from tapewatch.runtime import group_offsets, kafka, topic_ids
from tapewatch.runtime.idling import Ends
from tapewatch.settings import Settings

_FETCHED_AT_ONCE = 64
_ANSWER_BYTES = 16 << 20
_GONE = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION}
_log = logs.get("sink")

Log = tuple[str, int]
"""Topic and partition."""


def place(message: Message | RetryRecord) -> tuple[Log, int]:
    """Partition and offset of a record that was received."""
    return (message.topic() or "", message.partition() or 0), message.offset() or 0


def headers_of(message: Message | RetryRecord) -> Headers:
    """A record's headers; a null value as empty."""
    found: Any = message.headers() or ()
    return [(name, value if value is not None else b"") for name, value in found]


class Reader:
    """A consumer without a group's help: whoever reads says where to read on.

    group : under which it is known, and keeps positions where it is asked to; is_wanted : which topics it reads
    told : given librdkafka's statistics every second; anew : what to do about a topic that was made anew, a hint
    """

    def __init__(
        self,
        settings: Settings,
        group: str,
        is_wanted: Callable[[str], bool],
        anew: str,
        told: Callable[[str], None] | None = None,
    ) -> None:
        self._settings, self._group, self._anew, self._told = settings, group, anew, told
        self._consumer = self._client()
        self._is_wanted = is_wanted
        self._linger_s = settings.sink.linger_ms / 1000
        self._assigned: dict[Log, int] = {}
        self._ids: dict[str, str] = {}
        self._ends = Ends()

    def restart(self, next_offsets: Mapping[Log, int], ids: dict[str, str]) -> None:
        """Forget what was read ahead and read on from these offsets, with a new client: one that was told of no broker
        while the only one stood still never asks again (librdkafka issue 5301).

        ids : of the topics that the offsets are of, as far as they are known; `discover` adds the others
        """
        self._ids = ids
        self._consumer.close()
        self._consumer = self._client()
        self._assigned.clear()
        self._ends.anew()
        self.discover(next_offsets)

    def _client(self) -> Consumer:
        # An answer that is on its way when the read-ahead is full comes on top of it, unpacked.
        answer = max(_ANSWER_BYTES, int(self._settings.kafka.client.get("message.max.bytes", 0)))
        return kafka.consumer(
            self._settings, self._group, self._told, enable_partition_eof=True, fetch_max_bytes=answer
        )

    def discover(self, next_offsets: Mapping[Log, int]) -> None:
        """Take up topics and partitions that have appeared. KafkaException where the broker does not answer;
        TopicRecreatedError where a topic is not the one that the offsets are of.
        """
        found = self._consumer.list_topics(timeout=kafka.TIMEOUT_S).topics
        logs_there = {
            (name, number) for name, topic in found.items() if self._is_wanted(name) for number in topic.partitions
        }
        fresh = sorted(logs_there - self._assigned.keys())
        if not fresh:
            return
        there = topic_ids.present(kafka.admin(self._settings), {topic for topic, _ in fresh})
        topic_ids.check(self._ids, there, self._group, self._anew)
        starts = {log: self._start(log, next_offsets.get(log)) for log in fresh}
        self._ids.update(there)
        self._consumer.incremental_assign([TopicPartition(*log, start) for log, start in starts.items()])
        self._assigned.update(starts)

    def _start(self, log: Log, next_offset: int | None) -> int:
        """Where to read a partition. TapewatchError where the log ends before the place we had reached."""
        if next_offset is None:
            return int(OFFSET_BEGINNING)
        low, high = kafka.watermarks(self._consumer, *log)
        if high < next_offset:
            raise TapewatchError(
                f"{log[0]}[{log[1]}] ends at offset {high}, but it was kept up to {next_offset}",
                "The topic was made anew, or the store belongs to another cluster: begin with an empty store.",
            )
        if low > next_offset:
            _log.error("records expired unread", topic=log[0], partition=log[1], first=next_offset, next=low)
        return max(low, next_offset)

    def poll(self) -> tuple[list[Message], bool]:
        """Some records, and whether more are waiting; waits `linger_ms` at most."""
        messages = self._consumer.consume(_FETCHED_AT_ONCE, timeout=self._linger_s)
        sound = []
        for message in self._ends.read(messages):
            error = message.error()
            if error is None:
                sound.append(message)
            elif error.code() in _GONE:
                self._assigned.pop(place(message)[0], None)
            elif not error.retriable():
                raise KafkaException(error)
        return sound, len(messages) == _FETCHED_AT_ONCE

    def is_at_end(self) -> bool:
        """Whether every partition has been read to its end (of what is committed)."""
        return self._ends.cover(self._assigned)

    def lag(self) -> int:
        """Records between what was read and the end of the logs, as far as the broker has told lately."""
        behind = 0
        unread = [TopicPartition(*log) for log in self._assigned if not self._ends.cover([log])]
        for position in self._consumer.position(unread) if unread else ():
            low, high = self._consumer.get_watermark_offsets(position, cached=True)
            if high >= 0:
                behind += max(high - (position.offset if position.offset >= 0 else max(low, 0)), 0)
        return behind

    def kept(self) -> tuple[dict[Log, int], dict[str, str]]:
        """Where the group stands: next offset by log, of the wanted topics, and the ids of those as it knows them."""
        found = self._consumer.list_topics(timeout=kafka.TIMEOUT_S).topics
        logs_there = [
            TopicPartition(name, number)
            for name, topic in found.items()
            if self._is_wanted(name)
            for number in topic.partitions
        ]
        places = [each for each in group_offsets.committed(self._consumer, logs_there) if each.offset >= 0]
        ids = {each.topic: each.metadata for each in places if each.metadata}
        return {(each.topic, each.partition): int(each.offset) for each in places}, ids

    def keep(self, next_offsets: Mapping[Log, int]) -> None:
        """Let the group stand at these offsets, with the topics' ids. KafkaException where the broker does not take
        them.
        """
        places = [
            TopicPartition(*log, offset, metadata=self._ids.get(log[0], "")) for log, offset in next_offsets.items()
        ]
        if places:
            self._consumer.commit(offsets=places, asynchronous=False)

    def close(self) -> None:
        """Give the consumer back."""
        self._consumer.close()
