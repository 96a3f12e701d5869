"""Daily bars with a will of their own for tests of seven-class forecasts: calm and wild spells, and no direction."""

import numpy as np

from detectors.forecast.direction.fitting import Rows
from detectors.forecast.series import Panel, Series

DAY = 86_400 * 10**9
FIRST = int(np.datetime64("2015-01-01", "ns").astype(np.int64))


def returns(bars: int, seed: int, wild: float = 0.97) -> np.ndarray:
    """Log returns whose deviation wanders; wild : how long its spells last, 0 for plain noise."""
    rng = np.random.default_rng(seed)
    level, found = 0.0, np.empty(bars)
    for bar in range(bars):
        level = wild * level + (0.2 * rng.normal() if wild else 0.0)
        found[bar] = 0.01 * np.exp(level) * rng.normal()
    return found


def series(name: str, moves: np.ndarray, seed: int) -> Series:
    """Bars of some returns, a day each."""
    rng = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(moves))
    spread = 1.0 + np.abs(rng.normal(0.0, 0.003, len(close)))
    opened = close * np.exp(rng.normal(0.0, 0.002, len(close)))
    at = FIRST + np.arange(len(close), dtype=np.int64) * DAY
    high, low = np.maximum(opened, close) * spread, np.minimum(opened, close) / spread
    return Series(name, at, opened, high, low, close, rng.integers(1_000, 9_000, len(close)).astype(float))


def panel(bars: int = 500, instruments: int = 2, seed: int = 0) -> Panel:
    """Instruments with spells of their own."""
    names = [f"M{place}.XNAS" for place in range(instruments)]
    return Panel(
        {name: series(name, returns(bars, seed + 10 * place), seed + place) for place, name in enumerate(names)}
    )


def plain_rows(bars: int, instruments: int, seed: int, told: float = 0.0, wild: float = 0.0) -> Rows:
    """Rows without bars behind them: four inputs of noise, the first leaning on what comes by `told`."""
    rng = np.random.default_rng(seed)
    moves = np.concatenate([returns(bars, seed + place, wild) for place in range(instruments)])
    values = rng.normal(size=(len(moves), 4))
    values[:, 0] += told * moves / 0.01
    at = np.tile(FIRST + np.arange(bars, dtype=np.int64) * DAY, instruments)
    starts = np.arange(instruments + 1) * bars
    scale = np.full(len(moves), 0.01)
    return Rows(("a", "b", "c", "d"), tuple(map(str, range(instruments))), starts, at, at + DAY, values, scale, moves)
