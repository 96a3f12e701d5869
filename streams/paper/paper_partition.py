"""One market partition in a process's hands: its task, how far the other topics were read for it, what to write.

Where a partition's state lies in Kafka: the committed market offset's metadata names its record.

Headers of a state: the group that wrote it, the id of its market topic, and the market offset that it is of.
"""

import hashlib
from typing import NamedTuple

import msgspec
import pyarrow as pa
from confluent_kafka import Consumer, Message, TopicPartition

from streams.engine.task import OutputRecord, ReferenceData
from streams.members import Key
from streams.paper.task import PaperTask, StoredTask
from tapewatch.contract import messages, topics
from tapewatch.contract.frames import Headers
from tapewatch.contract.messages import PaperCommand, PaperCommit
from tapewatch.errors import ContractError, TapewatchError
from tapewatch.rfc3339 import to_rfc3339
from tapewatch.runtime import kafka

_DIGEST_BYTES = 32
_SIZE_BYTES = 8
_MOST_PACKED = 255
"""Bytes that LZ4 makes of one at most."""


class ConsumerRecord(NamedTuple):
    """A record as it was read. appended_ns : the broker's time of it"""

    key: Key
    offset: int
    value: bytes | None
    headers: Headers | None
    appended_ns: int


class PartitionSnapshot(msgspec.Struct, forbid_unknown_fields=True):
    """What a restart goes on from. reads : topic, partition and next offset of the topics beside the market's."""

    task: StoredTask
    reads: list[tuple[str, int, int]]
    orders: int
    fills: int


def companions(market: Key, counts: dict[str, int]) -> list[Key]:
    """The partitions that belong to a market partition. counts : partitions of each topic

    The engine puts its commit records into the partition of the same number, and signals where their instrument
    belongs: also there the same number, where both topics have as many partitions.
    """
    topic, partition = market
    signals = counts[topics.SIGNALS]
    which = [partition] if signals == counts[topic] else range(signals)
    return [
        (topics.COMMITS, partition % counts[topics.COMMITS]),
        *((topics.SIGNALS, number) for number in which),
        (topics.PAPER_COMMANDS, 0),
    ]


class PaperPartition:
    """Reads a market partition's records and those beside it; what comes out waits for the next transaction.

    reads : next offset of each topic beside the market's; next_market : of the market's; refused : records of them that
    are no messages
    """

    def __init__(self, task: PaperTask, beside: list[Key]) -> None:
        self.task = task
        self.market: Key = (task.topic, task.partition)
        self.reads = dict.fromkeys(beside, 0)
        self.next_market = task.begin
        self.orders = self.fills = self.refused = 0
        self._written_to = -1 if task.taken else task.begin

    @property
    def is_dirty(self) -> bool:
        """Whether there is anything that a transaction should keep."""
        return self.task.begin != self._written_to or bool(self.task.taken)

    def read(self, record: ConsumerRecord) -> bool:
        """Take a record in; False where it is another desk's, or was read before."""
        if record.key == self.market:
            if record.offset < self.next_market:
                return False
            self.next_market = record.offset + 1
            self.task.market(record.offset, record.value, record.headers, record.appended_ns)
            return True
        if record.offset < self.reads.get(record.key, record.offset + 1):
            return False
        self.reads[record.key] = record.offset + 1
        try:
            self._said(record.key[0], record.value or b"")
        except ContractError:
            self.refused += 1
        return True

    def _said(self, topic: str, value: bytes) -> None:
        if topic == topics.SIGNALS:
            self.task.signal(value)
        elif topic == topics.COMMITS:
            self.task.commit(value)
        else:
            self.task.command(messages.decode(PaperCommand, value))

    def read_to(self, offset: int) -> None:
        """The market partition was read up to an offset, exclusive; what lies before it is no record."""
        if offset > self.next_market:
            self.next_market = offset
            self.task.read_to(offset)

    def waiting(self, topic: str) -> int:
        """How many records of a topic were read and wait for those of the others."""
        frames, signals, spans = self.task.gate.waiting()
        return {self.market[0]: frames, topics.SIGNALS: signals, topics.COMMITS: spans}.get(topic, 0)

    def take(self, instance: str) -> list[OutputRecord]:
        """Everything that the next transaction writes, the commit record last. `dump` the state after it."""
        out = self.task.take()
        self.orders += sum(each.topic == topics.ORDERS for each in out)
        self.fills += sum(each.topic == topics.FILLS for each in out)
        commit = messages.encode(self._commit(instance))
        self.task.taken, self._written_to = [], self.task.begin
        return [*out, OutputRecord(topics.PAPER_COMMITS, commit, self.market[0].encode())]

    def _commit(self, instance: str) -> PaperCommit:
        broker = self.task.broker
        return PaperCommit(
            topic=self.market[0],
            partition=self.market[1],
            next_offset=self.task.begin,
            taken=tuple(self.task.taken),
            running=broker.running,
            switched=dict(broker.switched),
            standing=len(broker.book.standing),
            orders=self.orders,
            fills=self.fills,
            skipped=dict(broker.skipped),
            clock=to_rfc3339(broker.clock) if broker.clock else None,
            instance=instance,
        )

    def dump(self) -> bytes:
        """The state, with its SHA-256 and size before it, in LZ4."""
        reads = [(topic, partition, offset) for (topic, partition), offset in sorted(self.reads.items())]
        whole = msgspec.json.encode(PartitionSnapshot(self.task.stored(), reads, self.orders, self.fills))
        size = len(whole).to_bytes(_SIZE_BYTES, "little")
        return hashlib.sha256(whole).digest() + size + bytes(pa.compress(whole, codec="lz4", asbytes=True))


