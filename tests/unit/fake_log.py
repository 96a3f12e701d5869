"""A log in memory: a market of two partitions with a promotion in mid-log, and what an engine wrote of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import msgspec
import pyarrow as pa

from streams.driver import Driver
from streams.engine.detector_config import DetectorConfig
from streams.engine.models import Control, ModelStore
from streams.engine.policy import DDQN
from streams.engine.task import OutputRecord
from streams.verifying.partition import Input, PartitionCheck, PartitionResult
from tapewatch.contract import frames, topics
from tapewatch.contract.frames import FrameHeaders
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.partitioner import partition_for
from tapewatch.contract.rows import StatusKind
from tapewatch.market_log.admission import CONTROL_SOURCE
from tapewatch.market_log.registry import FixedRegistry
from tests.unit import engine_market as m
from tests.unit.virtual_policy import EAGER, made

FEED = "fake"
NAMES = ["*", "AA.SIMX", "AB.SIMX", "AC.SIMX", "AD.SIMX"]
PARTITIONS = 2
COUNTS = {topics.FEATURES: 2, topics.SCORES: 2, topics.BARS: 2, topics.ALERTS: 3, topics.SIGNALS: 3, topics.COVERAGE: 1}
"""Partitions of the output topics; alerts and signals lie by instrument, in more than the input has."""


@dataclass(frozen=True)
class FakeRecord:
    """A record of the fake log, as a Kafka message."""

    _offset: int
    _value: bytes
    _key: bytes | None
    _headers: Sequence[tuple[str, bytes]]

    def offset(self) -> int:
        return self._offset

    def value(self) -> bytes:
        return self._value

    def key(self) -> bytes | None:
        return self._key

    def headers(self) -> list[tuple[str, bytes]]:
        return list(self._headers)

    def timestamp(self) -> tuple[int, int]:
        return 2, m.START * 1000


@dataclass
class FakeLog:
    """Topics in memory."""

    partitions: dict[str, int]
    kept: dict[tuple[str, int], list[FakeRecord]] = field(default_factory=dict)
    handed_out: int = 0

    def records(self, topic: str, partition: int) -> Iterator[FakeRecord]:
        for record in list(self.kept.get((topic, partition), [])):
            self.handed_out += 1
            yield record

    def append(self, topic: str, partition: int, value: bytes, key=None, headers=()) -> None:
        records = self.kept.setdefault((topic, partition), [])
        records.append(FakeRecord(len(records), value, key, tuple(headers)))

    def change(self, topic: str, partition: int, at: int, records: Sequence[FakeRecord]) -> None:
        """Put other records in the place of one."""
        kept = self.kept[topic, partition]
        self.kept[topic, partition] = [*kept[:at], *records, *kept[at + 1 :]]

    def copy(self) -> "FakeLog":
        return FakeLog(dict(self.partitions), {place: list(records) for place, records in self.kept.items()})


def market(log: FakeLog, shelf: ModelStore, seconds: int = 90) -> None:
    """Trades and quotes of four shares by second, a row that is refused, a record that is none, and a promotion."""
    hashed = shelf.put(made(1).encoded())
    control = Control(models={DDQN: hashed}, config=DetectorConfig(policy=EAGER))
    for partition in range(PARTITIONS):
        own = [name for name in NAMES[1:] if partition_for(name, PARTITIONS) == partition]
        parts = [m.heartbeats(seconds)]
        for place, name in enumerate(own):
            step = 0.01 * (1 + place)
            parts.append(
                [m.trade(name, second + 0.3, 100 + step * (second % 7), 1 + second % 3) for second in range(seconds)]
            )
            parts.append(
                [m.quote(name, second + 0.5, 99.9 + step, 100.1 + step * (second % 5)) for second in range(seconds)]
            )
        parts.append([m.trade("UNKNOWN.SIMX", 20.1, 5.0)])
        events = m.in_order(*parts)
        names = [*NAMES, "UNKNOWN.SIMX"]
        for sequence, run in enumerate(m.frames_of(events)):
            if sequence == 60:
                log.append(
                    topics.market(FEED), partition, b"no frame", headers=FrameHeaders("trade", "x", 1, 1, 0).to_kafka()
                )
            if sequence == 100:
                row = m.status(
                    StatusKind.CONTROL, run[0].second - m.START, detail=msgspec.json.encode(control).decode()
                )
                headers = FrameHeaders("status", CONTROL_SOURCE, 1, 1, 0).to_kafka()
                log.append(topics.market(FEED), partition, m.frame([row], names), headers=headers)
            headers = FrameHeaders(run[0].type.label, "test", 1, sequence, 0).to_kafka()
            log.append(topics.market(FEED), partition, m.frame(run, names), headers=headers)


def registry() -> FixedRegistry:
    return FixedRegistry([Instrument(name) for name in NAMES[1:]])


def engine(log: FakeLog, shelf: ModelStore, cuts: Sequence[int]) -> None:
    """Write what an engine that commits at these input offsets writes."""
    for partition in range(PARTITIONS):
        driver = Driver(registry(), topics.market(FEED), partition, shelf)
        records = log.kept[topics.market(FEED), partition]
        bounds = sorted({0, len(records), *(cut % (len(records) + 1) for cut in cuts)})
        for low, high in pairwise(bounds):
            for record in records[low:high]:
                driver.task.feed(record.offset(), record.value(), record.headers(), record.timestamp()[1] * 1_000_000)
            for outgoing in driver.task.take():
                write(log, partition, outgoing)


def write(log: FakeLog, partition: int, outgoing: OutputRecord) -> None:
    """Put an engine's record where it belongs."""
    target = outgoing.target(partition, log.partitions[outgoing.topic])
    log.append(outgoing.topic, target, outgoing.value, outgoing.key, outgoing.headers)


def worked(cuts: Sequence[int] = (55, 131, 198, 250)) -> tuple[FakeLog, ModelStore]:
    """A log over which an engine has worked."""
    counts = {**COUNTS, topics.market(FEED): PARTITIONS, topics.dead_letters(topics.market(FEED)): 1}
    log, shelf = FakeLog(counts), ModelStore()
    market(log, shelf)
    engine(log, shelf, cuts)
    return log, shelf


def checked(log: FakeLog, shelf: ModelStore, partition: int, end: int = 0) -> PartitionResult:
    """Verify one partition."""
    end = end or len(log.kept[topics.market(FEED), partition])
    return PartitionCheck(log, Input(FEED, partition, PARTITIONS, end), registry(), shelf).run()


def with_rows(record: FakeRecord, rows: Sequence[int]) -> FakeRecord:
    """A frame with these of its rows, in this order."""
    batch = frames.read_stream(record.value())
    data = frames.write_stream(batch.take(pa.array(rows)), compression="lz4")
    return replace(record, _value=data)


def with_value(record: FakeRecord, column: int, row: int, value: object) -> FakeRecord:
    """A frame with one value changed."""
    batch = frames.read_stream(record.value())
    values = batch.column(column).to_pylist()
    values[row] = value
    arrays = [*batch.columns]
    arrays[column] = pa.array(values, type=batch.schema.field(column).type)
    data = frames.write_stream(pa.RecordBatch.from_arrays(arrays, schema=batch.schema), compression="lz4")
    return replace(record, _value=data)
