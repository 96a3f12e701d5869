"""The pump detector over the trades of one instrument: the same compiled steps as live, without an engine."""

import numpy as np
import numpy.typing as npt

from detectors.pumps import features, trees
from detectors.pumps.trees import Trees
from tapewatch.kernels import kernel

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]


@kernel
def _rows(ms: I8, price: F8, notional: F8, limits: F8, p: F8, seconds: I8, out: F8) -> int:
    """Fill `seconds` and `out`, float64[rows, windows, 8] (NaN where a window has none); returns how many rows."""
    found, x = 0, out[0, 0]
    current = ms[0] // 1000
    for i in range(ms.size + 1):
        second = ms[i] // 1000 if i < ms.size else current + 1
        if second != current:
            features.observe(p, current)
            if trees.passes(p, limits[0], limits[1]):
                for window in range(out.shape[1]):
                    x = out[found, window]
                    if not features.features(p, window, x):
                        x[:] = np.nan
                seconds[found] = current
                found += 1
            current = second
        if i < ms.size:
            features.buy(p, price[i], notional[i], ms[i])
    return found


@kernel
def _chances(ms: I8, price: F8, notional: F8, model: Trees, p: F8, seconds: I8, out: F8) -> int:
    """Fill `seconds` and `out`, float64[rows], where the gate opens; returns how many rows."""
    found = 0
    current = ms[0] // 1000
    for i in range(ms.size + 1):
        second = ms[i] // 1000 if i < ms.size else current + 1
        if second != current:
            features.observe(p, current)
            chance = trees.chance(p, model)
            if chance > 0.0:
                seconds[found], out[found] = current, chance
                found += 1
            current = second
        if i < ms.size:
            features.buy(p, price[i], notional[i], ms[i])
    return found


def gated_rows(ms: I8, price: F8, notional: F8, least_volume: float, least_rise: float) -> tuple[I8, F8]:
    """Features of every second whose running chunks pass the gate.

    ms : int64[buys], milliseconds of aggressive buys in time order; price, notional : float64[buys]
    Returns the seconds, int64[rows], and float64[rows, 3, 8]; NaN where a window is not warm.
    """
    if not ms.size:
        return np.zeros(0, dtype=np.int64), np.zeros((0, len(features.WINDOWS), features.COUNT))
    most = 1 + np.count_nonzero(np.diff(ms // 1000))
    seconds, out = np.zeros(most, dtype=np.int64), np.zeros((most, len(features.WINDOWS), features.COUNT))
    count = _rows(ms, price, notional, np.array([least_volume, least_rise]), features.create(1)[0], seconds, out)
    return seconds[:count], out[:count]


def chances(ms: I8, price: F8, notional: F8, model: Trees) -> tuple[I8, F8]:
    """Seconds at which the gate opens, int64[rows], and the probability of a pump at each, float64[rows]."""
    if not ms.size:
        return np.zeros(0, dtype=np.int64), np.zeros(0)
    most = 1 + np.count_nonzero(np.diff(ms // 1000))
    seconds, out = np.zeros(most, dtype=np.int64), np.zeros(most)
    count = _chances(ms, price, notional, model, features.create(1)[0], seconds, out)
    return seconds[:count], out[:count]


def alerts(seconds: I8, found: F8, threshold: float, cooldown_s: int) -> I8:
    """Rows at which an alert opens, int64[alerts]: a probability of at least `threshold`, none within the cooldown of
    the one before.
    """
    opened: list[int] = []
    for row in np.flatnonzero(found >= threshold).tolist():
        if not opened or seconds[row] - seconds[opened[-1]] >= cooldown_s:
            opened.append(row)
    return np.array(opened, dtype=np.int64)
