"""Quotes to measure with: random walks on ticks with changing quantities, every row a new second for its instrument."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tapewatch.clock import NANOS
from tapewatch.contract.instruments import Instrument, Tick
from tapewatch.contract.partitioner import partition_for
from tapewatch.contract.rows import Column, Rows, RowType

TICK = 0.01
START_NS = 1_767_600_000 * NANOS
"""The first second: 2026-01-05 08:00 UTC."""
FRAME_ROWS = 256

_EVENT_LEAD_NS = 2_000_000


@dataclass(frozen=True, slots=True)
class Shape:
    """An input. instruments x seconds quotes, in frames of `frame_rows` rows, over `partitions` partitions."""

    instruments: int
    seconds: int
    partitions: int
    frame_rows: int = FRAME_ROWS
    seed: int = 1

    @classmethod
    def of(cls, instruments: int, rows: int, partitions: int, seed: int = 1) -> "Shape":
        """The shape with whole seconds nearest to `rows` rows, at least two seconds."""
        return cls(instruments, max(2, round(rows / instruments)), partitions, seed=seed)

    @property
    def rows(self) -> int:
        """Quotes in all."""
        return self.instruments * self.seconds

    @property
    def names(self) -> list[str]:
        """Instrument ids."""
        return [f"B{number:05d}.BNCH" for number in range(self.instruments)]

    def reference_data(self) -> list[Instrument]:
        """What is registered before the first row."""
        return [Instrument(name, currency="EUR", ticks=(Tick(0.0, TICK),), lot=100.0) for name in self.names]

    def by_partition(self) -> list[list[str]]:
        """Instrument ids of each partition."""
        own: list[list[str]] = [[] for _ in range(self.partitions)]
        for name in self.names:
            own[partition_for(name, self.partitions)].append(name)
        return own


def partition_rows(shape: Shape, partition: int, names: list[str]) -> Rows:
    """All quotes of one partition, second after second, each second one row of each instrument in turn.

    Mid prices walk by -1, 0 or 1 tick (a quarter of the seconds each way), the spread is 1 to 3 ticks, quantities are
    whole lots, and two seconds in three trade some lots at one side (in `last_price` and the cumulative `volume`).
    """
    draw = np.random.default_rng([shape.seed, shape.instruments, partition])
    size = (shape.seconds, len(names))
    base = draw.integers(5_000, 50_000, len(names), dtype=np.int32)
    turn = draw.integers(0, 4, size, dtype=np.int8)
    steps = (turn == 3).astype(np.int8) - (turn == 0)
    mid = np.maximum(base + np.cumsum(steps, axis=0, dtype=np.int32), 10)
    spread = draw.integers(1, 4, size, dtype=np.int8)
    lots = draw.integers(1, 60, (2, *size), dtype=np.int8)
    bid = mid - spread // 2
    ask = bid + spread
    side = draw.integers(0, 3, size, dtype=np.int8)
    traded = np.where(side > 0, draw.integers(1, 20, size, dtype=np.int16), 0)
    stamps = START_NS + np.arange(shape.seconds, dtype=np.int64)[:, None] * NANOS
    stamps = stamps + np.arange(len(names), dtype=np.int64) * (NANOS // max(len(names), 1))
    columns: dict[str, Column] = {
        "instrument": np.tile(np.arange(len(names), dtype=np.int32), shape.seconds),
        "ts_event": (stamps - _EVENT_LEAD_NS).reshape(-1),
        "ts_recv": stamps.reshape(-1),
        "bid_price": _prices(bid),
        "bid_qty": lots[0].reshape(-1) * 100.0,
        "ask_price": _prices(ask),
        "ask_qty": lots[1].reshape(-1) * 100.0,
        "last_price": _prices(np.where(side == 1, bid, ask)),
        "volume": np.cumsum(traded * 100.0, axis=0).reshape(-1),
    }
    return Rows(RowType.QUOTE, names, columns)


def frames_of(rows: Rows, frame_rows: int = FRAME_ROWS) -> Iterator[Rows]:
    """The rows in order, `frame_rows` at a time."""
    for start in range(0, len(rows), frame_rows):
        yield rows.take(slice(start, start + frame_rows))


def _prices(ticks: Column) -> Column:
    """float64 prices with two decimals, flat."""
    return ticks.reshape(-1) / 100.0
