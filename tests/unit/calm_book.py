"""A calm market whose usual growth is exactly 1, on which a test lays orders, trades and quotes by hand."""

from collections.abc import Sequence

import numpy as np

from detectors.book.batch import Tape, features
from detectors.book.features import NAMES
from tests.unit.book_tape import ASK, BID

BEGIN_S = 140
"""When the scene begins: from here on eighths of a second are exact in the detector's seconds."""
CALM_S = 12
"""Seconds before the scene."""
GROWTHS = 100
"""Growths of 1 that there were until then."""
DEEP = 30
QTY = 10.0
_NANOS = 1_000_000_000

Change = dict[float, float]
"""Price to the quantity there, where it is not 10; 0 for no level."""


class Calm:
    """Ten levels a side of 10 each: bids from 100 downwards, asks from 101 upwards, more of them out of sight.

    Times are seconds of the scene. Nothing is traded or quoted but what a test adds.

    unit : what the rows' prices are in, where it is not 1
    """

    def __init__(self, unit: float = 1.0) -> None:
        self.unit = unit
        self.trades: list[tuple[float, float, float, float]] = []
        self.quotes: list[tuple[float, float, float, float, float]] = []
        self.books: list[tuple[float, list[float]]] = []
        for k in range(GROWTHS // 2):
            self.book(k * 0.2 - CALM_S)
            self.book(k * 0.2 - CALM_S + 0.1, {91.5: 1.0}, {109.5: 1.0})
        self.book(-0.5)

    def book(self, at: float, bids: Change | None = None, asks: Change | None = None, shown: int = 10) -> "Calm":
        """A book of the `shown` best levels. bids, asks : what differs from the calm one"""
        row = np.full((4, 10), np.nan)
        for side, changes in ((BID, bids or {}), (ASK, asks or {})):
            prices = [100.0 - k if side == BID else 101.0 + k for k in range(DEEP)]
            prices = sorted({*prices, *changes}, reverse=side == BID)
            levels = [(price, changes.get(price, QTY)) for price in prices if changes.get(price, QTY) > 0]
            for level, (price, qty) in enumerate(levels[:shown]):
                row[2 * side, level], row[2 * side + 1, level] = price * self.unit, qty
        self.books.append((at, row.ravel().tolist()))
        return self

    def sell(self, at: float, price: float, qty: float) -> "Calm":
        """A trade in which the seller is the aggressor."""
        self.trades.append((at, price * self.unit, qty, -1.0))
        return self

    def buy(self, at: float, price: float, qty: float) -> "Calm":
        """A trade in which the buyer is the aggressor."""
        self.trades.append((at, price * self.unit, qty, 1.0))
        return self

    def quote(self, at: float, bid: float, bid_qty: float, ask: float = 101.0, ask_qty: float = QTY) -> "Calm":
        """A quote."""
        self.quotes.append((at, bid, bid_qty, ask, ask_qty))
        return self

    def seconds(self) -> list[dict[str, float]]:
        """Features of the scene's seconds, from the one that begins with it to that of the last row."""
        tape = Tape(
            _ns([row[0] for row in self.trades]), _table([row[1:] for row in self.trades], 3),
            _ns([row[0] for row in self.quotes]), _table([row[1:] for row in self.quotes], 4),
            _ns([at for at, _ in self.books]), _table([row for _, row in self.books], 40),
        )  # fmt: skip
        return [dict(zip(NAMES, row.tolist(), strict=True)) for row in features(tape)[1][CALM_S:]]


def _ns(seconds: list[float]) -> np.ndarray:
    return np.array([round((BEGIN_S + at) * _NANOS) for at in seconds], np.int64)


def _table(rows: Sequence[Sequence[float]], columns: int) -> np.ndarray:
    return np.array(rows, np.float64).reshape(-1, columns)
