"""What the LSTM sees: the last 50 bars relative to the newest close, in units of their own volatility.

Everything is a function of a window's own bars, so nothing is learnt from a stretch of time that is judged later, and
a window of a stream and the same window of a file give the same bits.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.forecast.series import Series
from tapewatch.kernels import kernel

F4 = npt.NDArray[np.float32]
F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]

WINDOW = 50
LOOKBACK = WINDOW + 1
"""Bars that a window needs: the first one gives only a close and a volume to compare with."""
INPUTS = ("open", "high", "low", "close", "volume", "return", "range", "volume change")
"""Of each bar, see `window`."""
FEATURES = len(INPUTS)
LEAST_VOLATILITY = 1e-6
"""Of a bar's log return; a window that moves less counts as moving so much."""

_OPEN, _HIGH, _LOW, _CLOSE, _VOLUME = range(5)


@kernel
def window(bars: F8, end: int, out: F4) -> float:
    """The inputs of the window that ends before row `end`; its volatility: root mean square of its 50 log returns.

    bars : float64[rows, 5] of open, high, low, close, volume without NaN; `end` is LOOKBACK at least
    out : float32[WINDOW, FEATURES], oldest bar first:
        open, high, low, close : ln(price / newest close) / (volatility * sqrt(WINDOW))
        volume : ln((1 + v) / 2), v : volume over the window's mean volume; 0 where nothing was traded in the window
        return, range : ln(close / close before), ln(high / low), each / volatility
        volume change : of `volume` since the bar before
    """
    first = end - WINDOW
    squares, volumes = 0.0, 0.0
    for row in range(first, end):
        change = math.log(bars[row, _CLOSE] / bars[row - 1, _CLOSE])
        squares += change * change
        volumes += bars[row, _VOLUME]
    volatility = max(math.sqrt(squares / WINDOW), LEAST_VOLATILITY)
    mean = volumes / WINDOW
    newest, level = bars[end - 1, _CLOSE], volatility * math.sqrt(WINDOW)
    before = _relative(bars[first - 1, _VOLUME], mean)
    for row in range(first, end):
        place = row - first
        for column in range(_CLOSE + 1):
            out[place, column] = math.log(bars[row, column] / newest) / level
        now = _relative(bars[row, _VOLUME], mean)
        out[place, 4] = now
        out[place, 5] = math.log(bars[row, _CLOSE] / bars[row - 1, _CLOSE]) / volatility
        out[place, 6] = math.log(bars[row, _HIGH] / bars[row, _LOW]) / volatility
        out[place, 7] = now - before
        before = now
    return volatility


@kernel
def _relative(volume: float, mean: float) -> float:
    """A volume against the window's mean."""
    return math.log(0.5 + 0.5 * volume / mean) if mean > 0.0 else 0.0


@kernel
def _windows(bars: F8, ends: I8, out: F4, volatility: F8) -> None:
    """`window` of many ends. out : float32[ends, WINDOW, FEATURES]; volatility : float64[ends]"""
    for number in range(len(ends)):
        volatility[number] = window(bars, ends[number], out[number])


class Windows(NamedTuple):
    """Windows of one series, with what came of them.

    inputs : float32[rows, WINDOW, FEATURES]; volatility : float64[rows]; ends : int64[rows], row after the newest bar
    """

    inputs: F4
    volatility: F8
    ends: I8


def bars_of(series: Series) -> F8:
    """Bars as the kernels take them, float64[rows, 5]; a price that is not told is the close, a volume 0."""
    close = series.close
    prices = [np.where(np.isnan(each), close, each) for each in (series.open, series.high, series.low)]
    return np.ascontiguousarray(np.column_stack([*prices, close, np.nan_to_num(series.volume)]), dtype=np.float64)


def windows(bars: F8, ends: I8) -> Windows:
    """The windows that end before these rows. bars : as `bars_of` gives them; ends : LOOKBACK at least, each"""
    found = Windows(np.empty((len(ends), WINDOW, FEATURES), np.float32), np.empty(len(ends)), ends)
    _windows(bars, ends, found.inputs, found.volatility)
    return found


def targets(bars: F8, found: Windows) -> F8:
    """What is learnt, float64[rows]: log return of the bar after each window, in units of the window's volatility."""
    ratio: F8 = np.log(bars[found.ends, _CLOSE] / bars[found.ends - 1, _CLOSE]) / found.volatility
    return ratio
