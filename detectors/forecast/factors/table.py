"""The table of factors: a row a bar, of indicators, ranks and outside series, all as they were known at the bar."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from detectors.forecast.factors import indicators, outside
from detectors.forecast.factors.indicators import DIFFERENCES, Unit
from detectors.forecast.series import Panel, Reading, Series

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]

LOOKBACK = indicators.LOOKBACK
"""An indicator at a bar is a function of the last LOOKBACK bars only, of all there are before that."""
UNITS: Mapping[str, Unit] = {**indicators.UNITS, **dict.fromkeys(outside.NAMES, "ratio")}
"""Unit of every column but those of outside series, which have their source's: price, ratio (a pure number), count."""


@dataclass(frozen=True, slots=True)
class Table:
    """Factors of one instrument.

    names : of the columns; at : int64[rows], UTC nanoseconds; values : float64[rows, names], NaN until warm and where
    a factor is not known
    """

    names: tuple[str, ...]
    at: I8
    values: F8

    def __getitem__(self, name: str) -> F8:
        """One column, float64[rows]."""
        column: F8 = self.values[:, self.names.index(name)]
        return column


def names(outside_series: Sequence[str] = ()) -> tuple[str, ...]:
    """Columns of a table. outside_series : names of series, in the order their columns shall have"""
    return (*UNITS, *outside.names(outside_series))


def table(series: Series, readings: Sequence[Reading] = (), outside_series: Sequence[str] = ()) -> Table:
    """Factors at every bar of a series.

    readings : of any instrument; each series among them gives columns, by name, and an instrument's own is NaN in the
    tables of others: tables of one panel have the same columns.
    outside_series : names of series that give columns beside those of the readings, which then need not hold others'
    """
    return _rows(series, readings, 0, outside_series)


def tables(panel: Panel) -> dict[str, Table]:
    """The table of every instrument of a panel, each by the readings that concern it."""
    columns = sorted({one.series for one in panel.readings})
    owned: dict[str, list[Reading]] = defaultdict(list)
    for one in panel.readings:
        owned[one.instrument].append(one)
    return {
        name: table(series, owned[""] + (owned.get(series.instrument, []) if series.instrument else []), columns)
        for name, series in panel.series.items()
    }


def latest(series: Series, readings: Sequence[Reading] = ()) -> F8:
    """Factors at the newest bar, float64[columns]: bit for bit the last row of `table`."""
    if not len(series):
        raise ValueError("no bars")
    row: F8 = _rows(series, readings, len(series) - 1).values[-1]
    return row


def relative(found: Table, close: F8) -> Table:
    """The table in pure numbers, for models that learn from several instruments.

    close : float64[rows] of the same bars
    Levels of price become their distance from the close, as a fraction of it; differences of prices become fractions of
    the close; `obv` is left out (`obv_share` says it). Outside series stay in their own units.
    """
    kept = [name for name in found.names if UNITS.get(name) != "count"]
    values = np.stack([_relative(name, found[name], close) for name in kept], axis=1)
    return Table(tuple(kept), found.at, values)


def _relative(name: str, values: F8, close: F8) -> F8:
    if UNITS.get(name) != "price":
        return values
    return values / close if name in DIFFERENCES else values / close - 1.0


def _rows(series: Series, readings: Sequence[Reading], first: int, outside_series: Sequence[str] = ()) -> Table:
    """Factors at the bars from `first` on."""
    found: dict[str, list[Reading]] = {one: [] for one in outside_series}
    for one in readings:
        found.setdefault(one.series, []).append(one)
    named, at = sorted(found), series.at[first:]
    blocks = [_indicators(series, first), _ranks(series, first)]
    blocks += [outside.known(found[one], one, series.instrument, at) for one in named]
    return Table(names(named), at, np.hstack(blocks))


def _indicators(series: Series, first: int) -> F8:
    found = np.empty((len(series) - first, len(indicators.UNITS)))
    for row in range(first, len(series)):
        found[row - first] = indicators.indicators(series[max(0, row + 1 - LOOKBACK) : row + 1])
    return found


def _ranks(series: Series, first: int) -> F8:
    begin = max(0, first - outside.DAYS)
    columns = [
        each(getattr(series, name)[begin:])[first - begin :]
        for name in outside.OF
        for each in (outside.rank, outside.increase)
    ]
    return np.stack(columns, axis=1)
