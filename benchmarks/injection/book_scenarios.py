"""Spoofing, layering and quote stuffing at the visible levels of a recorded book.

Sizes: orders not meant to trade are 10 to 50 times a genuine order at strength 10 and in proportion at others, 2 % of
them are filled. Everything that a detector could learn by heart (hold, level, size, slices, following, withdrawal) is
drawn widely.
"""

import numpy as np

from benchmarks.injection.market import RecordedMarket
from benchmarks.injection.placing import Rng, between, drawn_habit, drawn_side, fills, ns, other_side, rest
from benchmarks.injection.script import Label, RestingOrder, Script

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
