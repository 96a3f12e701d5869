"""What the broker still has of an alert's past: the market log, and the engine's snapshots before it."""

from collections.abc import Iterator
from typing import Protocol

from confluent_kafka import Consumer, Message, TopicPartition

from streams.engine.snapshots import OPENING, DamagedError, Pointers, chunk_key, collect
from streams.engine.task import Task
from tapewatch.contract import topics
from tapewatch.proof.evidence import EvidenceRecord
from tapewatch.proof.evidence.records import kept
from tapewatch.runtime import group_offsets, kafka
from tapewatch.settings import Settings

SLOTS = (0, 1, OPENING)
Where = tuple[str, int]
"""A partition of a market topic."""


class MarketLog(Protocol):
    """Where the records of market partitions are read."""

    def bounds(self, where: Where) -> tuple[int, int]:
        """First and next offset; 0, 0 where there is no such partition."""
        ...

    def read(self, where: Where, first: int, last: int) -> Iterator[EvidenceRecord]:
        """The records of a stretch, both ends included."""
        ...


class Snapshots(Protocol):
    """Where engine snapshots are found."""

    def before(self, task: Task, limit: int) -> tuple[int, bytes] | None:
        """The newest snapshot of the task's partition that is not ahead of `limit`: next offset and bytes."""
        ...


class BrokerLog:
    """The market log on the broker. reader : a consumer that nothing else uses meanwhile"""

    def __init__(self, reader: Consumer) -> None:
        self._reader = reader

    def bounds(self, where: Where) -> tuple[int, int]:
        """First and next offset; 0, 0 where there is no such partition."""
        if where[1] >= kafka.existing_topics(self._reader).get(where[0], 0):
            return 0, 0
        return kafka.watermarks(self._reader, *where)

    def read(self, where: Where, first: int, last: int) -> Iterator[EvidenceRecord]:
        """The records of a stretch, both ends included."""
        return map(kept, kafka.read_range(self._reader, *where, first, last + 1))


class BrokerSnapshots:
    """Finds engine snapshots of a partition. reader : a consumer that nothing else uses meanwhile"""

    def __init__(self, settings: Settings, reader: Consumer) -> None:
        self._reader = reader
        self._group = kafka.consumer(settings, settings.engine.group)
        self._partitions = 0
        self._settings = settings

    def before(self, task: Task, limit: int) -> tuple[int, bytes] | None:
        """The newest snapshot of the task's partition that is not ahead of `limit`: next offset and bytes.

        First those that the engine's committed offset names; then, where the archive lags, older ones that the topic's
        compaction has not taken yet. None where there is none.
        """
        place = group_offsets.committed(self._group, [TopicPartition(task.topic, task.partition)])[0]
        for pointer in Pointers.decoded(place.metadata).snapshots:
            if pointer.next_offset <= limit:
                try:
                    return pointer.next_offset, collect(pointer, task, self._read)
                except DamagedError:
                    continue
        return self._older(task, limit)

    def _read(self, partition: int, offset: int) -> list[Message]:
        low, high = kafka.watermarks(self._reader, topics.SNAPSHOTS, partition)
        return list(kafka.read_range(self._reader, topics.SNAPSHOTS, partition, max(low, offset), high))

    def _older(self, task: Task, limit: int) -> tuple[int, bytes] | None:
        """Look through the whole of the topic's partition for a snapshot with all its chunks."""
        if not self._partitions:
            self._partitions = kafka.existing_topics(kafka.admin(self._settings)).get(topics.SNAPSHOTS, 0)
        if not self._partitions:
            return None
        place = task.partition % self._partitions
        low, high = kafka.watermarks(self._reader, topics.SNAPSHOTS, place)
        best: tuple[int, bytes] | None = None
        chunks: dict[tuple[int, int], dict[int, bytes]] = {}
        for message in kafka.read_range(self._reader, topics.SNAPSHOTS, place, low, high):
            slot = _slot(task, message.key() or b"")
            told = dict(message.headers() or ())
            if slot is None or not message.value() or not told.keys() >= {"next_offset", "chunks", "chunk"}:
                continue
            offset = int(told["next_offset"])
            if offset > limit or (best is not None and offset <= best[0]):
                continue
            found = chunks.setdefault((slot, offset), {})
            found[int(told["chunk"])] = message.value()
            if len(found) == int(told["chunks"]):
                best = offset, b"".join(data for _, data in sorted(found.items()))
                chunks.clear()
        return best

    def close(self) -> None:
        """Give the consumer back."""
        self._group.close()


def _slot(task: Task, key: bytes) -> int | None:
    """The slot whose chunk has this key; None for another partition's."""
    for slot in SLOTS:
        if key.startswith(chunk_key(task, slot, 0).rpartition(b"|")[0] + b"|"):
            return slot
    return None
