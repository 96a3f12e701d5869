"""Order tapes drawn from a seed: a small order book in which many act, and what a feed shows of it.

Traders place orders of all sizes on both sides and at many prices, in parts too, add to them, move, cut and withdraw
them; others trade against them, whole or in part. The price wanders and jumps, levels lie out of sight, sides are thin
at times, the feed is silent for a while.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from detectors.book.batch import Tape
from tests.unit.book_tape import ASK, BID, START

F8 = npt.NDArray[np.float64]
_NANOS = 1_000_000_000
SHOWN = 10
DEEP = 16


@dataclass
class RestingOrder:
    """An order in the book."""

    side: int
    tick: int
    qty: float


@dataclass
class Venue:
    """One instrument's book by price tick, and the rows that its feed has sent."""

    rng: np.random.Generator
    tick: float
    unit: float
    touch: int = 10_000
    now: float = 0.0
    thin: int = SHOWN
    pool: dict[tuple[int, int], float] = field(default_factory=dict)
    resting: list[RestingOrder] = field(default_factory=list)
    trades: list[tuple[float, float, float, float]] = field(default_factory=list)
    quotes: list[tuple[float, float, float, float, float]] = field(default_factory=list)
    books: list[tuple[float, F8]] = field(default_factory=list)

    def price(self, tick: int) -> float:
        return round(tick * self.tick, 6)

    def ticks(self, side: int) -> list[int]:
        """Prices of a side, best first; a few of them empty but for who rests there."""
        outward = -1 if side == BID else 1
        return [self.touch + (side == ASK) + outward * level for level in range(DEEP)]

    def shown(self, side: int) -> list[tuple[float, float]]:
        """Levels of a side as the feed shows them: price and quantity, best first."""
        found = []
        for tick in self.ticks(side):
            qty = self.pool.setdefault((side, tick), 5.0 + 2.0 * self.rng.random() if tick % 7 else 0.0)
            qty += sum(order.qty for order in self.resting if order.side == side and order.tick == tick)
            if qty > 0.0:
                found.append((self.price(tick), self.unit * qty))
        return found[: self.thin]

    def breathe(self) -> None:
        """Others come and go at the levels."""
        for (side, tick), qty in self.pool.items():
            if qty and self.rng.random() < 0.08 and abs(tick - self.touch) < DEEP:
                self.pool[side, tick] = 5.0 + 2.0 * self.rng.random()

    def act(self) -> None:
        """One of what traders do."""
        kind, rng = self.rng.random(), self.rng
        self.resting = [order for order in self.resting if abs(order.tick - self.touch) < 2 * DEEP]
        if kind < 0.2 or not self.resting:
            first = RestingOrder(int(rng.integers(2)), 0, float(np.exp(rng.normal(2.4, 0.9))))
            first.tick = self.ticks(first.side)[int(rng.integers(0, DEEP - 3))]
            layers = int(rng.integers(2, 6)) if rng.random() < 0.3 else 1
            self.resting += [
                RestingOrder(first.side, first.tick + k, first.qty * rng.uniform(0.9, 1.1)) for k in range(layers)
            ]
            if rng.random() < 0.3:
                self.resting.append(RestingOrder(1 - first.side, 2 * self.touch + 1 - first.tick, first.qty))
            return
        order = self.resting[int(rng.integers(len(self.resting)))]
        if kind < 0.35:
            self.resting.remove(order)
        elif kind < 0.45:
            self.resting = [one for one in self.resting if one.side != order.side]
        elif kind < 0.55:
            order.tick += int(rng.integers(-2, 3))
            order.qty *= rng.uniform(0.9, 1.14)
        elif kind < 0.65:
            order.qty *= rng.uniform(0.1, 0.8)
        elif kind < 0.75:
            order.qty *= rng.uniform(1.1, 2.5)
        elif kind < 0.95:
            self.trade(order, float(rng.choice([0.3, 0.7, 1.0])))

    def trade(self, order: RestingOrder, share: float) -> None:
        """Part of an order is traded, sometimes at a worse price than the last trade shows, sometimes with others."""
        taken, side = order.qty * share, (-1.0 if order.side == BID else 1.0)
        through = order.tick + int(self.rng.integers(-1, 2))
        for part in (0.4, 0.6):
            self.trades.append((self.now, self.price(through), self.unit * taken * part, side))
        order.qty -= taken
        self.resting = [one for one in self.resting if one.qty > 1e-6]

    def flicker(self) -> None:
        """Quotes at the touch that come and go between two books, some exactly, some late, some at another price."""
        (bid, bid_qty), (ask, ask_qty) = (self.shown(side)[0] for side in (BID, ASK))
        more, at = self.rng.uniform(1.0, 3.0) * self.unit, self.now
        for size, behind in ((more, 0), (0.0, 0), (0.5 * more, 0), (0.2 * more, 1), (0.0, 0), (0.3 * more, 2)):
            at += float(self.rng.choice([0.004, 0.02]))
            away = behind * self.tick
            if self.rng.random() < 0.5:
                self.quotes.append((at, bid - away, bid_qty + size, ask, ask_qty))
            else:
                self.quotes.append((at, bid, bid_qty, ask + away, ask_qty + size))

    def send(self) -> None:
        """A book, and a quote with its touch."""
        book = np.full((4, SHOWN), np.nan)
        for side in (BID, ASK):
            for level, (price, qty) in enumerate(self.shown(side)):
                book[2 * side, level], book[2 * side + 1, level] = price, qty
        self.books.append((self.now, book.ravel()))
        self.quotes.append((self.now, *book[:, 0].tolist()))


def drawn(seed: int, seconds: int = 60, tick: float = 0.01, unit: float = 1.0) -> Tape:
    """A tape of one instrument. tick : between its prices; unit : of its quantities"""
    rng = np.random.default_rng(seed)
    venue = Venue(rng, tick, unit)
    while venue.now < seconds:
        venue.now = round(venue.now + rng.uniform(0.04, 0.16), 6)
        chance = rng.random()
        if chance < 0.004:
            venue.now += 11.0
        elif chance < 0.012:
            venue.touch += int(rng.choice([-14, 14]))
        elif chance < 0.1:
            venue.touch += int(rng.choice([-1, 1]))
        if rng.random() < 0.02:
            venue.thin = int(rng.choice([1, 4, SHOWN, SHOWN, SHOWN]))
        if rng.random() < 0.15:
            touch, side = venue.touch, int(rng.integers(2))
            venue.trades.append((venue.now, venue.price(touch + side), unit * rng.uniform(0.1, 1.0), 2.0 * side - 1.0))
        if rng.random() < 0.02:
            venue.trades.append((venue.now, venue.price(venue.touch), unit * 0.5, 0.0))
        venue.breathe()
        for _ in range(int(rng.integers(0, 3))):
            venue.act()
        venue.send()
        if rng.random() < 0.03:
            venue.flicker()
    trades, quotes = np.array(venue.trades), np.array(sorted(venue.quotes, key=lambda quote: quote[0]))
    return Tape(
        _ns(trades[:, 0]), trades[:, 1:].copy(), _ns(quotes[:, 0]), quotes[:, 1:].copy(),
        _ns(np.array([at for at, _ in venue.books])), np.array([book for _, book in venue.books]),
    )  # fmt: skip


def _ns(seconds: F8) -> npt.NDArray[np.int64]:
    return START * _NANOS + np.round(seconds * _NANOS).astype(np.int64)
