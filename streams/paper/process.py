"""The paper broker's process: a member of a consumer group that turns signals into orders and fills, exactly once.

The protocol, step by step:
1 read market records, signals, the engine's commit records and commands, and feed them to the desks; 2 begin a
transaction; 3 write each changed desk's state, and wait until the broker has it; 4 write orders, fills, positions and a
commit record; 5 add the market offsets, with the state's place as metadata; 6 commit.
If we die before 6, none of it is there: the next one goes on from the state before. A failed transaction is
aborted, and the desks are read again. Where the other topics are read on lies in the state itself.
"""

import threading
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec
from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition

from streams import members
from streams.engine.task import OutputRecord
from streams.members import Key, Membership
from streams.paper import state_records
from streams.paper.group_position import PaperOffsetVerifier
from streams.paper.paper_partition import ConsumerRecord, PaperPartition, companions
from streams.paper.task import PaperTask
from tapewatch import group_offsets, kafka, logs, topic_ids, topics, transactions
from tapewatch.clock import NANOS, WALL, Clock
from tapewatch.idling import IdleDetector
from tapewatch.monitoring import Monitor, counters
from tapewatch.monitoring.shared import ENDINGS, PARTITIONS, TRANSACTION_SECONDS
from tapewatch.registry import Registry
from tapewatch.settings import Settings

log = logs.get("paper")

MOST_WAITING = 5_000
"""With so many records of a topic waiting for those of another, the topic is not read on."""


@dataclass(slots=True)
class PaperTotals:
    """What this process has done so far. orders, fills, positions : messages; commands : taken, a partition each"""

    records: int = 0
    orders: int = 0
    fills: int = 0
    positions: int = 0
    commands: int = 0
    refused: int = 0
    transactions: int = 0
    aborted: int = 0


COUNTS = counters(
    "paper",
    records="Records that were of use to a desk.",
    orders="Order messages written.",
    fills="Fills written.",
    positions="Positions written.",
    commands="Commands taken, a partition each.",
    refused="Records that could not be read.",
)


