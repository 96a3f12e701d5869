"""What the ranking model sees of a coin at a minute's close, all of it from the desk's windows.

How likely a price without drift touches one line before another in a given time.
"""

import math

import numpy as np
import numpy.typing as npt

from detectors.coin_features import windows
from tapewatch.kernels import inlined

_TERMS = 64


@inlined
def touch_probability(up: float, down: float, spread: float) -> float:
    """Probability that a Brownian motion from 0 reaches `up` before `-down`, by the time its deviation is `spread`.

    up, down : positive distances in log price; spread : volatility times the square root of the time, in log price
    The series of Borodin & Salminen 2002, part II, 1.3; absolute error below 1e-9.
    """
    width = up + down
    scale = spread / width
    if not scale > 0.03:
        # Either line lies at least sixteen deviations from the other: the nearer edge alone counts.
        return math.erfc(up / (spread * math.sqrt(2.0))) if spread > 0.0 else 0.0
    total = down / width
    for n in range(1, _TERMS + 1):
        decay = math.exp(-0.5 * (n * math.pi * scale) ** 2)
        sign = -1.0 if n % 2 == 1 else 1.0
        total += sign * 2.0 / (n * math.pi) * math.sin(n * math.pi * down / width) * decay
        if decay < 1e-12:
            break
    return min(max(total, 0.0), 1.0)


F8 = npt.NDArray[np.float64]

NAMES = (
    "reach_1h",
    "reach_6h",
    "reach_1d",
    "touch_1h",
    "touch_1d",
    "momentum_10m",
    "momentum_1h",
    "momentum_6h",
    "momentum_1d",
    "position_1h",
    "position_1d",
    "volume_10m",
    "volume_1h",
)
"""reach: log of the target over the deviation to expect within the horizon, by the volatility of a window; touch: log
odds of reaching the target before the stop without drift; momentum: a window's return over its deviation; position:
where the price lies between the window's lines, -0.5..0.5; volume: log of a window's volume a minute over the day's.
"""
COUNT = len(NAMES)
WARM_MINUTES = 180
"""Minutes of the last day that must be there before a coin is judged."""

_10M, _1H, _6H, _1D = 4 - 1, 5, 6, 8
_LEAST = 1e-6
"""Volatility a minute below which a price counts as standing still."""
_FAR = 6.0


@inlined
def _odds(chance: float) -> float:
    held = min(max(chance, 1e-4), 1.0 - 1e-4)
    return math.log(held / (1.0 - held))


@inlined
def inputs(seen: F8, horizon: int, target: float, stop: float, out: F8) -> None:
    """A row of inputs.

    seen : float64[windows, SUMMARY] of this minute; horizon : minutes; target, stop : returns, the latter negative
    out : float64[COUNT]; all NaN while the coin is not warm
    """
    day = seen[_1D]
    if day[windows.S_MINUTES] < WARM_MINUTES:
        out[:] = np.nan
        return
    up, down = math.log1p(target), -math.log1p(stop)
    usual = max(day[windows.VOLATILITY], _LEAST)
    place = 0
    for window in (_1H, _6H, _1D):
        spread = max(seen[window, windows.VOLATILITY], _LEAST) * math.sqrt(horizon)
        out[place] = math.log(up / spread)
        place += 1
    for window in (_1H, _1D):
        spread = max(seen[window, windows.VOLATILITY], _LEAST) * math.sqrt(horizon)
        out[place] = _odds(touch_probability(up, down, spread))
        place += 1
    for window in (_10M, _1H, _6H, _1D):
        moved = seen[window, windows.RETURN] / (usual * math.sqrt(windows.WINDOWS[window]))
        out[place] = min(max(moved, -_FAR), _FAR)
        place += 1
    for window in (_1H, _1D):
        out[place] = seen[window, windows.POSITION] - 0.5
        place += 1
    for window in (_10M, _1H):
        rate = seen[window, windows.S_VOLUME] / max(seen[window, windows.S_MINUTES], 1.0)
        ordinary = day[windows.S_VOLUME] / day[windows.S_MINUTES]
        out[place] = math.log((rate + 0.01 * ordinary) / (1.01 * ordinary)) if ordinary > 0.0 else 0.0
        place += 1
