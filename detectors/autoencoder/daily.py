"""The autoencoder over windows of daily bars: how badly an instrument's last 32 trading days fit what is usual.

The network is that of the feature windows (sixteen inputs, 32 steps, the newest four told from a code of eight); the
inputs look back only, have no unit, and suit files whose close alone is adjusted for dividends.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from detectors.autoencoder import training
from detectors.autoencoder.inputs import COUNT, KNEE
from detectors.autoencoder.score import CHANNELS, CODE, PATCH, WINDOW
from detectors.ddqn.daily_market import Bars
from detectors.kmeans.fitting import scaling_of

F4 = npt.NDArray[np.float32]
F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]

WARM = 250
"""Bars before the first that has inputs and a target."""
QUANTILE = 0.95
"""A day is abnormal when its absolute return is above this quantile of the instrument's own last WARM ones."""
DECAY = 0.94
"""Of the exponentially weighted variance (RiskMetrics 1996)."""

_TINY = 1e-8


@dataclass(frozen=True, slots=True)
class Days:
    """Days of one instrument that have inputs.

    dates : datetime64[D][rows]; values : float64[rows, 16], unscaled; abnormal : bool[rows], of the next day; known :
    bool[rows], whether there is a next day; yesterday, deviation : float64[rows], the day's absolute return and the
    exponentially weighted deviation after it, both over the quantile that the next day is held against
    """

    dates: npt.NDArray[np.datetime64]
    values: F8
    abnormal: npt.NDArray[np.bool_]
    known: npt.NDArray[np.bool_]
    yesterday: F8
    deviation: F8


def _trailing(values: F8, days: int) -> F8:
    """Windows of the last `days` values, float64[rows - days + 1, days]."""
    return np.lib.stride_tricks.sliding_window_view(values, days)


def _last(found: F8, rows: int) -> F8:
    """A trailing figure with NaN where its window is not full, float64[rows]."""
    return np.concatenate([np.full(rows - len(found), np.nan), found])


def _deviation(returns: F8, days: int) -> F8:
    """Root of the mean square of the last `days` returns."""
    return _last(np.sqrt(np.square(_trailing(returns, days)).mean(axis=1)) + _TINY, len(returns))


def _mean(values: F8, days: int) -> F8:
    return _last(_trailing(values, days).mean(axis=1), len(values))


def _before(values: F8) -> F8:
    return np.concatenate([[np.nan], values[:-1]])


def _returns(prices: F8) -> F8:
    return np.diff(np.log(prices), prepend=np.log(prices[0]))


def _sum(returns: F8, days: int) -> F8:
    return _last(_trailing(returns, days).sum(axis=1), len(returns))


def _inputs(bars: Bars) -> F8:
    """float64[rows, 16] in the order of DAILY_INPUTS, NaN before the windows are full."""
    mid, spread = 0.5 * (bars.high + bars.low), np.maximum(bars.high - bars.low, _TINY * bars.high)
    span, close = np.log1p(spread / mid), _returns(bars.close)
    at = {days: _deviation(close, days) for days in (5, 20, 60, 250)}
    before, month, quarter = _before(at[20]), at[20] * np.sqrt(20.0), at[60] * np.sqrt(60.0)
    highest = _last(_trailing(bars.close, 60).max(axis=1), len(bars))
    lowest = _last(_trailing(bars.close, 60).min(axis=1), len(bars))
    columns = [
        close / before, _returns(bars.open) / before, _returns(mid) / before,
        _sum(close, 5) / (at[20] * np.sqrt(5.0)), _sum(close, 20) / month, _sum(close, 60) / quarter,
        np.log(span / _mean(span, 20)), np.log(span / _mean(span, 250)), (bars.open - mid) / spread,
        np.log(bars.volume / _mean(bars.volume, 20)), np.log(bars.volume / _mean(bars.volume, 120)),
        np.log(at[5] / at[20]), np.log(at[20] / at[60]), np.log(at[60] / at[250]),
        np.log(bars.close / highest) / quarter, np.log(bars.close / lowest) / quarter,
    ]  # fmt: skip
    return np.column_stack(columns)


