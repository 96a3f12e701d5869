"""A small book for tests: ten still levels a side, and orders laid over it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from detectors.book.batch import Tape
from detectors.book.features import NAMES

START = 1_723_161_600
SECONDS = 60
BID, ASK = 0, 1
_NANOS = 1_000_000_000

F8 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Order:
    """An order at a level (0 is the touch) from `begin` to `end`, in seconds since the start."""

    side: int
    level: int
    qty: float
    begin: float
    end: float


@dataclass(frozen=True, slots=True)
class Trade:
    """A trade `at` seconds since the start that takes from a level of a side."""

    at: float
    side: int
    level: int
    qty: float


def prices(side: int) -> F8:
    """Prices of a side's levels, best first."""
    steps = 0.01 * np.arange(10)
    return np.round(100.0 - steps if side == BID else 100.01 + steps, 2)


def tape(orders: list[Order], trades: list[Trade], flicker: tuple[float, float] = (0.0, 0.0)) -> Tape:
    """Books every 100 ms, in which a level in ten breathes by about 1, quotes every 50 ms, the orders and the trades.

    flicker : from when to when an order of 3 comes and goes at the best bid every 4 ms, in the quotes
    """
    rng = np.random.default_rng(7)
    at = np.arange(SECONDS * 10) / 10.0
    drawn, new = rng.uniform(0.0, 2.0, (len(at), 20)), rng.random((len(at), 20)) < 0.1
    newest = np.maximum.accumulate(np.where(new, np.arange(len(at))[:, None], 0), axis=0)
    qty = 5.0 + np.take_along_axis(drawn, newest, axis=0)
    for order in orders:
        qty[(at >= order.begin) & (at < order.end), order.side * 10 + order.level] += order.qty
    books = np.concatenate(
        [
            np.tile(prices(BID), (len(at), 1)), qty[:, :10], np.tile(prices(ASK), (len(at), 1)), qty[:, 10:],
        ],
        axis=1,
    )  # fmt: skip
    usual = [Trade(0.33 + k, k % 2, 0, 0.1) for k in range(SECONDS)]
    tape_of = sorted([*usual, *trades], key=lambda trade: trade.at)
    rows = [(prices(t.side)[t.level], t.qty, -1.0 if t.side == BID else 1.0) for t in tape_of]
    quote_at = np.arange(SECONDS * 20) / 20.0
    touch = books[np.minimum((quote_at * 10).astype(int), len(at) - 1)][:, [0, 10, 20, 30]]
    burst = np.arange(flicker[0], flicker[1], 0.002)
    rapid = books[(burst * 10).astype(int)][:, [0, 10, 20, 30]]
    rapid[::2, 1] += 3.0
    when, quotes = np.concatenate([quote_at, burst]), np.concatenate([touch, rapid])
    order_of = np.argsort(when, kind="stable")
    return Tape(
        _ns(np.array([trade.at for trade in tape_of])), np.array(rows), _ns(when[order_of]), quotes[order_of],
        _ns(at), books,
    )  # fmt: skip


def column(rows: F8, name: str) -> F8:
    """One feature of every second."""
    return rows[:, NAMES.index(name)]


def _ns(seconds: F8) -> npt.NDArray[np.int64]:
    return START * _NANOS + np.round(seconds * _NANOS).astype(np.int64)
