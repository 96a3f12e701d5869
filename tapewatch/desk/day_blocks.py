"""Intervals of figures over time: whole days are drawn anew in blocks, since neighbouring minutes share their horizon.

Circular block bootstrap (Politis & Romano 1992). A figure is a function of sums over days, so that a draw costs little.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]

DRAWS = 2000
LEVEL = 0.95


def drawn(days: int, block: int, seed: int = 0, draws: int = DRAWS) -> I8:
    """Which days each draw holds, int64[draws, days]. block : days in a row that stay together"""
    rng = np.random.default_rng(seed)
    starts = rng.integers(0, days, (draws, -(-days // block)))
    return ((starts[:, :, None] + np.arange(block)).reshape(draws, -1)[:, :days]) % days


def interval(sums: F8, draws: I8, figure: Callable[[F8], float]) -> dict[str, float]:
    """A figure of all days, and its interval. sums : float64[days, ...]; figure : of their sum over days"""
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.array([figure(sums[days].sum(axis=0)) for days in draws])
    return within(figure(sums.sum(axis=0)), found)


def within(whole: float, found: F8) -> dict[str, float]:
    """A figure of all days with the interval of what draws gave. found : float64[draws], NaN where it had no value"""
    found = found[np.isfinite(found)]
    tail = 50.0 * (1.0 - LEVEL)
    low, high = np.percentile(found, [tail, 100.0 - tail]) if len(found) else (np.nan, np.nan)
    return {"mean": whole, "low": float(low), "high": float(high)}