def days_of(bars: Bars) -> Days:
    """Inputs, target and what the target is held against; ValueError where there are too few bars."""
    if len(bars) < WARM + WINDOW:
        raise ValueError(f"{len(bars)} bars are too few: {WARM + WINDOW} at least")
    moved = np.abs(_returns(bars.close))
    limit = _last(np.quantile(_trailing(moved, WARM), QUANTILE, axis=1), len(bars)) + _TINY
    variance = np.empty(len(bars))
    variance[0] = np.square(moved[1 : WARM + 1]).mean()
    for row in range(1, len(bars)):
        variance[row] = DECAY * variance[row - 1] + (1.0 - DECAY) * moved[row] ** 2
    following = np.append(moved[1:], np.nan)
    kept = slice(WARM, None)
    with np.errstate(invalid="ignore"):
        abnormal = following > limit
    return Days(
        bars.dates[kept],
        _inputs(bars)[kept],
        abnormal[kept],
        ~np.isnan(following[kept]),
        (moved / limit)[kept],
        (np.sqrt(variance) / limit)[kept],
    )


def scaled(values: F8, scaling: F4) -> F4:
    """Inputs scaled and squashed as those of the feature rows, float32[rows, 16]."""
    x = (values - scaling[0]) * scaling[1]
    return np.asarray(KNEE * x / (KNEE + np.abs(x)), dtype=np.float32)


def _ends(rows: int) -> I8:
    return np.arange(WINDOW - 1, rows, dtype=np.int64)


def fit(parts: list[Days], recipe: training.Recipe) -> dict[str, F4]:
    """Weights and scaling fitted to the days of several instruments; the arrays of a model file.

    ValueError where there are fewer than 1,000 windows.
    """
    usable = [part.values for part in parts if len(part.values) >= WINDOW]
    if sum(len(_ends(len(values))) for values in usable) < 1000:
        raise ValueError("fewer than 1,000 windows of daily bars")
    location, factor = scaling_of(np.concatenate(usable), "robust")
    scaling = np.array([location, factor], dtype=np.float32)
    starts = np.cumsum([0, *(len(values) for values in usable)])
    ends = np.concatenate([start + _ends(len(values)) for start, values in zip(starts, usable, strict=False)])
    rows = scaled(np.concatenate(usable), scaling)
    return training.fit_windows(rows, ends, recipe, ((),)) | {"scaling": scaling}


def scores(arrays: dict[str, F4], part: Days) -> F8:
    """What the network makes of every day, float64[rows], about 1 for usual ones; NaN in the first WINDOW - 1.

    As `score.step` says it: root of the mean of the newest days' weighted squared errors and of the code's squares.
    """
    found = np.full(len(part.values), np.nan)
    ends = _ends(len(part.values))
    if not len(ends):
        return found
    rows = scaled(part.values, arrays["scaling"])
    newest_first = rows[ends[:, None] - np.arange(WINDOW)[None, :]]
    given, count = np.nan_to_num(newest_first), len(ends)
    first = given.reshape(count, WINDOW // PATCH, PATCH * COUNT) @ arrays["w1"].T + arrays["b1"]
    second = np.maximum(first, 0.0).reshape(count, 2, 4 * CHANNELS) @ arrays["w2"].T + arrays["b2"]
    code = np.maximum(second, 0.0).reshape(count, 2 * CHANNELS) @ arrays["w3"].T + arrays["b3"]
    told = np.maximum(code @ arrays["w4"].T + arrays["b4"], 0.0) @ arrays["w5"].T + arrays["b5"]
    wanted = newest_first[:, :PATCH].reshape(count, -1)
    apart = np.square(told - wanted) * np.tile(arrays["weight"], PATCH)
    total = np.nansum(apart, axis=1) + np.square(code).sum(axis=1)
    found[ends] = np.sqrt(total / (CODE + np.isfinite(apart).sum(axis=1)))
    return found
