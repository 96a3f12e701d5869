"""Scenarios in which the price itself is moved. A recording cannot answer to trades that never were, so everything in
it (books, quotes, trades) is shifted along a price path from the event on: its own moves stay in, its liquidity does
not react.
"""

from collections.abc import Callable

import numpy as np

from benchmarks.injection.market import RecordedMarket
from benchmarks.injection.placing import Rng, between, drawn_side, ns
from benchmarks.injection.script import Label, Print, Script
from tapewatch.clock import NANOS

Path = Callable[[float], float]


def momentum_ignition(market: RecordedMarket, rng: Rng, begin: int, strength: float) -> Script:
    """Aggressive orders of one side drive the price by .02 to .06 % times strength in 2 to 15 s; most of it comes back
    while the trader gets out on the other side.
    """
    up, back = between(rng, 2.0, 15.0), between(rng, 5.0, 30.0)
    top, share = rng.uniform(2e-4, 6e-4) * strength, rng.uniform(0.6, 1.0)
    side = 1 if drawn_side(rng) == 0 else -1

    def path(t: float) -> float:
        if t < up:
            return side * top * t / up
        return side * top * (1.0 - share * min(1.0, (t - up) / back))

    rate = market.trades_per_second * rng.uniform(1.0, 2.0) * strength
    flows = [(0.0, up, rate, 0.9, side), (up, up + back, 0.4 * rate, 0.8, -side)]
    return _driven("momentum_ignition", market, rng, begin, up + back, strength, path, flows)


def ramping(market: RecordedMarket, rng: Rng, begin: int, strength: float) -> Script:
    """Small steady orders of one side carry the price by .05 to .15 % times strength in 30 to 120 s; a third fades."""
    lasts, fade = between(rng, 30.0, 120.0), 30.0
    top, side = rng.uniform(5e-4, 1.5e-3) * strength, 1 if drawn_side(rng) == 0 else -1

    def path(t: float) -> float:
        return side * top * (min(1.0, t / lasts) - 0.3 * min(1.0, max(0.0, (t - lasts) / fade)))

    flows = [(0.0, lasts, market.trades_per_second * rng.uniform(0.2, 0.5) * strength, 0.95, side)]
    return _driven("ramping", market, rng, begin, lasts, strength, path, flows)


def marking_the_close(market: RecordedMarket, rng: Rng, begin: int, strength: float) -> Script:
    """In the recording's last 5 to 60 s, orders of one side push the price by .02 to .08 % times strength; `begin` only
    bounds it from below.
    """
    lasts = min(between(rng, 5.0, 60.0), (market.end - begin) / NANOS)
    start = market.end - ns(lasts)
    top, side = rng.uniform(2e-4, 8e-4) * strength, 1 if drawn_side(rng) == 0 else -1
    flows = [(0.0, lasts, market.trades_per_second * rng.uniform(0.5, 1.5) * strength, 0.95, side)]
    return _driven(
        "marking_the_close", market, rng, start, lasts, strength, lambda t: side * top * min(1.0, t / lasts), flows
    )


def pump_and_dump(market: RecordedMarket, rng: Rng, begin: int, strength: float) -> Script:
    """A rush of market buys lifts the price by 1 to 3 % times strength in 10 to 60 s; selling brings it back."""
    up, down = between(rng, 10.0, 60.0), between(rng, 30.0, 120.0)
    top, back = float(np.log1p(rng.uniform(0.01, 0.03) * strength)), rng.uniform(0.6, 1.0)

    def path(t: float) -> float:
        if t < up:
            return float(top * (1.0 - np.exp(-3.0 * t / up)) / (1.0 - np.exp(-3.0)))
        return float(top * (1.0 - back * min(1.0, (t - up) / down)))

    rate = market.trades_per_second * rng.uniform(2.0, 6.0)
    flows = [(0.0, up, rate, 0.9, 1), (up, up + down, 0.5 * rate, 0.75, -1)]
    return _driven("pump_and_dump", market, rng, begin, up + down, strength, path, flows)


def _driven(
    name: str,
    market: RecordedMarket,
    rng: Rng,
    begin: int,
    lasts: float,
    strength: float,
    path: Path,
    flows: list[tuple[float, float, float, float, int]],
) -> Script:
    """A price path with its trades. flows : from s, to s, trades/s, share of the side, side."""
    prints = []
    sizes = market.trades["qty"]
    for start, stop, rate, share, lean in flows:
        low = begin + ns(start)
        high = max(low + 1, min(begin + ns(stop), market.end))
        for when in np.sort(rng.integers(low, high, int(rate * (high - low) / NANOS))).tolist():
            side = lean if rng.random() < share else -lean
            touch = market.touch_at(when)
            prints.append(Print(when, touch[1 if side > 0 else 0], float(sizes[int(rng.integers(len(sizes)))]), side))
    end = min(market.end, begin + ns(lasts))
    label = Label(name, begin, end, strength, True)
    return Script(label, [], prints, lambda when: path(max(0, when - begin) / NANOS) if when > begin else 0.0)
