"""The process of a stage that is a member of a consumer group and turns records into records, each exactly once.

The protocol:
1 a partition that is given is taken up where the last transaction over it left off; 2 poll; 3 work out what follows;
4 begin a transaction; 5 write it; 6 add the offsets, each with what the stage needs to find its state again as
metadata; 7 commit. If we die before 7, none of it is there, and the next one begins at 1. A failed transaction is
aborted, and the partitions are taken up anew.
"""

import threading
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition

from streams import members
from streams.members import Key, Membership
from tapewatch import logs
from tapewatch.clock import NANOS, WALL, Clock
from tapewatch.runtime import kafka, transactions
from tapewatch.runtime.idling import IdleDetector
from tapewatch.runtime.monitoring import Monitor
from tapewatch.runtime.monitoring.metric import ENDINGS, PARTITIONS, TRANSACTION_SECONDS, Metric
from tapewatch.settings import Settings


class TransactionalStage(ABC):
    """One process.

    process : its kind, as logs and metrics name it; group, instance : consumer group, and static name in it, empty for
    one of its own; subscription : topics that the group shares out; totals : a dataclass with `transactions` and
    `aborted`, shown as `counts`
    """

    batch_records = 500
    poll_s = 0.05
    commit_s = 0.0
    """How long transactions are apart at least, s."""

    def __init__(
        self,
        settings: Settings,
        process: str,
        group: str,
        instance: str,
        subscription: list[str],
        totals: Any,
        counts: Mapping[str, Metric],
        clock: Clock = WALL,
    ) -> None:
        self._settings, self._group, self._subscription, self._clock = settings, group, subscription, clock
        self.instance = members.own_name(instance)
        self.monitor = Monitor(process, settings)
        self.monitor.show_counts({**counts, **ENDINGS}, totals)
        self.monitor.show(PARTITIONS, lambda: {(): len(self.held)})
        self._counted: Any = totals
        self._takes = self.monitor.distribution(TRANSACTION_SECONDS)
        self._log = logs.get(process)
        self._idling = IdleDetector(None, clock)

    def run(self, stop: threading.Event, until_idle_s: float = 0.0) -> None:
        """Work until told to stop, or until nothing came for `until_idle_s` seconds (0: for ever)."""
        self.prepare()
        writer = transactions.Writer(
            lambda: transactions.make_producer(self._settings, f"{self._group}-{self.instance}"),
            members.make_way(self._settings, self._group, self.instance, lambda: membership.member_id),
        )
        self._idling = idling = IdleDetector(until_idle_s or None, self._clock)
        told = self.monitor.client("reader")
        consumer = members.member_consumer(self._settings, self._group, self.instance, told=told, **idling.properties)

        def put_down() -> None:
            self._write(consumer, writer)
            self.drop()
            self.monitor.waits_for("partitions", "the group is shared out anew")

        self.monitor.waits_for("partitions", "none is assigned")
        self.monitor.ready()
        membership = Membership(consumer, self._subscription, self._take_up, put_down)
        last_write = self._clock.elapsed()
        try:
            while not stop.is_set():
                self.monitor.beat()
                membership.settle_in()
                batch = idling.read(consumer.consume(self.batch_records, timeout=self.poll_s))
                now = self._clock.elapsed()
                if not self.feed(list(members.sound(batch, self._log))) and idling.is_over(self.awaited):
                    break
                self.has_read(consumer)
                if now - last_write >= self.commit_s * NANOS:
                    if not self._write(consumer, writer):
                        self._start_over(consumer)
                    self.has_written(consumer)
                    last_write = now
            self._write(consumer, writer)
        finally:
            consumer.close()
            self.close()

    def _take_up(self, consumer: Consumer, given: list[TopicPartition]) -> None:
        """Take partitions up where the last transaction over them left off, and read on from there."""
        self.drop()
        reader = kafka.consumer(self._settings)
        try:
            starts = self.take_up(consumer, reader, given)
        finally:
            reader.close()
        consumer.assign(starts)
        self._idling.anew()
        if self.held:
            self.monitor.has("partitions")
        self._log.info("partitions assigned", partitions=[f"{topic}[{partition}]" for topic, partition in self.held])

    def _start_over(self, consumer: Consumer) -> None:
        """Take up again from what is committed what was worked out ahead of it."""
        mine = {(place.topic, place.partition) for place in consumer.assignment()}
        self._take_up(consumer, [TopicPartition(*key) for key in self.held if key in mine])

    def _write(self, consumer: Consumer, writer: transactions.Writer) -> bool:
        """All that was worked out, in one transaction; False where it failed and the state is ahead of the log."""
        if not self.is_dirty:
            return True
        begun, producer = self._clock.elapsed(), writer.producer
        try:
            transactions.begin(producer)
            transactions.commit(producer, self.produce(producer), consumer.consumer_group_metadata())
        except KafkaException as error:
            writer.abort(error, self._log)
            self._counted.aborted += 1
            return False
        self._counted.transactions += 1
        self._takes.observe((self._clock.elapsed() - begun) / NANOS)
        self.committed()
        return True

    @property
    @abstractmethod
    def held(self) -> Collection[Key]:
        """Partitions that are worked on."""

    @property
    def awaited(self) -> Collection[Key]:
        """Partitions whose ends have to be seen before nothing more is awaited."""
        return self.held

    @property
    @abstractmethod
    def is_dirty(self) -> bool:
        """Whether there is something to write."""

    @abstractmethod
    def prepare(self) -> None:
        """Make the topics that are missing; before anything else."""

    @abstractmethod
    def take_up(self, consumer: Consumer, reader: Consumer, given: list[TopicPartition]) -> list[TopicPartition]:
        """Take up the state of these partitions as the group's offsets tell it; where each partition is read on.

        reader : a consumer of no group, to read with
        """

    @abstractmethod
    def drop(self) -> None:
        """Let go of all state."""

    @abstractmethod
    def feed(self, records: list[Message]) -> int:
        """Work out what follows from records; how many were of use."""

    @abstractmethod
    def produce(self, producer: Producer) -> list[TopicPartition]:
        """Write what was worked out into the open transaction; the offsets that go with it. KafkaException where the
        transaction has to be aborted.
        """

    def committed(self) -> None:  # noqa: B027 # not every stage counts
        """What was written is committed: count it."""

    def has_read(self, consumer: Consumer) -> None:  # noqa: B027
        """After each poll."""

    def has_written(self, consumer: Consumer) -> None:  # noqa: B027
        """After each time that it was looked whether there is something to write."""

    def close(self) -> None:  # noqa: B027
        """Give back what was opened in `prepare`."""
