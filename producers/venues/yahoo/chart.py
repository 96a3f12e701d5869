"""Yahoo's chart document (v8) as bars, corporate actions and what it says of the instrument."""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from producers.venues.bars import Bar
from producers.venues.yahoo.document import Document, InexactNumber, Meta, Result, decoded
from tapewatch.clock import NANOS
from tapewatch.contract.instruments import CorporateAction

SETTLED_NS = 21 * 60 * NANOS
"""A bar is whole this long after its end whatever the last price says: no market is shown with more delay."""
PUBLISHED_LAG_NS = 90 * 60 * NANOS
"""How long after its market's usual close a daily bar counts as public: room for delayed quotes, for the final prints
and for the one hour by which a session now and then ends later.
"""
DAY_S = 86_400
_COARSEST_GRID_NS = 1_800 * NANOS
"""Bars of an hour begin at half past where the session does."""
_UNITS = {"m": 60, "h": 3_600, "d": DAY_S}
_NOT_FOUND = frozenset({"Not Found", "Unprocessable Entity"})


class ChartError(Exception):
    """A document without a chart. reason : not_json, malformed_chart, unknown_symbol, bad_request or chart_error"""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Price:
    """The newest price of the regular session. at : UTC nanoseconds; volume, previous_close : NaN where absent"""

    last: float
    at: int
    volume: float
    previous_close: float


@dataclass(frozen=True)
class Chart:
    """One symbol's chart.

    symbol, currency, exchange, kind, name : as Yahoo writes them; timezone : of the exchange
    interval_s : length of a bar; days count as 86,400 s
    bars : ascending by opening, nulls left out; adjusted : close adjusted for splits and dividends, by opening
    actions : splits and dividends in the chart's range, by date
    session : begin and end of the current regular session, UTC nanoseconds; None where it is not told
    price : None where the chart tells none; left_out : bars that are none, by reason
    """

    symbol: str
    currency: str
    exchange: str
    kind: str
    name: str
    timezone: str
    interval_s: int
    bars: tuple[Bar, ...]
    adjusted: dict[int, float]
    actions: tuple[CorporateAction, ...]
    session: tuple[int, int] | None
    price: Price | None
    left_out: Counter[str]

    @cached_property
    def zone(self) -> ZoneInfo:
        """The exchange's time zone."""
        return ZoneInfo(self.timezone)

    def local(self, ns: int) -> datetime:
        """A time on the exchange's clock."""
        return _local(ns, self.zone)

    def date(self, bar: Bar) -> str:
        """The local date a bar belongs to, YYYY-MM-DD."""
        return self.local(bar.opened).date().isoformat()

    def published_at(self, date: str) -> int:
        """When a daily bar counts as public, UTC nanoseconds: its market's usual close, on its own local date (so that
        daylight saving is right), and `PUBLISHED_LAG_NS`. Where the usual close is not known, local midnight stands in.
        """
        day = datetime.fromisoformat(date).replace(tzinfo=self.zone)
        end = day + timedelta(days=1)
        if self.session is not None:
            begun, ended = (self.local(moment) for moment in self.session)
            end = day.replace(hour=ended.hour, minute=ended.minute, second=ended.second)
            end += timedelta(days=(ended.date() - begun.date()).days)
        return int(end.astimezone(UTC).timestamp()) * NANOS + PUBLISHED_LAG_NS

    def whole(self, received: int) -> list[Bar]:
        """The bars that will not change any more; the unfinished last one is left out.

        Daily bars are whole once they are public; shorter ones when they begin on the interval's grid (the point that
        Yahoo appends for the last trade does not) and a later bar, the last price or `SETTLED_NS` has passed their end.
        received : receipt time, UTC nanoseconds
        """
        if self.interval_s >= DAY_S:
            return [bar for bar in self.bars if received >= self.published_at(self.date(bar))]
        length = self.interval_s * NANOS
        grid = min(length, _COARSEST_GRID_NS)
        on_grid = [bar for bar in self.bars if bar.opened % grid == 0]
        passed = max(on_grid[-1].opened if on_grid else 0, self.price.at if self.price else 0, received - SETTLED_NS)
        return [bar for bar in on_grid if bar.opened + length <= passed]


def parse_chart(body: bytes) -> Chart:
    """The chart in the body of an answer; ChartError where there is none, whatever its HTTP status was."""
    document = _document(body)
    error = document.chart.error
    if error is not None:
        reason = "unknown_symbol" if error.code in _NOT_FOUND else "chart_error"
        raise ChartError("bad_request" if error.code == "Bad Request" else reason, error.description or error.code)
    if not document.chart.result:
        raise ChartError("unknown_symbol", "an empty result")
    result = document.chart.result[0]
    try:
        return _chart(result)
    except (ValueError, OverflowError, KeyError, OSError) as wrong:
        raise ChartError("malformed_chart", str(wrong)) from wrong


def interval_seconds(name: str) -> int:
    """Seconds of an interval's name: 1m, 60m, 1h, 1d; ValueError for weeks and longer."""
    unit = _UNITS.get(name[-1:])
    if unit is None or not name[:-1].isdecimal():
        raise ValueError(f"{name!r} is not an interval in minutes, hours or days")
    return int(name[:-1]) * unit


