"""A panel of random walks with a few causal factors."""

from collections.abc import Callable

import numpy as np

from detectors.forecast.series import Panel, Series

DAY = 86_400_000_000_000
FACTORS = ("return_1", "return_5", "return_20", "range")


def series(name: str, closes: np.ndarray, first: int = 0) -> Series:
    """Bars of every day from the first on."""
    at = (np.arange(len(closes), dtype=np.int64) + first + 12_000) * DAY
    return Series(name, at, closes, closes * 1.01, closes * 0.99, closes, np.full(len(closes), 1e6))


def walk_of(days: int, seed: int) -> np.ndarray:
    """A random walk, whose rises nothing foretells."""
    return 100.0 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0.0, 0.01, days)))


def factors(of: Series) -> tuple[tuple[str, ...], np.ndarray]:
    """A few causal columns, warm after 20 bars."""
    values = np.full((len(of), len(FACTORS)), np.nan)
    for column, back in enumerate((1, 5, 20)):
        values[20:, column] = np.log(of.close[20:] / of.close[20 - back : len(of) - back])
    values[20:, 3] = (of.high[20:] - of.low[20:]) / of.close[20:]
    return FACTORS, values


def panel(days: int = 400, made: Callable[[int, int], np.ndarray] = walk_of) -> Panel:
    """Two channels."""
    return Panel({name: series(name, made(days, seed)) for seed, name in enumerate("ab")})
