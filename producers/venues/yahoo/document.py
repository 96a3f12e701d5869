"""The shape of Yahoo's chart document; numbers are kept only where their decimal text survives the round trip."""

from typing import Any

import msgspec
import numpy as np

from producers.columns import decimal_float

FLOAT32_DIGITS = 9
"""Digits above which a number may be a float32 that was widened: 266.04 comes as 266.0400085449219."""

_LARGEST = 1e30


class InexactNumber(str):
    """The text of a number that float64 does not hold."""

    __slots__ = ()


class Period(msgspec.Struct):
    """A session, seconds since the epoch."""

    start: int
    end: int


class CurrentPeriods(msgspec.Struct):
    """The current or next sessions."""

    regular: Period | None = None


class Meta(msgspec.Struct):
    """What the chart says of the instrument; names are Yahoo's."""

    symbol: str
    currency: str | None = None
    exchangeName: str | None = None  # noqa: N815
    instrumentType: str | None = None  # noqa: N815
    longName: str | None = None  # noqa: N815
    shortName: str | None = None  # noqa: N815
    exchangeTimezoneName: str | None = None  # noqa: N815
    dataGranularity: str | None = None  # noqa: N815
    currentTradingPeriod: CurrentPeriods | None = None  # noqa: N815
    regularMarketTime: int | None = None  # noqa: N815
    regularMarketPrice: Any = None  # noqa: N815
    regularMarketVolume: Any = None  # noqa: N815
    previousClose: Any = None  # noqa: N815
    chartPreviousClose: Any = None  # noqa: N815


class Quote(msgspec.Struct):
    """Columns of bars; any place may hold null."""

    open: list[Any] | None = None
    high: list[Any] | None = None
    low: list[Any] | None = None
    close: list[Any] | None = None
    volume: list[Any] | None = None


class AdjustedCloses(msgspec.Struct):
    """Closes adjusted for splits and dividends."""

    adjclose: list[Any] | None = None


class Indicators(msgspec.Struct):
    """The chart's columns."""

    quote: list[Quote] = []
    adjclose: list[AdjustedCloses] | None = None


class Dividend(msgspec.Struct):
    """date : seconds since the epoch; amount : per share"""

    date: int
    amount: float


class StockSplit(msgspec.Struct):
    """date : seconds since the epoch; numerator new shares for denominator old ones"""

    date: int
    numerator: float
    denominator: float


class Events(msgspec.Struct):
    """Corporate actions by the text of their date."""

    dividends: dict[str, Dividend] | None = None
    splits: dict[str, StockSplit] | None = None


class Result(msgspec.Struct):
    """One symbol's chart."""

    meta: Meta
    timestamp: list[int] | None = None
    indicators: Indicators = msgspec.field(default_factory=Indicators)
    events: Events | None = None


class Failure(msgspec.Struct):
    """Why there is no chart."""

    code: str = ""
    description: str | None = None


class Body(msgspec.Struct):
    """Result or failure."""

    result: list[Result] | None = None
    error: Failure | None = None


class Document(msgspec.Struct):
    """The whole document."""

    chart: Body


def number(text: str) -> float | InexactNumber:
    """The number a JSON text stands for. A widened float32 becomes the shortest decimal of that float32, which is what
    the venue published; a text that float64 does not hold stays text.
    """
    try:
        value = decimal_float(text)
    except ValueError:
        return InexactNumber(text)
    if len(text) > FLOAT32_DIGITS + 1 and abs(value) < _LARGEST and value % 1.0 and float(np.float32(value)) == value:
        return float(str(np.float32(value)))
    return value


_DECODER = msgspec.json.Decoder(Document, float_hook=number)


def decoded(body: bytes) -> Document:
    """The document; msgspec.DecodeError or msgspec.ValidationError where it is none."""
    return _DECODER.decode(body)
