"""Daily bars as factors: one value each of open, high, low, close, adjclose and volume a day.

Yahoo writes history anew: a split divides every earlier price, and a dividend lowers every earlier adjclose. A value
that was written anew was not public before the action that changed it. So a value's revision is the number of actions
after its day that changed it, and it counts as published after the session of the last of these.
"""

from collections.abc import Iterable

from producers.venues.bars import Bar
from producers.venues.yahoo.chart import Chart
from producers.venues.yahoo.symbols import currency_of
from tapewatch.contract.messages import Factor, stable_id
from tapewatch.rfc3339 import to_rfc3339

SOURCE = "yahoo"
SERIES = ("open", "high", "low", "close", "volume", "adjclose")
RESTATED_BY = {"adjclose": ("split", "dividend")}
_VOLUME_UNITS = {"EQUITY": "shares", "ETF": "shares", "FUTURE": "contracts"}


def daily_factors(
    chart: Chart, instrument: str, received: int, after: str = "", series: Iterable[str] = SERIES
) -> list[Factor]:
    """The factors of whole days after a date (YYYY-MM-DD), by date. received : receipt time, UTC nanoseconds"""
    names = tuple(series)
    return [
        _factor(chart, instrument, bar, date, name, value, received)
        for bar in chart.whole(received)
        if (date := chart.date(bar)) > after
        for name, value in _values(chart, bar)
        if name in names
    ]


def restated(chart: Chart, acted: str) -> tuple[str, ...]:
    """The series whose earlier values the actions after a date have changed."""
    kinds = {action.kind for action in chart.actions if action.date > acted}
    if "split" in kinds:
        return SERIES
    return ("adjclose",) if kinds else ()


def _values(chart: Chart, bar: Bar) -> list[tuple[str, float]]:
    """A day's values; an index without volume has none, and a currency no adjusted close of its own."""
    found = [("open", bar.open), ("high", bar.high), ("low", bar.low), ("close", bar.close)]
    if bar.volume > 0.0:
        found.append(("volume", bar.volume))
    if bar.opened in chart.adjusted:
        found.append(("adjclose", chart.adjusted[bar.opened]))
    return found


def _factor(chart: Chart, instrument: str, bar: Bar, date: str, series: str, value: float, received: int) -> Factor:
    changed = [
        action.date
        for action in chart.actions
        if action.date > date and action.kind in RESTATED_BY.get(series, ("split",))
    ]
    published = max(chart.published_at(day) for day in (date, *changed))
    return Factor(
        id=stable_id(SOURCE, series, instrument, date, len(changed)),
        source=SOURCE,
        series=series,
        instrument=instrument,
        period=date,
        # What has been received is public: an action of today counts from now on.
        published_at=to_rfc3339(min(published, received)),
        received=to_rfc3339(received),
        value=value,
        unit=_unit(chart, series),
        revision=len(changed),
    )


def _unit(chart: Chart, series: str) -> str:
    if series == "volume":
        return _VOLUME_UNITS.get(chart.kind, "")
    return "points" if chart.kind == "INDEX" else currency_of(chart.currency)
