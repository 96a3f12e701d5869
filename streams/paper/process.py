"""The paper broker's process: a member of a consumer group that turns signals into orders and fills, exactly once.

The protocol is that of `streams.transactional_stage`. A desk reads market records, signals, the engine's commit records
and commands. A transaction holds its orders, fills, positions and a commit record, and its state; the market offset is
committed with the state's place as metadata, once the broker has it. Where the other topics are read on lies in the
state itself.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import msgspec
from confluent_kafka import Consumer, Message, Producer, TopicPartition

from streams import members
from streams.engine.task import OutputRecord
from streams.members import Key
from streams.paper import paper_partition
from streams.paper.group_position import PaperOffsetVerifier
from streams.paper.paper_partition import ConsumerRecord, PaperPartition, companions
from streams.paper.task import PaperTask
from streams.transactional_stage import TransactionalStage
from tapewatch.clock import WALL, Clock
from tapewatch.contract import topics
from tapewatch.market_log.registry import Registry
from tapewatch.runtime import group_offsets, kafka, topic_ids, transactions
from tapewatch.runtime.monitoring import counters
from tapewatch.settings import Settings

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


class Paper(TransactionalStage):
    """One process of the paper broker."""

    def __init__(self, settings: Settings, clock: Clock = WALL) -> None:
        paper, self.totals = settings.paper, PaperTotals()
        subscribed = members.subscribed(paper.feeds)
        super().__init__(settings, "paper", paper.group, paper.instance, subscribed, self.totals, COUNTS, clock)
        self.batch_records = paper.batch_records
        self.poll_s, self.commit_s = paper.poll_ms / 1000, paper.commit_ms / 1000
        untraded = ",".join(sorted({*paper.untraded.split(","), *settings.notify.canaries} - {""}))
        self._rules = msgspec.structs.replace(paper.rules(), untraded=untraded)
        self._registry = Registry(settings)
        self._desks: dict[Key, PaperPartition] = {}
        self._partitions: dict[str, int] = {}
        self._standing = PaperOffsetVerifier(settings)
        self._ids: dict[str, str] = {}
        self._paused: set[Key] = set()

    @property
    def held(self) -> Collection[Key]:
        """Market partitions that have a desk here."""
        return self._desks.keys()

    @property
    def awaited(self) -> Collection[Key]:
        """Those and what belongs to them, without what is not read on for now."""
        return self._starts().keys() - self._paused

    def prepare(self) -> None:
        """Topics and reference data."""
        kafka.create_topics(self._settings, topics.paper_topics(self._settings.topics))
        self._registry.refresh()

    def close(self) -> None:
        """Give the registry's reader back."""
        self._registry.close()

    def drop(self) -> None:
        """Let go of all desks."""
        self._desks = {}

    def take_up(self, consumer: Consumer, reader: Consumer, given: list[TopicPartition]) -> list[TopicPartition]:
        """The desks' committed states; market partitions, and those of other topics that belong to them."""
        client = kafka.admin(self._settings)
        self._partitions = kafka.existing_topics(client)
        names = {place.topic for place in given}
        self._ids = kafka.answered(lambda: topic_ids.present(client, names), kafka.is_passing, group_offsets.PATIENCE_S)
        for place in self._standing.proved(consumer, reader, given, self._ids):
            key = (place.topic, place.partition)
            self._desks[key] = self._desk(reader, key, place)
            self._desks[key].task.configure(self._rules)
        if self._desks:
            self._hear(reader)
        self._paused = set()
        return [TopicPartition(*key, offset) for key, offset in self._starts().items()]

    def _hear(self, reader: Consumer) -> None:
        """Take every command that has been given so far, before any market record: a stop holds from the first one."""
        key = (topics.PAPER_COMMANDS, 0)
        start = min(desk.reads[key] for desk in self._desks.values())
        low, end = kafka.watermarks(reader, *key)
        for message in kafka.read_range(reader, *key, max(start, low), end):
            self._take([message])

    def _desk(self, reader: Consumer, key: Key, place: TopicPartition) -> PaperPartition:
        """A partition's desk: its committed state, or an empty one."""
        beside = companions(key, self._partitions)
        if place.offset < 0:
            task = PaperTask(*key, self._registry, self._rules)
            task.start_at(kafka.watermarks(reader, *key)[0])
            return PaperPartition(task, beside)
        desk, low = paper_partition.read_state(reader, place, self._registry, beside), kafka.watermarks(reader, *key)[0]
        if low > desk.next_market:
            self._log.error(
                "market records expired unread", topic=key[0], partition=key[1], first=desk.next_market, next=low
            )
        return desk

    def _starts(self) -> dict[Key, int]:
        """Where each partition is read on: at the least offset that any desk asks for."""
        starts: dict[Key, int] = {}
        for desk in self._desks.values():
            for key, offset in ((desk.market, desk.next_market), *desk.reads.items()):
                starts[key] = min(offset, starts.get(key, offset))
        return starts

    def feed(self, records: list[Message]) -> int:
        """Hand records to the desks; how many were of use."""
        self._registry.fetched(records)
        return self._take(records)

    def _take(self, records: Iterable[Message]) -> int:
        used = 0
        for message in records:
            key = (message.topic(), message.partition())
            appended = message.timestamp()[1] * 1_000_000
            record = ConsumerRecord(key, message.offset(), message.value(), message.headers(), appended)
            own = self._desks.get(key)
            heard = [desk.read(record) for desk in ([own] if own else self._desks.values())]
            used += any(heard)
        self.totals.records += used
        return used

    def has_read(self, consumer: Consumer) -> None:
        """Tell the desks how far their market partitions were read: ends of transactions take offsets too."""
        if self._desks:
            for place in consumer.position([TopicPartition(*key) for key in self._desks]):
                self._desks[place.topic, place.partition].read_to(place.offset)

    def has_written(self, consumer: Consumer) -> None:
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

    @property
    def is_dirty(self) -> bool:
        """Whether a desk has changed."""
        return any(desk.is_dirty for desk in self._desks.values())

    def produce(self, producer: Producer) -> list[TopicPartition]:
        """Write outputs and states; returns the market offsets, each with the place of its state."""
        dirty = [desk for desk in self._desks.values() if desk.is_dirty]
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
                places[desk.market] = paper_partition.pointer_to(message)

        target = paper_partition.state_partition(desk.market, self._partitions[topics.PAPER_SNAPSHOTS])
        says = paper_partition.headers(self._settings.paper.group, self._ids.get(desk.market[0], ""), desk.task.begin)
        kafka.enqueue(
            producer, topics.PAPER_SNAPSHOTS, desk.dump(), paper_partition.state_key(desk.market), says, target, told
        )

    def _count(self, record: OutputRecord) -> None:
        if record.topic in (topics.ORDERS, topics.FILLS, topics.POSITIONS):
            setattr(self.totals, record.topic, getattr(self.totals, record.topic) + 1)


def _reads(desk: PaperPartition, key: Key) -> bool:
    return key == desk.market or key in desk.reads
