"""The brokerless driver: frames through the same tasks as live, for tests, evaluation, `verify` and Spark."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from streams.engine.build import build_hash
from streams.engine.models import ActiveModels, ModelSource, ModelStore
from streams.engine.task import OutputRecord, ReferenceData, Task
from tapewatch.clock import NANOS
from tapewatch.contract import frames, topics
from tapewatch.contract.frames import FrameHeaders
from tapewatch.contract.rows import Rows, RowSource, heartbeat_rows
from tapewatch.market_log.registry import FixedRegistry

FOREVER_NS = 2**62


class Driver:
    """One partition without a broker.

    >>> driver = Driver(FixedRegistry([Instrument("S1.SIMX")]))
    >>> driver.send(rows)
    >>> driver.collect()["alerts"]
    """

    def __init__(
        self,
        registry: ReferenceData,
        topic: str = "market.driver",
        partition: int = 0,
        shelf: ModelSource | None = None,
        force: ActiveModels | None = None,
    ) -> None:
        self.task = Task(topic, partition, registry, force or ActiveModels.default(shelf or ModelStore()), build_hash())
        self._sequence = 0
        self._outgoing: list[OutputRecord] = []

    def send(self, rows: Rows, source: str = "driver") -> None:
        """Append rows to the log as one frame."""
        self.record(frames.encode(rows), FrameHeaders(rows.type.label, source, 0, self._sequence, 0).to_kafka())

    def heartbeat(self, second: int) -> None:
        """Append a heartbeat at a whole second of the epoch."""
        self.send(heartbeat_rows(np.full(1, second * NANOS, dtype=np.int64)))

    def record(self, value: bytes | None, headers: list[tuple[str, bytes]] | None) -> None:
        """Append a record as it is."""
        self.task.feed(self._sequence, value, headers, FOREVER_NS)
        self._sequence += 1

    def outgoing(self) -> list[OutputRecord]:
        """All records written so far."""
        self._outgoing += self.task.take()
        return self._outgoing

    def collect(self) -> dict[str, list[OutputRecord]]:
        """Records written so far, by topic."""
        found: dict[str, list[OutputRecord]] = {}
        for record in self.outgoing():
            found.setdefault(record.topic, []).append(record)
        return found


def run_source(source: RowSource, driver: Driver | None = None) -> Iterator[tuple[Driver, int]]:
    """Push a source's chunks through one partition; yields the driver and each chunk's end (UTC ns).

    The seconds that a chunk ends or begins get a heartbeat, as a live writer sends them; a source whose chunks are
    longer than a second needs frames with heartbeats in between (producers.feed).
    """
    used = driver or Driver(FixedRegistry(source.instruments))
    for chunk in source.chunks():
        used.heartbeat(chunk.end_ns // NANOS - 1)
        for rows in sorted(chunk.rows, key=lambda each: each.type):
            if len(rows):
                used.send(rows)
        yield used, chunk.end_ns


def table(records: Iterable[OutputRecord], kind: str) -> dict[str, Any]:
    """Rows of all frames of one type, as one array a column; `instrument` as an array of texts."""
    parts: dict[str, list[Any]] = {}
    for record in records:
        if dict(record.headers).get("type") != kind.encode():
            continue
        batch = frames.read_stream(record.value)
        for field, column in zip(batch.schema, batch.columns, strict=True):
            if field.name == "instrument":
                texts = np.array(column.dictionary.to_pylist(), dtype=object)
                values = texts[column.indices.to_numpy()]
            elif field.name == "ts":
                values = column.cast("int64").to_numpy()
            else:
                values = column.to_numpy()
            parts.setdefault(field.name, []).append(values)
    return {name: np.concatenate(values) for name, values in parts.items()}


TOPICS = (topics.FEATURES, topics.SCORES, topics.BARS, topics.ALERTS, topics.SIGNALS, topics.COVERAGE)
"""Topics whose rows are a function of the log."""
