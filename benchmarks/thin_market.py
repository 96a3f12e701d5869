"""Ordinary trading of thinly traded coins, simulated: what a pump detector must not take for a pump.

Orders cluster (Hawkes process with power-law memory, Bacry et al. 2015), sizes are log-normal with a heavy tail, a
large order fills several resting ones in the same millisecond and moves the price (square-root impact, most of it
transient), volatility changes with an Ornstein-Uhlenbeck process. Now and then a whale sweeps the book, the market
jumps as a whole, or a run of genuine buyers lifts the price for minutes. Nothing in it is a pump, and none of its
constants was fitted to a recording.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]

DAY_S = 86_400.0
_BRANCHING = 0.75
_IMPACT_MEMORY_S = 600.0


@dataclass(frozen=True, slots=True)
class Trades:
    """Trades of one coin in time order.

    ms : int64[trades], since the start; price, qty : float64[trades]; buy : bool[trades], the aggressor bought
    """

    ms: I8
    price: F8
    qty: F8
    buy: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Orders:
    """Market orders in time order: second, +1 or -1, and size in multiples of what rests at a price."""

    at: F8
    side: F8
    size: F8


def simulate(seed: int, days: float) -> Trades:
    """One coin's ordinary trades over `days`; the same seed gives the same trades."""
    rng = np.random.default_rng(seed)
    orders = _merged(_usual_orders(rng, days), *_spells(rng, days))
    return _filled(rng, orders, days)


def _usual_orders(rng: np.random.Generator, days: float) -> _Orders:
    """Clustered orders, 200 to 8,000 a day."""
    rate = np.exp(rng.uniform(np.log(200.0), np.log(8_000.0))) * (1.0 - _BRANCHING)
    parents = rng.uniform(0.0, days * DAY_S, rng.poisson(rate * days))
    hour = 2.0 * np.pi * parents / DAY_S
    parents = parents[rng.uniform(0.0, 1.4, parents.size) < 1.0 + 0.4 * np.sin(hour)]
    side = np.where(rng.uniform(size=parents.size) < 0.5, 1.0, -1.0)
    times, sides = [parents], [side]
    while parents.size:
        children = rng.poisson(_BRANCHING, parents.size)
        parents = np.repeat(parents, children) + rng.pareto(0.9, children.sum()) * 0.3
        side = np.repeat(side, children) * np.where(rng.uniform(size=parents.size) < 0.75, 1.0, -1.0)
        kept = parents < days * DAY_S
        parents, side = parents[kept], side[kept]
        times.append(parents)
        sides.append(side)
    at, sides_all = np.concatenate(times), np.concatenate(sides)
    spread = rng.uniform(1.2, 1.9)
    return _Orders(at, sides_all, np.exp(rng.normal(-spread, spread, at.size)))


def _spells(rng: np.random.Generator, days: float) -> list[_Orders]:
    """Whales, and runs of genuine buyers or sellers: about two of each a day."""
    found = []
    for _ in range(rng.poisson(2.0 * days)):
        count = int(rng.geometric(0.5))
        at = rng.uniform(0.0, days * DAY_S) + np.sort(rng.exponential(2.0, count))
        side = 1.0 if rng.uniform() < 0.6 else -1.0
        found.append(_Orders(at, np.full(count, side), np.exp(rng.normal(2.2, 0.8, count))))
    for _ in range(rng.poisson(2.0 * days)):
        length = np.exp(rng.uniform(np.log(30.0), np.log(1_800.0)))
        count = rng.poisson(np.exp(rng.uniform(np.log(10.0), np.log(250.0))))
        at = rng.uniform(0.0, days * DAY_S) + length * rng.beta(1.0, 2.0, count)
        lean = rng.uniform(0.6, 0.9)
        sides = np.where(rng.uniform(size=count) < lean, 1.0, -1.0) * (1.0 if rng.uniform() < 0.6 else -1.0)
        found.append(_Orders(at, sides, np.exp(rng.normal(-0.8, 1.5, count))))
    return found


def _merged(*parts: _Orders) -> _Orders:
    at = np.concatenate([part.at for part in parts])
    order = np.argsort(at, kind="stable")
    return _Orders(
        at[order],
        np.concatenate([part.side for part in parts])[order],
        np.concatenate([part.size for part in parts])[order],
    )


def _filled(rng: np.random.Generator, orders: _Orders, days: float) -> Trades:
    """Orders become fills: one a price level, all in the order's millisecond."""
    fills = 1 + rng.poisson(np.minimum(orders.size, 60.0) * 0.8)
    level = rng.uniform(0.0006, 0.002)
    middle = _middle(rng, orders, level, days)
    which = np.repeat(np.arange(orders.at.size), fills)
    step = np.arange(which.size) - np.repeat(np.cumsum(fills) - fills, fills)
    spread = np.exp(rng.normal(np.log(0.003), 0.5))
    price = middle[which] * np.exp(orders.side[which] * (0.5 * spread + level * 0.5 * step))
    share = rng.exponential(1.0, which.size)
    weight = np.add.reduceat(share, np.cumsum(fills) - fills)
    qty = orders.size[which] * share / weight[which]
    return Trades((orders.at[which] * 1e3).astype(np.int64), price, qty, orders.side[which] > 0.0)


def _middle(rng: np.random.Generator, orders: _Orders, level: float, days: float) -> F8:
    """The middle price at each order: a walk with changing volatility, jumps of the whole market, and impact."""
    gaps = np.diff(orders.at, prepend=0.0)
    daily = np.exp(rng.normal(np.log(0.05), 0.4))
    mood = _wandering(rng, gaps, 3_600.0, 0.5)
    walk = np.cumsum(rng.standard_t(4, gaps.size) / np.sqrt(2.0) * daily * np.sqrt(gaps / DAY_S) * np.exp(mood))
    jumps = rng.uniform(0.0, days * DAY_S, rng.poisson(days))
    sizes = rng.normal(0.0, 0.02, jumps.size)
    walk += (sizes[None, :] * (orders.at[:, None] >= jumps[None, :])).sum(axis=1)
    push = orders.side * level * 1.5 * np.sqrt(orders.size)
    kept: Any = np.exp(-gaps / _IMPACT_MEMORY_S)
    moved = _decaying(push, kept)
    return np.asarray(np.exp(walk + moved + 0.1 * np.cumsum(push)))


def _wandering(rng: np.random.Generator, gaps: F8, memory_s: float, spread: float) -> F8:
    """An Ornstein-Uhlenbeck process seen at irregular times."""
    kept = np.exp(-gaps / memory_s)
    return _decaying(rng.normal(0.0, spread, gaps.size) * np.sqrt(1.0 - kept * kept), kept) + 0.0


def _decaying(pushes: F8, kept: F8) -> F8:
    """What earlier pushes have left before each order, float64[orders]."""
    found, level = np.empty(pushes.size), 0.0
    for i, (push, share) in enumerate(zip(pushes.tolist(), kept.tolist(), strict=True)):
        level *= share
        found[i] = level
        level += push
    return found
