"""From bars to the rows of the seven-class problem: factors as pure numbers, and how much the instrument moves."""

import numpy as np
import numpy.typing as npt

from detectors.forecast.direction.fitting import NEVER, Rows
from detectors.forecast.factors import table as factors
from detectors.forecast.factors.table import LOOKBACK, UNITS
from detectors.forecast.series import Panel, Series

F8 = npt.NDArray[np.float64]

HALF_LIFE = 20
"""Of the deviation that a return is measured by, in bars."""
WARM = 60
"""Bars before a row is learnt from or judged."""
REACH = LOOKBACK + 64
"""Bars of which the newest row and those up to 63 before it, its window, are a function."""
SPANS = (5, 20, 60)
"""Bars over which an instrument's movement and volume are looked back on."""
LAGS = (2, 3, 4, 5)
"""Returns before the newest, which is among the factors."""
APART = 30 * 86_400_000_000_000
"""A next bar that is further away is no next day's, ns."""
_FLOOR = 1e-4
"""Least deviation of a day's return: an instrument that stands still is not infinitely sure to go on so."""

MOVES = (
    *(f"return_{lag}" for lag in LAGS), "overnight", "log_range", "log_deviation",
    *(f"log_moves_{span}" for span in SPANS), *(f"log_volume_to_{span}" for span in SPANS),
)  # fmt: skip
"""Inputs beside the factors: earlier returns, open to the close before, logarithms of the day's range, of the
deviation, of mean absolute returns and of volume to its mean.
"""
_KNOWN = 0.5
_OWN = np.r_[0 : sum(unit != "count" for unit in UNITS.values()), -len(MOVES) : 0]
"""Columns of bars alone: `factors.relative` leaves counts out, outside series stand between."""


def rows_of(panel: Panel) -> Rows:
    """A row for each bar of each instrument, instruments by name. ValueError where the panel is empty."""
    if not panel.series:
        raise ValueError("no bars")
    named = sorted(panel.series)
    every = [panel.series[name] for name in named]
    found = factors.tables(panel)
    tables = [factors.relative(found[name], series.close) for name, series in zip(named, every, strict=True)]
    values = [np.hstack([table.values, _moves(series)]) for table, series in zip(tables, every, strict=True)]
    joined = np.concatenate(values)
    return Rows(
        names=(*tables[0].names, *MOVES),
        instruments=tuple(named),
        starts=np.cumsum([0, *map(len, every)]).astype(np.int64),
        at=np.concatenate([series.at for series in every]),
        known=np.concatenate([np.append(series.at[1:], NEVER) for series in every]),
        values=np.where(np.isfinite(joined), joined, np.nan),
        scale=np.concatenate(
            [_warm(deviation(series.close), rows) for series, rows in zip(every, values, strict=True)]
        ),
        returns=np.concatenate([_next(series) for series in every]),
    )


def deviation(close: F8) -> F8:
    """Exponentially weighted deviation of daily log returns, a mean of 0 assumed, float64[rows]; of the returns within
    the last LOOKBACK bars only.
    """
    weights = 0.5 ** (np.arange(LOOKBACK - 1) / HALF_LIFE)
    there = np.arange(len(close)) > 0
    total, weight = _weighted(_returns(close) ** 2, weights), _weighted(there.astype(np.float64), weights)
    found: F8 = np.maximum(np.sqrt(total / np.maximum(weight, weights[0])), _FLOOR)
    return found


def _weighted(values: F8, weights: F8) -> F8:
    """Sum of the newest values by weight, the newest by the first, float64[rows]; what is before the first counts 0.

    Added up lag by lag: a row's bits depend on its window alone, not on how many rows there are.
    """
    found = np.zeros(len(values))
    for lag, weight in enumerate(weights[: len(values)]):
        found[lag:] += weight * values[: len(values) - lag]
    return found


def _returns(close: F8) -> F8:
    """Log return to each bar from the one before, float64[rows]; 0 at the first."""
    return np.diff(np.log(close), prepend=np.log(close[:1]))


def _next(series: Series) -> F8:
    """Log return to the next bar, float64[rows]; NaN for the newest, and where trading stopped before the next one."""
    found = np.append(_returns(series.close)[1:], np.nan)
    found[:-1][np.diff(series.at) > APART] = np.nan
    return found


def _warm(found: F8, values: F8) -> F8:
    """NaN where there are too few bars, or most of what the bars themselves tell is not known.

    Outside series do not count: that one of them began last month makes older rows no colder.
    """
    own = np.isfinite(values[:, _OWN])
    return np.where((np.arange(len(found)) >= WARM) & (own.mean(axis=1) > _KNOWN), found, np.nan)


def _moves(series: Series) -> F8:
    """The columns of MOVES, float64[rows, MOVES]; nothing but bars up to each row is used."""
    returns = _returns(series.close)
    before = np.append(np.nan, series.close[:-1])
    absolute = np.abs(returns)
    with np.errstate(divide="ignore", invalid="ignore"):
        columns = [
            *(np.append(np.full(lag, np.nan), returns)[: len(returns)] for lag in (each - 1 for each in LAGS)),
            np.log(series.open / before),
            np.log(np.maximum(np.log(series.high / series.low), _FLOOR)),
            np.log(deviation(series.close)),
            *(np.log(np.maximum(_mean(absolute, span), _FLOOR)) for span in SPANS),
            *(np.log(series.volume / _mean(series.volume, span)) for span in SPANS),
        ]
    return np.column_stack(columns)


def _mean(values: F8, span: int) -> F8:
    """Mean of the newest `span` values, float64[rows]; NaN before there are so many."""
    found = _weighted(values, np.full(span, 1.0 / span))
    return np.where(np.arange(len(values)) >= span - 1, found, np.nan)