def load(data: bytes, registry: ReferenceData, beside: list[Key]) -> PaperPartition:
    """A desk that goes on where `dump` was taken; TapewatchError where the bytes are no such state."""
    digest, size = data[:_DIGEST_BYTES], int.from_bytes(data[_DIGEST_BYTES : _DIGEST_BYTES + _SIZE_BYTES], "little")
    packed = data[_DIGEST_BYTES + _SIZE_BYTES :]
    try:
        if size > _MOST_PACKED * len(packed):
            raise ValueError(f"{len(packed)} bytes do not hold {size}")
        whole = bytes(pa.decompress(packed, decompressed_size=size, codec="lz4", asbytes=True))
        if hashlib.sha256(whole).digest() != digest:
            raise TapewatchError("the paper broker's state does not match its digest", "Restore the topic's backup.")
        found = msgspec.json.decode(whole, type=PartitionSnapshot)
    except (msgspec.MsgspecError, pa.ArrowException, OSError, ValueError) as error:
        raise TapewatchError(
            f"the paper broker's state cannot be read: {error}", "Start it with the build that wrote it."
        ) from error
    desk = PaperPartition(PaperTask.restored(found.task, registry), beside)
    desk.reads |= {(topic, partition): offset for topic, partition, offset in found.reads}
    desk.orders, desk.fills = found.orders, found.fills
    return desk


_GROUP, _TOPIC_ID, _OFFSET = "group", "topic_id", "offset"


def state_key(market: Key) -> bytes:
    """The compaction key of a partition's state."""
    return f"{market[0]}|{market[1]}".encode()


def state_partition(market: Key, count: int) -> int:
    """Which of the `count` partitions of `paper.snapshots` has the states of a market partition."""
    return market[1] % count


def headers(group: str, topic_id: str, begin: int) -> Headers:
    """Headers of a state. begin : the market offset that is committed with it"""
    return [(_GROUP, group.encode()), (_TOPIC_ID, topic_id.encode()), (_OFFSET, str(begin).encode())]


def group(state: Message) -> str:
    """The group that wrote a state; empty where it does not say."""
    return _header(state, _GROUP)


def topic_id(state: Message) -> str:
    """The id of the market topic that a state is of; empty where it does not say."""
    return _header(state, _TOPIC_ID)


def begin(state: Message) -> int:
    """The market offset that a state of ours is of."""
    return int(_header(state, _OFFSET))


def _header(state: Message, name: str) -> str:
    return next((value.decode(errors="replace") for key, value in state.headers() or () if key == name and value), "")


def pointer(partition: int, offset: int) -> str:
    """A place in `paper.snapshots` as offset metadata."""
    return f"{partition}:{offset}"


def pointer_to(state: Message) -> str:
    """The place of a state as offset metadata."""
    return pointer(state.partition() or 0, state.offset() or 0)


def pointed_to(metadata: str | None) -> tuple[int, int] | None:
    """Partition and offset that offset metadata names; None where it names none."""
    partition, _, offset = (metadata or "").partition(":")
    return (int(partition), int(offset)) if partition.isdigit() and offset.isdigit() else None


def read_state(reader: Consumer, place: TopicPartition, registry: ReferenceData, beside: list[Key]) -> PaperPartition:
    """The state that a committed market offset names; TapewatchError where it is not there."""
    market: Key = (place.topic, place.partition)
    named = pointed_to(place.metadata)
    if named is not None:
        partition, first = named
        found = list(kafka.read_range(reader, topics.PAPER_SNAPSHOTS, partition, first, first + 1))
        if found and found[0].offset() == first and found[0].key() == state_key(market):
            return load(found[0].value() or b"", registry, beside)
    raise TapewatchError(
        f"the paper broker's state of {market[0]}[{market[1]}] is not where its offset says ({place.metadata!r})",
        "Was the topic made anew? Let the broker begin again with a group of its own (paper.group).",
    )
