"""How a trader places and withdraws orders in a recorded book: in slices, sitting at a price or following the touch."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from benchmarks.injection.market import RecordedMarket
from benchmarks.injection.script import ASK, BID, Print, RestingOrder
from tapewatch.clock import NANOS

Rng = np.random.Generator


def between(rng: Rng, low: float, high: float) -> float:
    """A draw between two bounds, even on the logarithmic scale."""
    return float(low * (high / low) ** rng.random())


def ns(seconds: float) -> int:
    """Seconds as nanoseconds."""
    return round(seconds * NANOS)


@dataclass(frozen=True, slots=True)
class Habit:
    """How an order is handled.

    follow_s : seconds between looks at the touch, after which the order keeps its level; 0 sits at its price
    slices : in how many parts it is placed; stagger_s : over how long
    withdrawals : in how many parts it is cancelled; withdraw_s : over how long
    evade_s : how long before it would have been traded through it is cancelled
    """

    follow_s: float
    slices: int
    stagger_s: float
    withdrawals: int
    withdraw_s: float
    evade_s: float


def drawn_habit(rng: Rng, hold: float) -> Habit:
    """Any of the ways in which orders that are not meant to trade are handled."""
    return Habit(
        follow_s=between(rng, 0.15, 1.5) if rng.random() < 0.4 else 0.0,
        slices=1 if rng.random() < 0.6 else int(rng.integers(2, 5)),
        stagger_s=min(0.3 * hold, between(rng, 0.02, 1.0)),
        withdrawals=1 if rng.random() < 0.6 else int(rng.integers(2, 5)),
        withdraw_s=min(0.3 * hold, between(rng, 0.02, 1.0)),
        evade_s=between(rng, 0.01, 0.25),
    )


def rest(
    market: RecordedMarket, rng: Rng, side: int, level: int, qty: float, begin: int, end: int, habit: Habit
) -> list[RestingOrder]:
    """An order at an existing level from `begin` to `end`, handled by habit; it never trades."""
    placed = sorted(begin + ns(habit.stagger_s * share) for share in _shares(rng, habit.slices))
    gone = sorted(end - ns(habit.withdraw_s * share) for share in _shares(rng, habit.withdrawals))
    steps = [(when, 1.0 / len(placed)) for when in placed] + [(when, -1.0 / len(gone)) for when in gone]
    pieces: list[RestingOrder] = []
    for start, stop, price in _prices(market, side, level, begin, end, habit):
        cuts = sorted({start, stop, *(when for when, _ in steps if start < when < stop)})
        for low, high in pairwise(cuts):
            share = sum(change for when, change in steps if when <= low)
            size = round(qty * share, market.decimals)
            if size > 0:
                pieces.append(RestingOrder(side, price, size, low, high))
    return pieces


def _shares(rng: Rng, parts: int) -> list[float]:
    return [0.0, *rng.random(parts - 1).tolist()]


def _prices(
    market: RecordedMarket, side: int, level: int, begin: int, end: int, habit: Habit
) -> list[tuple[int, int, float]]:
    """Stretches and the price of the order in each: a new one where it follows, none where it had to flee."""
    step = ns(habit.follow_s) or end - begin
    looks = [*range(begin, end, max(1, step)), end]
    found = []
    for start, stop in pairwise(looks):
        levels = market.side_at(side, start)
        price = float(levels[min(level, len(levels) - 1)])
        hit = market.run_over(side, price, start, stop)
        leave = stop if hit == stop else hit - ns(habit.evade_s)
        if leave > start:
            found.append((start, leave, price))
        if hit < stop and not habit.follow_s:
            break
    return found


def other_side(market: RecordedMarket, rng: Rng, side: int, begin: int, end: int) -> list[Print]:
    """The trader's own trades against the pressure of his orders on `side`: heavy bids, and he sells.

    Mostly his offer at the touch is lifted (a buyer is the aggressor), else he hits the bid himself.
    """
    prints = []
    for _ in range(int(rng.integers(1, 5))):
        when = begin + int((end - begin) * rng.uniform(0.15, 1.05))
        touch = market.touch_at(when)
        passive = rng.random() < 0.7
        price = touch[1 - side] if passive else touch[side]
        aggressor = (1 if side == BID else -1) if passive else (-1 if side == BID else 1)
        qty = round(max(10.0**-market.decimals, market.genuine_qty * between(rng, 0.1, 2.0)), market.decimals)
        prints.append(Print(when, price, qty, aggressor))
    return prints


def fills(
    market: RecordedMarket, rng: Rng, side: int, price: float, qty: float, begin: int, end: int
) -> tuple[list[RestingOrder], list[Print]]:
    """An order at a price that is eaten between `begin` and `end` in 3 to 9 trades: what rests, and the trades."""
    count = int(rng.integers(3, 10))
    times = sorted(int(when) for when in rng.integers(begin, max(begin + 1, end), count))
    parts = np.round(qty * rng.dirichlet(np.full(count, 1.5)), market.decimals)
    resting, prints, left = [], [], round(float(parts.sum()), market.decimals)
    since = begin
    for when, part in zip(times, parts.tolist(), strict=True):
        if left > 0 and when > since:
            resting.append(RestingOrder(side, price, left, since, when))
        left, since = round(left - part, market.decimals), when
        if part > 0:
            prints.append(Print(when, price, part, -1 if side == BID else 1))
    return resting, prints


def drawn_side(rng: Rng) -> int:
    """BID or ASK."""
    return BID if rng.random() < 0.5 else ASK
