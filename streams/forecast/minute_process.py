"""The minute stage's process: a member of a consumer group over `bars` that writes each forecast exactly once.

The protocol, step by step:
1 for each partition given, read from the offset that the committed one's metadata names up to the committed one,
silently, for the windows; 2 poll; 3 begin a transaction; 4 write predictions and signals; 5 add the offsets, with the
oldest record that a window still needs as metadata; 6 commit.
If we die before 6, none of it is there, and the next one begins at 1. A failed transaction is aborted, and the
partitions are taken up anew.
"""

import threading
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec
from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition

from detectors.forecast.lstm.model import Model
from streams import members
from streams.engine.build import build_hash
from streams.forecast import minute_group_position
from streams.forecast.minute import MinuteTask
from streams.members import Membership
from tapewatch import group_offsets, kafka, logs, topics, transactions
from tapewatch.clock import NANOS, WALL, Clock
from tapewatch.idling import IdleDetector
from tapewatch.monitoring import Monitor, counters
from tapewatch.monitoring.shared import ENDINGS, PARTITIONS, TRANSACTION_SECONDS
from tapewatch.settings import Settings

log = logs.get("forecast")

_BATCH = 500
_POLL_S = 0.05


class OffsetMetadata(msgspec.Struct, frozen=True):
    """What stands in a committed offset's metadata. from_offset : where to read on silently for the windows"""

    from_offset: int


@dataclass(slots=True)
class MinuteTotals:
    """What this process has done so far."""

    records: int = 0
    bars: int = 0
    refused: int = 0
    predictions: int = 0
    signals: int = 0
    transactions: int = 0
    aborted: int = 0


COUNTS = counters(
    "forecast",
    records="Records of bars taken.",
    bars="Minute bars taken.",
    refused="Records that could not be read.",
    predictions="Predictions written.",
    signals="Signals written.",
)


class MinuteForecasts:
    """One process. feeds : only these, empty for all"""

    def __init__(self, settings: Settings, model: Model, feeds: tuple[str, ...] = (), clock: Clock = WALL) -> None:
        self._settings, self._model, self._feeds, self._clock = settings, model, feeds, clock
        self.instance = members.own_name(settings.forecast.instance)
        self.totals = MinuteTotals()
        self.monitor = Monitor("forecast", settings)
        self.monitor.show_counts(COUNTS | ENDINGS, self.totals)
        self.monitor.show(PARTITIONS, lambda: {(): len(self._tasks)})
        self._takes = self.monitor.distribution(TRANSACTION_SECONDS)
        self._tasks: dict[int, MinuteTask] = {}
        self._next: dict[int, int] = {}
        self._proved: set[int] = set()
        self._partitions: dict[str, int] = {}
        self._idling = IdleDetector(None, clock)

    def run(self, stop: threading.Event, until_idle_s: float = 0.0) -> None:
        """Work until told to stop, or until nothing came for `until_idle_s` seconds (0: for ever)."""
        kafka.create_topics(self._settings, topics.shared_topics(self._settings.topics))
        self._partitions = kafka.existing_topics(kafka.admin(self._settings))
        group = self._settings.forecast.group
        name = f"{group}-{self.instance}"
        writer = transactions.Writer(
            lambda: transactions.make_producer(self._settings, name),
            members.make_way(self._settings, group, self.instance, lambda: membership.member_id),
        )
        idling = self._idling = IdleDetector(until_idle_s or None, self._clock)
        told = self.monitor.client("reader")
        consumer = members.member_consumer(self._settings, group, self.instance, told=told, **idling.properties)
        membership = Membership(consumer, [topics.BARS], self._take_up, self._tasks.clear)
        self.monitor.waits_for("partitions", "none is assigned")
        self.monitor.ready()
        try:
            while not stop.is_set():
                self.monitor.beat()
                membership.settle_in()
                batch = idling.read(consumer.consume(_BATCH, timeout=_POLL_S))
                if batch:
                    self.step(consumer, writer, batch)
                elif idling.is_over([(topics.BARS, partition) for partition in self._tasks]):
                    return
        finally:
            consumer.close()

    def _take_up(self, consumer: Consumer, given: list[TopicPartition]) -> None:
        """Take partitions up where the last transaction over them left off."""
        self._tasks.clear()
        reader = kafka.consumer(self._settings)
        try:
            places = group_offsets.committed(consumer, given)
            if not self._proved >= {place.partition for place in given}:
                places = minute_group_position.proved(self._settings, reader, places)
            self._proved |= {place.partition for place in given}
            for place in places:
                self._tasks[place.partition] = self._task(reader, place)
        finally:
            reader.close()
        consumer.assign([TopicPartition(topics.BARS, partition, self._next[partition]) for partition in self._tasks])
        self._idling.anew()
        if self._tasks:
            self.monitor.has("partitions")

    def _task(self, reader: Consumer, place: TopicPartition) -> MinuteTask:
        """A partition's task with the windows as they were at the committed offset."""
        settings, partition = self._settings.forecast, place.partition
        task = MinuteTask(
            partition,
            self._model,
            settings.cost,
            self._feeds,
            build_hash(),
            self._settings.notify.canaries,
            settings.group,
        )
        low, _ = kafka.watermarks(reader, topics.BARS, partition)
        self._next[partition] = max(place.offset, low)
        if place.offset >= 0:
            begin = msgspec.json.decode(place.metadata, type=OffsetMetadata).from_offset if place.metadata else low
            if begin < low:
                log.warning("bars of open windows expired", partition=partition, first=begin, next=low)
            for message in kafka.read_range(reader, topics.BARS, partition, max(begin, low), place.offset):
                task.record(message.offset(), message.value(), message.headers(), silent=True)
        return task

    def step(self, consumer: Consumer, writer: transactions.Writer, batch: Iterable[Message]) -> None:
        """Answer records in one transaction; where it fails, go back to what is committed."""
        records = 0
        for message in members.sound(batch, log):
            task = self._tasks.get(message.partition())
            if task is not None:
                task.record(message.offset(), message.value(), message.headers())
                self._next[message.partition()] = message.offset() + 1
                records += 1
        if not records:
            return
        begun, producer = self._clock.elapsed(), writer.producer
        try:
            transactions.begin(producer)
            written = self._produce(producer)
            transactions.commit(producer, self._offsets(), consumer.consumer_group_metadata())
        except KafkaException as error:
            writer.abort(error, log)
            self.totals.aborted += 1
            self._take_up(consumer, consumer.assignment())
            return
        self._takes.observe((self._clock.elapsed() - begun) / NANOS)
        self._count(records, written)

    def _produce(self, producer: Producer) -> int:
        """Write what the tasks said; how many predictions."""
        written = 0
        for partition, task in self._tasks.items():
            for record in task.take():
                target = record.target(partition, self._partitions[record.topic])
                kafka.enqueue(producer, record.topic, record.value, record.key, record.headers, target)
                written += record.topic == topics.PREDICTIONS
        return written

    def _offsets(self) -> list[TopicPartition]:
        """Where each partition is read on, and from where its windows are read again."""
        return [
            TopicPartition(
                topics.BARS, partition, self._next[partition],
                metadata=msgspec.json.encode(OffsetMetadata(task.needed(self._next[partition]))).decode(),
            )
            for partition, task in self._tasks.items()
        ]  # fmt: skip

    def _count(self, records: int, written: int) -> None:
        """Add a committed transaction to the totals."""
        totals = self.totals
        totals.transactions += 1
        totals.records += records
        totals.predictions += written
        totals.signals += written
        for task in self._tasks.values():
            totals.bars += task.bars
            totals.refused += task.refused
            task.bars = task.refused = 0
