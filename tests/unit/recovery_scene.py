"""A market partition's log and its snapshots in memory, as a recovery reads them; reading moves the clock."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from confluent_kafka import KafkaError, TopicPartition

from streams.driver import Driver
from streams.engine import recovery, snapshots
from streams.engine.build import build_hash
from streams.engine.models import ModelStore
from streams.engine.recovery import Rebuild, Recovery
from streams.engine.snapshots import Pointer, Pointers
from streams.engine.task import Task
from tapewatch.clock import NANOS, ManualClock
from tapewatch.contract.frames import FrameHeaders
from tapewatch.contract.instruments import Instrument
from tapewatch.market_log.registry import FixedRegistry
from tapewatch.settings import Settings
from tests.unit import engine_market as m

TOPIC, PARTITION = "market.scene", 2
NAMES = ["A.SIMX", "B.SIMX"]
COST_NS = NANOS // 10
"""What a record of the log takes to be read: all time that passes by itself."""


class Record:
    """A Kafka message; its reading takes time."""

    def __init__(
        self, offset: int, value: bytes | None, headers: Sequence[tuple[str, bytes]] = (), key: bytes | None = None,
        clock: ManualClock | None = None, error: KafkaError | None = None,
    ) -> None:  # fmt: skip
        self._offset, self._value, self._headers, self._key = offset, value, headers, key
        self._clock, self._error = clock, error

    def offset(self) -> int:
        return self._offset

    def value(self) -> bytes | None:
        if self._clock is not None:
            self._clock.sleep(COST_NS / NANOS)
        return self._value

    def headers(self) -> list[tuple[str, bytes]]:
        return list(self._headers)

    def key(self) -> bytes | None:
        return self._key

    def timestamp(self) -> tuple[int, int]:
        return 2, m.START * 1000 + 60_000

    def error(self) -> KafkaError | None:
        return self._error


class Reader:
    """A consumer of the market log: at most `at_once` records a call. errors : given before the records, one a call"""

    def __init__(self, records: Sequence[Record], at_once: int) -> None:
        self.records, self.at_once = records, at_once
        self.assigned: list[tuple[str, int, int]] = []
        self.errors: list[Any] = []
        self.place, self.markers, self._polls = -1, 0, 0

    def assign(self, places: Sequence[TopicPartition]) -> None:
        self.assigned += [(each.topic, each.partition, each.offset) for each in places]
        self.place = places[0].offset

    def unassign(self) -> None:
        self.place = -1

    def consume(self, most: int, timeout: float) -> list[Record]:
        self._polls += 1
        assert self._polls < 1000, "a log of few records is read without end"
        if self.errors:
            error = self.errors.pop(0)
            if isinstance(error, Exception):
                raise error
            return [error]
        taken = [record for record in self.records if record.offset() >= self.place][: min(most, self.at_once)]
        if taken:
            self.place = taken[-1].offset() + 1
        return taken

    def position(self, places: Sequence[TopicPartition]) -> list[TopicPartition]:
        """Behind the last record lie `markers` places that a transaction's end takes."""
        (where,) = places
        behind = self.place + (self.markers if self.place > self.records[-1].offset() else 0)
        return [TopicPartition(where.topic, where.partition, behind)]


class Registrations(FixedRegistry):
    """Keeps the offsets of which it was told that they are fed next."""

    def __init__(self) -> None:
        super().__init__([Instrument(name) for name in NAMES])
        self.batches: list[list[int]] = []

    def fetched(self, records: Sequence[Any]) -> None:
        self.batches.append([record.offset() for record in records])


class Scene(Recovery):
    """A recovery over a log of `seconds` seconds from offset `first` on, two records each."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: int = 20, first: int = 0, at_once: int = 10) -> None:
        self.clock = ManualClock(1_000 * NANOS)
        monkeypatch.setattr(recovery, "WALL", self.clock)
        self.registrations = Registrations()
        registry: Any = self.registrations
        super().__init__(Settings(), registry, ModelStore(), build_hash())
        self.log = [Record(first + place, *frame, clock=self.clock) for place, frame in enumerate(frames(seconds))]
        self.reader = Reader(self.log, at_once)
        self.low, self.high = first, first + len(self.log)
        self.stored: list[Record] = []

    def watermarks(self, topic: str, partition: int) -> tuple[int, int]:
        assert (topic, partition) == (TOPIC, PARTITION)
        return self.low, self.high

    def snapshot_records(self, partition: int, offset: int) -> Iterator[Any]:
        assert partition == 5
        return iter(self.stored[offset:])

    def _consumer(self) -> Any:
        self._reader = self.reader
        return self.reader

    def to(self, target: int, *kept: Pointer, began: int = -1) -> Rebuild:
        """A recovery to a committed offset. kept : pointers of its metadata, newest first"""
        return self.begin(TOPIC, PARTITION, target, Pointers(kept, began))

    def at(self, offset: int) -> Task:
        """A task that computed the log up to an offset, one record after the other."""
        driver = Driver(self.registrations, TOPIC, PARTITION, ModelStore())
        for record in self.log:
            if record.offset() < offset:
                driver.task.feed(record.offset(), record._value, record.headers(), record.timestamp()[1] * 1_000_000)
        driver.task.next_offset = offset
        driver.outgoing()
        return driver.task

    def store(self, offset: int, slot: int, damage: bool = False) -> Pointer:
        """Keep a snapshot of the task at an offset of the log, in two chunks."""
        task = self.at(offset)
        data = bytearray(snapshots.dump(task))
        data[40] ^= damage
        parts = [bytes(data[:1000]), bytes(data[1000:])]
        first = len(self.stored)
        for index, part in enumerate(parts):
            headers, key = snapshots.chunk_headers(task, 2, index), snapshots.chunk_key(task, slot, index)
            self.stored.append(Record(first + index, part, headers, key))
        return Pointer(5, first, 2, offset, slot)


def frames(seconds: int) -> list[tuple[bytes, list[tuple[str, bytes]]]]:
    """Value and headers: quotes and trades of both instruments each second; every seventh record is none."""
    made = []
    for place in range(2 * seconds):
        second = place // 2
        events = [
            m.quote(name, second + 0.2, 99, 101 + second % 3) if place % 2 == 0 else m.trade(name, second + 0.6, 100.0)
            for name in NAMES
        ]
        headers = FrameHeaders(events[0].type.label, "test", 0, place, 0).to_kafka()
        made.append((b"none" if place % 7 == 6 else m.frame(events, NAMES), headers))
    return made


def same(found: Task, wanted: Task) -> bool:
    """Whether two tasks hold the same state and go on at the same place."""
    return snapshots.dump(found) == snapshots.dump(wanted)
