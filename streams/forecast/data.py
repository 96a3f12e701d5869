"""What is learnt from: daily bars of folders, or bars and factors as PostgreSQL keeps them, up to a day.

Daily bars and factors as PostgreSQL keeps them: bars of a day, or an exchange's daily prices among the factors.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from detectors.commands.bar_folders import read_bars
from detectors.ddqn.daily_market import carried
from detectors.forecast.factors.outside import named
from detectors.forecast.series import Panel, Reading, Series
from tapewatch.clock import NANOS
from tapewatch.errors import TapewatchError
from tapewatch.settings import Settings

_BARS = sa.text(
    "SELECT i.name, b.ts_ns, b.open, b.high, b.low, b.close, b.volume FROM bars b "
    "JOIN instruments i ON i.id = b.instrument_id "
    "WHERE b.interval_s = 86400 AND b.ts_ns <= :until AND b.close > 0 "
    "ORDER BY i.name, b.ts_ns, b.log_id, b.log_offset"
)
_FACTORS = sa.text(
    "SELECT i.name, i.kind, f.series, f.period, f.published_ns, f.value, f.revision FROM factors f "
    "JOIN instruments i ON i.id = f.instrument_id WHERE f.published_ns <= :until "
    "ORDER BY f.revision, f.published_ns, f.id"
)
_MARKET = "*"
_OF_THE_MARKET = frozenset({"index", "currency", "future"})
"""Kinds of instruments that are not forecast: their closes are series of the whole market."""
_COLUMNS = ("open", "high", "low", "close", "volume")
_PRICES = frozenset({*_COLUMNS, "adjclose"})
_EPOCH = date(1970, 1, 1)


def stored(settings: Settings, until: int) -> Panel:
    """Everything that was known at a time, UTC nanoseconds. TapewatchError where PostgreSQL does not answer"""
    engine = sa.create_engine(settings.postgres_url(), poolclass=sa.NullPool, connect_args={"connect_timeout": 10})
    try:
        with engine.connect() as connection:
            bars = connection.execute(_BARS, {"until": until}).all()
            factors = connection.execute(_FACTORS, {"until": until}).all()
    except sa.exc.SQLAlchemyError as error:
        raise TapewatchError(
            f"PostgreSQL does not give the bars: {error}", "Run `tapewatch status` and `tapewatch db migrate`."
        ) from error
    series = dict(_of_prices(factors))
    series |= {name: _of_bars(name, list(rows)) for name, rows in groupby(bars, key=itemgetter(0))}
    return Panel(series, tuple(_readings(factors, frozenset(series))))


def _of_bars(name: str, rows: Sequence[Any]) -> Series:
    """Bars of one instrument; of two of the same close the newer record counts. A zero takes the last value known."""
    table = np.array([row[1:] for row in rows], dtype=np.float64)
    at = np.array([row[1] for row in rows], dtype=np.int64)
    last = np.flatnonzero(np.append(np.diff(at) != 0, True))
    return Series(name, at[last], *(carried(table[last, column]) for column in range(1, 6)))


def _of_prices(rows: Iterable[Any]) -> Iterator[tuple[str, Series]]:
    """Bars of instruments whose days come as factors: each value in its newest revision, the last one where a day lacks
    it, as files of bars are read.

    A day's bar is complete when its close was first published, and by the midnight UTC after the day at the latest: a
    value that was written anew after a split only has another scale.
    """
    days: dict[str, dict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    ends: dict[tuple[str, str], int] = {}
    for owner, kind, series, period, published, value, _ in rows:
        if owner == _MARKET or kind in _OF_THE_MARKET or series not in _COLUMNS or len(period) != len("2024-01-02"):
            continue
        days[owner][period][series] = value
        if series == "close":
            midnight = ((date.fromisoformat(period) - _EPOCH) // timedelta(days=1) + 1) * 86_400 * NANOS
            ends[owner, period] = min(published, midnight, ends.get((owner, period), midnight))
    for name, found in days.items():
        known = [period for period in sorted(found) if found[period].get("close", 0.0) > 0.0]
        if known:
            values = (np.array([found[period].get(each, np.nan) for period in known]) for each in _COLUMNS)
            columns = map(carried, values)
            yield name, Series(name, np.array([ends[name, period] for period in known], dtype=np.int64), *columns)


def _readings(rows: Iterable[Any], instruments: frozenset[str]) -> Iterator[Reading]:
    """Series beside the bars: the market's, those of an instrument that is forecast, and the closes of all others."""
    for owner, _, series, period, published, value, revision in rows:
        instrument = "" if owner == _MARKET else owner
        own = not instrument or instrument in instruments
        if (series in _PRICES and instrument in instruments) if own else series != "close":
            continue
        name, whose = named(series, instrument, instruments)
        yield Reading(name, whose, period, published, value, revision)


_YEARS = range(1700, 2262)
"""Within what nanoseconds of 64 bits tell."""


def end_of(day: str) -> int:
    """The midnight UTC after a day, UTC nanoseconds: bars and factors of the day are known by then.

    TapewatchError where it is no day, YYYY-MM-DD
    """
    try:
        after = datetime.combine(date.fromisoformat(day) + timedelta(days=1), datetime.min.time(), UTC)
    except (ValueError, OverflowError) as error:
        raise TapewatchError(f"{day!r} is no day", "Give it as YYYY-MM-DD.") from error
    if not _YEARS.start <= after.year < _YEARS.stop:
        raise TapewatchError(f"{day} is out of reach", f"Give a day from {_YEARS.start} on, before {_YEARS.stop}.")
    return int(after.timestamp()) * NANOS


def panel_of(settings: Settings, folders: Sequence[Path], day: str) -> tuple[Panel, str]:
    """Everything known by the end of a day, and where it is from; nothing later is in it.

    folders : of CSV files of daily bars; none for PostgreSQL's bars of a day and its factors
    TapewatchError where nothing is known by then
    """
    until = end_of(day)
    if folders:
        panel, strange = read_bars(*folders)
        where = ", ".join(folder.name or str(folder) for folder in folders)
        where += f" ({len(strange)} files are no bars)" if strange else ""
    else:
        panel, where = stored(settings, until), "postgresql"
    known = panel.until(until)
    if not known.series:
        raise TapewatchError(f"there are no daily bars up to {day}", "Name a folder with --daily, or sink bars first.")
    return known, where


def newest(panel: Panel) -> int:
    """When the last of a panel was known, UTC nanoseconds: what was learnt from it used nothing later."""
    bars = max(int(series.at[-1]) for series in panel.series.values())
    return max([bars, *(each.published for each in panel.readings)])