def _document(body: bytes) -> Document:
    if not body.lstrip()[:1] == b"{":
        raise ChartError("not_json", body[:80].decode("utf-8", "replace"))
    try:
        return decoded(body)
    except msgspec.ValidationError as error:
        raise ChartError("malformed_chart", str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ChartError("not_json", str(error)) from error


def _chart(result: Result) -> Chart:
    meta = result.meta
    zone = ZoneInfo(meta.exchangeTimezoneName or "UTC")
    interval_s = interval_seconds(meta.dataGranularity or "1d")
    left_out: Counter[str] = Counter()
    bars, adjusted = _bars(result, zone if interval_s >= DAY_S else None, left_out)
    return Chart(
        symbol=meta.symbol,
        currency=meta.currency or "",
        exchange=meta.exchangeName or "",
        kind=meta.instrumentType or "",
        name=meta.longName or meta.shortName or "",
        timezone=meta.exchangeTimezoneName or "UTC",
        interval_s=interval_s,
        bars=bars,
        adjusted=adjusted,
        actions=_actions(result, zone),
        session=_session(meta),
        price=_price(meta),
        left_out=left_out,
    )


def _bars(
    result: Result, daily_in: ZoneInfo | None, left_out: Counter[str]
) -> tuple[tuple[Bar, ...], dict[int, float]]:
    """Bars by opening and adjusted closes. A day that stands twice (its bar and the last price) counts once, as it
    stands last.
    """
    times = result.timestamp or []
    quote = result.indicators.quote[0] if result.indicators.quote else None
    if quote is None or not times:
        return (), {}
    columns = [quote.open, quote.high, quote.low, quote.close, quote.volume]
    if any(column is None or len(column) != len(times) for column in columns):
        raise ValueError("arrays of unequal length")
    adjclose = result.indicators.adjclose[0].adjclose if result.indicators.adjclose else None
    adjusted: list[Any] = adjclose if adjclose is not None and len(adjclose) == len(times) else [None] * len(times)
    found: dict[Any, tuple[Bar, Any]] = {}
    rows = zip(*(column or [] for column in columns), strict=True)
    for at, adjusted_close, row in zip(times, adjusted, rows, strict=True):
        bar = _bar(at, row, left_out)
        if bar is None:
            continue
        key = at if daily_in is None else _local(bar.opened, daily_in).date()
        left_out["repeated"] += key in found
        found[key] = (bar, adjusted_close)
    pairs = sorted(found.values(), key=lambda pair: pair[0].opened)
    return tuple(bar for bar, _ in pairs), {
        bar.opened: float(close) for bar, close in pairs if isinstance(close, float | int)
    }


def _bar(at: int, row: tuple[Any, ...], left_out: Counter[str]) -> Bar | None:
    """The bar, or None with the reason counted. A missing volume is 0: indices and currencies have none."""
    opening, high, low, close, volume = row
    if any(value is None for value in row[:4]):
        left_out["null"] += 1
        return None
    if any(isinstance(value, InexactNumber) for value in row):
        left_out["not_exact_float"] += 1
        return None
    if not all(isinstance(value, float | int) for value in (*row[:4], volume or 0)):
        left_out["bad_bar"] += 1
        return None
    bar = Bar(at * NANOS, float(opening), float(high), float(low), float(close), float(volume or 0))
    if not bar.sound or bar.volume < 0.0 or bar.opened <= 0:
        left_out["bad_bar"] += 1
        return None
    return bar


def _actions(result: Result, zone: ZoneInfo) -> tuple[CorporateAction, ...]:
    """Splits as the factor on prices (4 for 1: 0.25) and dividends as amounts, by date."""
    events = result.events
    if events is None:
        return ()
    found = [
        CorporateAction(_date(split.date, zone), "split", factor=split.denominator / split.numerator)
        for split in (events.splits or {}).values()
        if split.numerator > 0 and split.denominator > 0
    ]
    found += [
        CorporateAction(_date(dividend.date, zone), "dividend", amount=dividend.amount)
        for dividend in (events.dividends or {}).values()
        if dividend.amount > 0
    ]
    return tuple(sorted(found, key=lambda action: (action.date, action.kind)))


def _session(meta: Meta) -> tuple[int, int] | None:
    current = meta.currentTradingPeriod
    if current is None or current.regular is None or current.regular.end <= current.regular.start:
        return None
    return current.regular.start * NANOS, current.regular.end * NANOS


def _price(meta: Meta) -> Price | None:
    last, at = meta.regularMarketPrice, meta.regularMarketTime
    if not isinstance(last, float | int) or at is None:
        return None
    previous = meta.previousClose if meta.previousClose is not None else meta.chartPreviousClose
    return Price(float(last), at * NANOS, _number(meta.regularMarketVolume), _number(previous))


def _number(value: Any) -> float:
    return float(value) if isinstance(value, float | int) else float("nan")


def _date(seconds: int, zone: ZoneInfo) -> str:
    return _local(seconds * NANOS, zone).date().isoformat()


def _local(ns: int, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(ns // NANOS, zone)
