"""Technical indicators of one window of bars, through TA-Lib; docs/factors.md lists them with formula and unit."""

from collections.abc import Iterator
from functools import cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from detectors.forecast.series import Series
from tapewatch.errors import TapewatchError

F8 = npt.NDArray[np.float64]
Unit = Literal["price", "ratio", "count"]

LOOKBACK = 250
"""An indicator at a bar is a function of the last LOOKBACK bars only, so batch and stream give the same bits."""

_AVERAGES = (5, 7, 10, 20, 21)
_EXPONENTIAL = (5, 10, 20)
_BIASES = (3, 6, 10, 25)

UNITS: dict[str, Unit] = {
    **{f"sma_{bars}": "price" for bars in _AVERAGES},
    **{f"ema_{bars}": "price" for bars in _EXPONENTIAL},
    "bollinger_upper": "price",
    "bollinger_lower": "price",
    "bollinger_percent": "ratio",
    "bollinger_width": "ratio",
    "kd_k": "ratio",
    "kd_d": "ratio",
    "rsi_14": "ratio",
    "macd": "price",
    "macd_signal": "price",
    "macd_histogram": "price",
    "momentum_10": "price",
    "roc_10": "ratio",
    **{f"bias_{bars}": "ratio" for bars in _BIASES},
    "atr_14": "price",
    "adx_14": "ratio",
    "cci_14": "ratio",
    "williams_r_14": "ratio",
    "obv": "count",
    "obv_share": "ratio",
    "mfi_14": "ratio",
    "aroon_up_14": "ratio",
    "aroon_down_14": "ratio",
    "sar": "price",
    "trix_15": "ratio",
    "return_1": "ratio",
}
"""Unit of every indicator, in the order of the columns: price (as the bars), ratio (a pure number), count (volume)."""

DIFFERENCES = frozenset({"macd", "macd_signal", "macd_histogram", "momentum_10", "atr_14"})
"""Indicators in the unit of price that are differences of prices, not levels."""


@cache
def require_talib() -> Any:
    """TA-Lib, imported when first needed; TapewatchError where the extra is absent."""
    try:
        import talib
    except ImportError as error:
        raise TapewatchError("factors need TA-Lib", "Install the extra: pip install 'tapewatch[forecast]'") from error
    return talib


def indicators(window: Series) -> F8:
    """Values at the newest bar of a window, float64[len(UNITS)] in their order; NaN until warm, or without its inputs.

    window : the last LOOKBACK bars, or all there are where there are fewer.
    Nothing is carried over from one bar to the next: where a batch or stream begins changes nothing.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.array([*_levels(window), *_oscillators(window), *_flows(window)], dtype=np.float64)
    # A flat or empty window divides by zero: nothing is known of it.
    values[~np.isfinite(values)] = np.nan
    return values


def _levels(window: Series) -> Iterator[float]:
    """Averages and Bollinger's bands (20 bars, two population standard deviations)."""
    ta, close = require_talib(), window.close
    yield from (ta.SMA(close, bars)[-1] for bars in _AVERAGES)
    yield from (ta.EMA(close, bars)[-1] for bars in _EXPONENTIAL)
    upper, middle, lower = (line[-1] for line in ta.BBANDS(close, 20, 2.0, 2.0, 0))
    yield from (upper, lower, (close[-1] - lower) / (upper - lower), (upper - lower) / middle)


def _oscillators(window: Series) -> Iterator[float]:
    """What swings: stochastics, RSI, MACD, momentum and the distance from averages."""
    ta, close = require_talib(), window.close
    high, low = window.high, window.low
    yield from (line[-1] for line in ta.STOCH(high, low, close, 9, 3, 0, 3, 0))
    yield ta.RSI(close, 14)[-1]
    yield from (line[-1] for line in ta.MACD(close, 12, 26, 9))
    yield ta.MOM(close, 10)[-1]
    yield ta.ROC(close, 10)[-1]
    yield from (100.0 * (close[-1] / ta.SMA(close, bars)[-1] - 1.0) for bars in _BIASES)
    yield ta.ATR(high, low, close, 14)[-1]
    yield ta.ADX(high, low, close, 14)[-1]
    yield ta.CCI(high, low, close, 14)[-1]
    yield ta.WILLR(high, low, close, 14)[-1]


def _flows(window: Series) -> Iterator[float]:
    """Volume with its direction, and how fresh and steady a trend is."""
    ta, close, volume = require_talib(), window.close, window.volume
    balance = ta.OBV(close, volume)[-1]
    yield from (balance, balance / volume.sum())
    yield ta.MFI(window.high, window.low, close, volume, 14)[-1]
    down, up = ta.AROON(window.high, window.low, 14)
    yield from (up[-1], down[-1])
    yield ta.SAR(window.high, window.low, 0.02, 0.2)[-1]
    yield ta.TRIX(close, 15)[-1]
    yield close[-1] / close[-2] - 1.0 if len(close) > 1 else np.nan