class Paper:
    """One process of the paper broker."""

    def __init__(self, settings: Settings, clock: Clock = WALL) -> None:
        self._settings, self._clock = settings, clock
        untraded = ",".join(sorted({*settings.paper.untraded.split(","), *settings.notify.canaries} - {""}))
        self._rules = msgspec.structs.replace(settings.paper.rules(), untraded=untraded)
        self.instance = members.own_name(settings.paper.instance)
        self.totals = PaperTotals()
        self.monitor = Monitor("paper", settings)
        self.monitor.show_counts(COUNTS | ENDINGS, self.totals)
        self.monitor.show(PARTITIONS, lambda: {(): len(self._desks)})
        self._takes = self.monitor.distribution(TRANSACTION_SECONDS)
        self._registry = Registry(settings)
        self._desks: dict[Key, PaperPartition] = {}
        self._partitions: dict[str, int] = {}
        self._standing = PaperOffsetVerifier(settings)
        self._ids: dict[str, str] = {}
        self._paused: set[Key] = set()
        self._idling = IdleDetector(None, clock)

    def run(self, stop: threading.Event, until_idle_s: float = 0.0) -> None:
        """Work until told to stop, or until nothing came for `until_idle_s` seconds (0: for ever)."""
        paper = self._settings.paper
        kafka.create_topics(self._settings, topics.paper_topics(self._settings.topics))
        self._registry.refresh()
        name = f"{paper.group}-{self.instance}"
        writer = transactions.Writer(
            lambda: transactions.make_producer(self._settings, name),
            members.make_way(self._settings, paper.group, self.instance, lambda: membership.member_id),
        )
        told = self.monitor.client("reader")
        idling = self._idling = IdleDetector(until_idle_s or None, self._clock)
        consumer = members.member_consumer(self._settings, paper.group, self.instance, told=told, **idling.properties)

        def put_down() -> None:
            """Keep what was worked out, and let go of all desks."""
            self._write(consumer, writer)
            self._desks = {}
            self.monitor.waits_for("partitions", "the group is shared out anew")

        self.monitor.waits_for("partitions", "none is assigned")
        self.monitor.ready()
        membership = Membership(consumer, members.subscribed(paper.feeds), self._take_up, put_down)
        last_write = self._clock.elapsed()
        try:
            while not stop.is_set():
                self.monitor.beat()
                membership.settle_in()
                batch = idling.read(consumer.consume(paper.batch_records, timeout=paper.poll_ms / 1000))
                self._registry.fetched(batch)
                now = self._clock.elapsed()
                if not self._feed(batch) and idling.is_over(self._starts().keys() - self._paused):
                    break
                self._read_to_positions(consumer)
                if now - last_write >= paper.commit_ms * 1_000_000:
                    if not self._write(consumer, writer):
                        self._start_over(consumer)
                    self._breathe(consumer)
                    last_write = now
            self._write(consumer, writer)
        finally:
            consumer.close()
            self._registry.close()

    def _take_up(self, consumer: Consumer, given: list[TopicPartition]) -> None:
        """Take partitions up where the last transaction over them left off."""
        client = kafka.admin(self._settings)
        self._partitions = kafka.existing_topics(client)
        names = {place.topic for place in given}
        self._ids = kafka.answered(lambda: topic_ids.present(client, names), kafka.is_passing, group_offsets.PATIENCE_S)
        self._desks = {}
        reader = kafka.consumer(self._settings)
        try:
            for place in self._standing.proved(consumer, reader, given, self._ids):
                key = (place.topic, place.partition)
                self._desks[key] = self._desk(reader, key, place)
                self._desks[key].task.configure(self._rules)
            if self._desks:
                self._hear(reader)
        finally:
            reader.close()
        self._paused = set()
        consumer.assign([TopicPartition(*key, offset) for key, offset in self._starts().items()])
        self._idling.anew()
        if self._desks:
            self.monitor.has("partitions")
        log.info("partitions assigned", partitions=[f"{topic}[{partition}]" for topic, partition in self._desks])

    def _hear(self, reader: Consumer) -> None:
        """Take every command that has been given so far, before any market record: a stop holds from the first one."""
        key = (topics.PAPER_COMMANDS, 0)
        start = min(desk.reads[key] for desk in self._desks.values())
        low, end = kafka.watermarks(reader, *key)
        for message in kafka.read_range(reader, *key, max(start, low), end):
            self._feed([message])

    def _desk(self, reader: Consumer, key: Key, place: TopicPartition) -> PaperPartition:
        """A partition's desk: its committed state, or an empty one."""
        beside = companions(key, self._partitions)
        if place.offset < 0:
            task = PaperTask(*key, self._registry, self._rules)
            task.start_at(kafka.watermarks(reader, *key)[0])
            return PaperPartition(task, beside)
        desk, low = state_records.read_state(reader, place, self._registry, beside), kafka.watermarks(reader, *key)[0]
        if low > desk.next_market:
            log.error("market records expired unread", topic=key[0], partition=key[1], first=desk.next_market, next=low)
        return desk

    def _starts(self) -> dict[Key, int]:
        """Where each partition is read on: at the least offset that any desk asks for."""
        starts: dict[Key, int] = {}
        for desk in self._desks.values():
            for key, offset in ((desk.market, desk.next_market), *desk.reads.items()):
                starts[key] = min(offset, starts.get(key, offset))
        return starts

    def _feed(self, batch: Iterable[Message]) -> int:
        """Hand records to the desks; returns how many were of use."""
        used = 0
        for message in members.sound(batch, log):
            key = (message.topic(), message.partition())
            appended = message.timestamp()[1] * 1_000_000
            record = ConsumerRecord(key, message.offset(), message.value(), message.headers(), appended)
            own = self._desks.get(key)
            heard = [desk.read(record) for desk in ([own] if own else self._desks.values())]
            used += any(heard)
        self.totals.records += used
        return used

    def _read_to_positions(self, consumer: Consumer) -> None:
        """Tell the desks how far their market partitions were read: ends of transactions take offsets too."""
        if self._desks:
            for place in consumer.position([TopicPartition(*key) for key in self._desks]):
                self._desks[place.topic, place.partition].read_to(place.offset)

    def _breathe(self, consumer: Consumer) -> None:
        """Stop reading what waits for other topics in great number, and read on once it no longer does."""
        crowded = {
            key
            for key in self._starts()
            if key[0] != topics.PAPER_COMMANDS
            and any(desk.waiting(key[0]) > MOST_WAITING for desk in self._desks.values() if _reads(desk, key))
        }
        consumer.pause([TopicPartition(*key) for key in crowded - self._paused])
        consumer.resume([TopicPartition(*key) for key in self._paused - crowded])
        self._paused = crowded

    def _write(self, consumer: Consumer, writer: transactions.Writer) -> bool:
        """All that was worked out, in one transaction; False where it failed and the desks are ahead of the log."""
        dirty = [desk for desk in self._desks.values() if desk.is_dirty]
        if not dirty:
            return True
        begun, producer = self._clock.elapsed(), writer.producer
        try:
            transactions.begin(producer)
            transactions.commit(producer, self._produce(producer, dirty), consumer.consumer_group_metadata())
        except KafkaException as error:
            writer.abort(error, log)
            self.totals.aborted += 1
            return False
        self.totals.transactions += 1
        self._takes.observe((self._clock.elapsed() - begun) / NANOS)
        return True

    def _produce(self, producer: Producer, dirty: list[PaperPartition]) -> list[TopicPartition]:
        """Write outputs and states; returns the market offsets, each with the place of its state."""
        places: dict[Key, str] = {}
        for desk in dirty:
            self.totals.commands += sum(taken.action != "settings" for taken in desk.task.taken)
            self.totals.refused += desk.refused
            desk.refused = 0
            for record in desk.take(self.instance):
                self._count(record)
                target = record.target(desk.market[1], self._partitions[record.topic])
                kafka.enqueue(producer, record.topic, record.value, record.key, record.headers, target)
            self._write_state(producer, desk, places)
        producer.flush(transactions.TIMEOUT_MS / 1000)
        if len(places) != len(dirty):
            raise transactions.unacknowledged("states of the paper broker")
        return [TopicPartition(*desk.market, desk.task.begin, metadata=places[desk.market]) for desk in dirty]

    def _write_state(self, producer: Producer, desk: PaperPartition, places: dict[Key, str]) -> None:
        """Write a desk's state; where it has come to lie stands in `places` once the broker has it."""

        def told(error: object, message: Message) -> None:
            if not error:
                places[desk.market] = state_records.pointer_to(message)

        target = state_records.state_partition(desk.market, self._partitions[topics.PAPER_SNAPSHOTS])
        says = state_records.headers(self._settings.paper.group, self._ids.get(desk.market[0], ""), desk.task.begin)
        kafka.enqueue(
            producer, topics.PAPER_SNAPSHOTS, desk.dump(), state_records.state_key(desk.market), says, target, told
        )

    def _count(self, record: OutputRecord) -> None:
        if record.topic in (topics.ORDERS, topics.FILLS, topics.POSITIONS):
            setattr(self.totals, record.topic, getattr(self.totals, record.topic) + 1)

    def _start_over(self, consumer: Consumer) -> None:
        """Take the desks up again from what is committed."""
        mine = {(place.topic, place.partition) for place in consumer.assignment()}
        self._take_up(consumer, [TopicPartition(*key) for key in self._desks if key in mine])


def _reads(desk: PaperPartition, key: Key) -> bool:
    return key == desk.market or key in desk.reads
