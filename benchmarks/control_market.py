"""A small market for controls: one instrument a second at a time, quiet unless told otherwise, written out as rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from streams.driver import Driver
from tapewatch.clock import NANOS
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.rows import BOOK_LEVELS, Column, Rows, RowType, StatusKind, heartbeat_rows
from tapewatch.market_log.registry import FixedRegistry
from tapewatch.rfc3339 import to_rfc3339

F8 = npt.NDArray[np.float64]

SECONDS = 1800
FIXING_AT = 1400
"""The second of every control market at which it is 16:00 UTC."""

START = 20_000 * 86_400 + 57_600 - FIXING_AT
"""The first second, UTC seconds."""

TICK = 0.01
_QUOTES = 4
_VOLATILITY = 5e-5
_TRADES = (
    ("price", np.float64), ("qty", np.float64), ("aggressor_side", np.int8), ("condition", np.int8),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Print:
    """A trade beside the usual ones. at : s since the start; away : log distance of its price from the mid."""

    at: float
    away: float
    qty: float
    side: int


@dataclass(slots=True)
class Market:
    """What one instrument does in each second, float64[SECONDS] each, to be changed before it is written out.

    move : log return; rate : trades; buys : chance that a trade is one; size : median quantity of a trade
    spread : basis points; bids, asks : quantity of a level; wall : quantity on the fourth bid level beside the others'
    opens : whether an opening row is sent; closes_at : the close it names, s since the start; 0 for none
    """

    seed: int
    move: F8 = field(init=False)
    rate: F8 = field(default_factory=lambda: np.full(SECONDS, 2.0))
    buys: F8 = field(default_factory=lambda: np.full(SECONDS, 0.5))
    size: F8 = field(default_factory=lambda: np.full(SECONDS, 2.0))
    spread: F8 = field(default_factory=lambda: np.full(SECONDS, 2.0))
    bids: F8 = field(default_factory=lambda: np.full(SECONDS, 20.0))
    asks: F8 = field(default_factory=lambda: np.full(SECONDS, 20.0))
    wall: F8 = field(default_factory=lambda: np.zeros(SECONDS))
    prints: list[Print] = field(default_factory=list)
    opens: bool = False
    closes_at: int = 0

    def __post_init__(self) -> None:
        self.move = np.random.default_rng(self.seed).normal(0.0, _VOLATILITY, SECONDS)

    def mids(self) -> F8:
        """Log of the mid at the end of each second, relative to the start."""
        return np.cumsum(self.move)

    def rows(self, name: str) -> list[Rows]:
        """Status, trade, quote and book rows of the whole run, each in order of time."""
        rng = np.random.default_rng([self.seed, 1])
        found = [self._trades(rng), self._quotes(rng), self._books()]
        rows = [_rows(row_type, name, columns) for row_type, columns in found]
        if not self.opens:
            return rows
        closes = f"closes={to_rfc3339((START + self.closes_at) * NANOS)}" if self.closes_at else ""
        opening: dict[str, Column] = {
            "at": np.array([0.001]),
            "kind": np.array([int(StatusKind.OPEN)], dtype=np.int8),
            "detail": np.array([closes], dtype=object),
        }
        return [_rows(RowType.STATUS, name, opening), *rows]

    def _mid_at(self, times: Column) -> F8:
        """Mid prices; within a second the price goes straight."""
        path = np.concatenate([[0.0], self.mids()])
        return np.asarray(100.0 * np.exp(np.interp(times, np.arange(SECONDS + 1), path)))

    def _trades(self, rng: np.random.Generator) -> tuple[RowType, dict[str, Column]]:
        counts = rng.poisson(self.rate)
        second = np.repeat(np.arange(SECONDS), counts)
        times = second + rng.uniform(0.01, 0.99, len(second))
        side = np.where(rng.random(len(second)) < self.buys[second], 1, -1)
        qty = self.size[second] * rng.lognormal(0.0, 0.5, len(second))
        price = self._mid_at(times) * (1.0 + side * self.spread[second] * 0.5e-4)
        own = np.array([(each.at, each.away, each.qty, each.side) for each in self.prints]).reshape(-1, 4)
        columns: dict[str, Column] = {
            "at": np.concatenate([times, own[:, 0]]),
            "price": np.concatenate([price, self._mid_at(own[:, 0]) * np.exp(own[:, 1])]),
            "qty": np.round(np.concatenate([qty, own[:, 2]]), 3) + 0.001,
            "aggressor_side": np.concatenate([side, own[:, 3]]),
        }
        columns["condition"] = np.zeros(len(columns["at"]))
        order = np.argsort(columns["at"], kind="stable")
        found = {name: column[order] for name, column in columns.items()}
        found["price"] = np.round(found["price"] / TICK) * TICK
        return RowType.TRADE, {"at": found["at"], **{name: found[name].astype(kind) for name, kind in _TRADES}}

    def _quotes(self, rng: np.random.Generator) -> tuple[RowType, dict[str, Column]]:
        times = (np.arange(SECONDS)[:, None] + (np.arange(_QUOTES) + 0.9) / _QUOTES).ravel()
        second = times.astype(np.int64)
        mid, half = self._mid_at(times), self.spread[second] * 0.5e-4
        nothing = np.full(len(times), np.nan)
        return RowType.QUOTE, {
            "at": times,
            "bid_price": np.floor(mid * (1.0 - half) / TICK) * TICK,
            "bid_qty": np.round(self.bids[second] * rng.uniform(0.8, 1.2, len(times)), 3),
            "ask_price": np.ceil(mid * (1.0 + half) / TICK + 1e-6) * TICK,
            "ask_qty": np.round(self.asks[second] * rng.uniform(0.8, 1.2, len(times)), 3),
            "last_price": nothing,
            "volume": nothing,
        }

    def _books(self) -> tuple[RowType, dict[str, Column]]:
        times = np.arange(SECONDS) + 0.98
        mid, half = self._mid_at(times), self.spread * 0.5e-4
        levels = np.arange(BOOK_LEVELS) * TICK
        bid_qty = np.repeat(self.bids[:, None], BOOK_LEVELS, axis=1)
        bid_qty[:, 3] += self.wall
        return RowType.BOOK, {
            "at": times,
            "sequence": np.arange(SECONDS),
            "bid_price": np.floor(mid * (1.0 - half) / TICK)[:, None] * TICK - levels,
            "bid_qty": bid_qty,
            "ask_price": np.ceil(mid * (1.0 + half) / TICK + 1e-6)[:, None] * TICK + levels,
            "ask_qty": np.repeat(self.asks[:, None], BOOK_LEVELS, axis=1),
        }


def _rows(row_type: RowType, name: str, columns: dict[str, Column]) -> Rows:
    times = START * NANOS + np.round(columns.pop("at") * 1e6).astype(np.int64) * 1000
    rounded = {key: np.round(column, 6) if column.dtype == np.float64 else column for key, column in columns.items()}
    codes = np.zeros(len(times), dtype=np.int32)
    return Rows(row_type, (name,), {"instrument": codes, "ts_event": times, "ts_recv": times, **rounded})


def _by_second(row_type: RowType, parts: Sequence[Rows]) -> Iterator[tuple[int, Rows]]:
    """Rows of one type of many instruments, second by second."""
    names = [part.instruments[0] for part in parts]
    columns: dict[str, Any] = {
        key: np.concatenate([part.columns[key] for part in parts]) for key in parts[0].columns if key != "instrument"
    }
    columns["instrument"] = np.repeat(np.arange(len(parts), dtype=np.int32), [len(part) for part in parts])
    order = np.argsort(columns["ts_recv"], kind="stable")
    columns = {key: column[order] for key, column in columns.items()}
    seconds = columns["ts_recv"] // NANOS
    for second in np.unique(seconds).tolist():
        low, high = np.searchsorted(seconds, [second, second + 1])
        yield second, Rows(row_type, names, {key: column[low:high] for key, column in columns.items()})


def run(markets: dict[str, Market]) -> Driver:
    """All markets, by instrument, through one partition of the brokerless driver."""
    driver = Driver(FixedRegistry([Instrument(name) for name in markets]))
    written = [rows for name, market in markets.items() for rows in market.rows(name)]
    frames = [
        (second, row_type, rows)
        for row_type in sorted({rows.type for rows in written})
        for second, rows in _by_second(row_type, [rows for rows in written if rows.type == row_type])
    ]
    beats = [
        (START + second, -1, heartbeat_rows(np.full(1, (START + second) * NANOS))) for second in range(SECONDS + 2)
    ]
    for _, _, rows in sorted([*frames, *beats], key=lambda each: (each[0], each[1])):
        driver.send(rows)
    return driver
