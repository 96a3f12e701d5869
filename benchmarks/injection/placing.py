"""How a trader places and withdraws orders in a recorded book: in slices, sitting at a price or following the touch.

Spoofing, layering and quote stuffing at the visible levels of a recorded book.

Sizes: orders not meant to trade are 10 to 50 times a genuine order at strength 10 and in proportion at others, 2 % of
them are filled. Everything that a detector could learn by heart (hold, level, size, slices, following, withdrawal) is
drawn widely.

What is injected, before it meets the book: resting orders, prints, and a price offset, with the label of it all.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from benchmarks.injection.market import RecordedMarket
from tapewatch.clock import NANOS

BID, ASK = 0, 1


@dataclass(frozen=True, slots=True)
class RestingOrder:
    """An order that rests at a price from `begin` to `end` (UTC ns); a partial cancel is two of them.

    side : BID or ASK; price, qty : venue units
    """

    side: int
    price: float
    qty: float
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Print:
    """A trade at `ns` (UTC ns). side : 1 when the buyer was the aggressor, -1 when the seller was."""

    ns: int
    price: float
    qty: float
    side: int


@dataclass(frozen=True, slots=True)
class Label:
    """What a script is. manipulation : False for a look-alike, which no detector should name."""

    scenario: str
    begin: int
    end: int
    strength: float
    manipulation: bool


@dataclass(slots=True)
class Script:
    """One injected event.

    drift : UTC ns -> log price offset that it adds from its beginning on, for good where it does not come back
    """

    label: Label
    resting: list[RestingOrder] = field(default_factory=list)
    prints: list[Print] = field(default_factory=list)
    drift: Callable[[int], float] | None = None


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


FILLED_SHARE = 0.02
FULL_STRENGTH = 10.0


def deceptive_qty(market: RecordedMarket, rng: Rng, strength: float) -> float:
    """Total quantity of a deceptive order (and of the genuine ones that look like it)."""
    return market.genuine_qty * between(rng, 10.0, 50.0) * strength / FULL_STRENGTH


def spoofing(market: RecordedMarket, rng: Rng, begin: int, strength: float) -> Script:
    """One large order at or behind the touch, gone in 0.8 to 12 s; small trades on the other side meanwhile."""
    side, hold = drawn_side(rng), between(rng, 0.8, 12.0)
    level = min(int(rng.integers(0, 8)), market.levels - 1)
    qty = deceptive_qty(market, rng, strength)
    end = begin + ns(hold)
    resting = rest(market, rng, side, level, qty, begin, end, drawn_habit(rng, hold))
    end = _last(resting, end)
    prints = other_side(market, rng, side, begin, end)
    if resting and rng.random() < FILLED_SHARE:
        last = resting.pop()
        eaten, caught = fills(market, rng, side, last.price, last.qty, last.begin, last.end)
        resting, prints = resting + eaten, prints + caught
    return Script(_label("spoofing", begin, end, strength), resting, prints)


def layering(market: RecordedMarket, rng: Rng, begin: int, strength: float) -> Script:
    """Orders on 3 to 7 levels of one side, together the size of a spoof or half more, gone in 1.5 to 15 s."""
    side, hold = drawn_side(rng), between(rng, 1.5, 15.0)
    count = min(int(rng.integers(3, 8)), market.levels)
    if rng.random() < 0.5:
        first = int(rng.integers(0, market.levels - count + 1))
        levels = np.arange(first, first + count)
    else:
        levels = np.sort(rng.choice(market.levels, count, replace=False))
    total = deceptive_qty(market, rng, strength) * rng.uniform(1.0, 1.5)
    build, unwind = min(0.3 * hold, between(rng, 0.05, 1.5)), min(0.3 * hold, between(rng, 0.02, 0.6))
    end = begin + ns(hold)
    habit = drawn_habit(rng, hold)
    resting: list[RestingOrder] = []
    for place, level in enumerate(levels.tolist()):
        start = begin + ns(build * place / max(1, count - 1))
        stop = end - ns(unwind * rng.random())
        resting += rest(market, rng, side, level, total / count * rng.uniform(0.5, 1.5), start, stop, habit)
    end = _last(resting, end)
    prints = other_side(market, rng, side, min(begin + ns(build), end), end)
    return Script(_label("layering", begin, end, strength), resting, prints)


def quote_stuffing(market: RecordedMarket, rng: Rng, begin: int, strength: float) -> Script:
    """Orders entered and cancelled within milliseconds at one to four levels, for 1.5 to 12 s, and no trades.

    Entries come at `strength` times 0.25 to 0.75 of the usual rate of quotes, and each brings two updates.
    """
    lasts = between(rng, 1.5, 12.0)
    end = begin + ns(lasts)
    entries = int(rng.uniform(0.25, 0.75) * strength * market.quotes_per_second * lasts)
    resting = cycles(market, rng, begin, end, entries, touch_share=rng.uniform(0.3, 1.0))
    return Script(_label("quote_stuffing", begin, end, strength), resting)


def cycles(
    market: RecordedMarket, rng: Rng, begin: int, end: int, entries: int, touch_share: float
) -> list[RestingOrder]:
    """Short-lived orders at the touch and at up to three more levels, entered at random times in [begin, end)."""
    sides = (0, 1) if rng.random() < 0.4 else (drawn_side(rng),)
    behind = rng.choice(market.levels, min(3, market.levels), replace=False)
    size, life = market.genuine_qty * between(rng, 0.2, 4.0), between(rng, 0.002, 0.08)
    resting = []
    for when in np.sort(rng.integers(begin, end, entries)).tolist():
        side = int(sides[int(rng.integers(len(sides)))])
        level = 0 if rng.random() < touch_share else int(rng.choice(behind))
        levels = market.side_at(side, when)
        price = market.touch_at(when)[side] if level == 0 else float(levels[min(level, len(levels) - 1)])
        qty = round(size * rng.uniform(0.7, 1.3), market.decimals)
        until = min(end, when + ns(life * rng.uniform(0.5, 1.5)))
        if qty > 0 and market.run_over(side, price, when, until) == until:
            resting.append(RestingOrder(side, price, qty, when, until))
    return resting


def _label(name: str, begin: int, end: int, strength: float) -> Label:
    return Label(name, begin, max(end, begin + ns(0.2)), strength, True)


def _last(resting: list[RestingOrder], end: int) -> int:
    """When the last order was gone: one that had to flee early ends the event early."""
    return max((order.end for order in resting), default=end)
