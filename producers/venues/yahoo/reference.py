"""Reference data that charts tell: name, currency, session, splits and dividends."""

import msgspec

from producers.venues.yahoo.chart import Chart
from producers.venues.yahoo.symbols import currency_of, instrument_of, kind_of
from tapewatch.contract.instruments import CorporateAction, Instrument, Session


def instrument(chart: Chart) -> Instrument:
    """What the chart says of its instrument."""
    return Instrument(
        id=instrument_of(chart.symbol, chart.exchange),
        name=chart.name or chart.symbol,
        currency=currency_of(chart.currency),
        kind=kind_of(chart.kind),
        session=_session(chart),
        actions=chart.actions,
    )


def merged(known: Instrument | None, fresh: Instrument) -> Instrument:
    """What is registered with the corporate actions that are new; what other sources wrote stays as it is."""
    if known is None:
        return fresh
    return msgspec.structs.replace(known, actions=merged_actions(known.actions, fresh.actions))


def merged_actions(
    known: tuple[CorporateAction, ...], fresh: tuple[CorporateAction, ...]
) -> tuple[CorporateAction, ...]:
    """Both by date and kind; where both have one, the fresh one."""
    found = {(action.date, action.kind): action for action in (*known, *fresh)}
    return tuple(found[key] for key in sorted(found))


def _session(chart: Chart) -> Session:
    """Opening and closing time on the exchange's clock; a day of 24 hours is open around the clock."""
    if chart.session is None:
        return Session(chart.timezone)
    begun, ended = chart.local(chart.session[0]), chart.local(chart.session[1])
    if (ended - begun).total_seconds() >= 23.9 * 3_600:
        return Session(chart.timezone)
    return Session(chart.timezone, f"{begun:%H:%M}", f"{ended:%H:%M}")
