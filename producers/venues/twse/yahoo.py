"""Yahoo's Taiwan quotes as snapshots: the quote document, which has the touch, and the chart, which has none."""

from typing import Any

import msgspec

from producers.base.ladder import Level
from producers.venues.twse.instruments import TPEX, TWSE
from producers.venues.twse.tables import Snapshot, UnreadableError
from producers.venues.yahoo.chart import ChartError, parse_chart
from producers.venues.yahoo.document import number
from tapewatch.clock import NANOS

_VENUES = {"TW": TWSE, "TWO": TPEX}


class _Quote(msgspec.Struct):
    """One symbol of a quote document; names are Yahoo's."""

    symbol: str
    regularMarketTime: int | None = None  # noqa: N815
    regularMarketPrice: Any = None  # noqa: N815
    regularMarketVolume: Any = None  # noqa: N815
    bid: Any = None
    ask: Any = None
    bidSize: Any = None  # noqa: N815
    askSize: Any = None  # noqa: N815


class _Response(msgspec.Struct):
    result: list[msgspec.Raw] | None = None


class _Document(msgspec.Struct):
    quoteResponse: _Response | None = None  # noqa: N815
    chart: msgspec.Raw = msgspec.Raw(b"")


_QUOTE = msgspec.json.Decoder(_Quote, float_hook=number)


def read_quotes(body: bytes) -> list[tuple[bytes, Snapshot | UnreadableError]]:
    """Each symbol's text and what it says; UnreadableError not_json or malformed where the document is neither a quote
    document nor a chart, and the chart's own reason where it has none.
    """
    try:
        document = msgspec.json.decode(body, type=_Document)
    except msgspec.ValidationError as error:
        raise UnreadableError("malformed", str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableError("not_json", str(error)) from error
    if bytes(document.chart):
        return [(body, _of_chart(body))]
    if document.quoteResponse is None or not document.quoteResponse.result:
        raise UnreadableError("no_rows")
    return [(bytes(raw), _of_quote(bytes(raw))) for raw in document.quoteResponse.result]


def _of_chart(body: bytes) -> Snapshot | UnreadableError:
    """Price and volume of the day, without a touch."""
    try:
        chart = parse_chart(body)
        if chart.price is None:
            return UnreadableError("no_price")
        instrument = _instrument(chart.symbol)
    except ChartError as error:
        raise UnreadableError(error.reason, error.detail) from error
    except ValueError as error:
        return UnreadableError("bad_value", str(error))
    price = chart.price
    return _snapshot(instrument, price.at, price.last, price.volume, (), ())


def _of_quote(raw: bytes) -> Snapshot | UnreadableError:
    """Touch, price and volume of the day."""
    try:
        quote = _QUOTE.decode(raw)
        if quote.regularMarketTime is None or quote.regularMarketPrice is None:
            return UnreadableError("no_price")
        return _snapshot(
            _instrument(quote.symbol),
            quote.regularMarketTime * NANOS,
            _number(quote.regularMarketPrice),
            _number(quote.regularMarketVolume),
            _touch(quote.bid, quote.bidSize),
            _touch(quote.ask, quote.askSize),
        )
    except msgspec.DecodeError as error:
        return UnreadableError("malformed", str(error))
    except ValueError as error:
        return UnreadableError("bad_value", str(error))


def _snapshot(
    instrument: str, event: int, last: float, volume: float, bids: tuple[Level, ...], asks: tuple[Level, ...]
) -> Snapshot:
    if not last > 0.0 or event <= 0:
        raise ValueError(f"price {last} at {event}")
    shares = volume if volume > 0.0 else 0.0
    return Snapshot(instrument, event, event // NANOS, shares, last, bids, asks, deep=False)


def _instrument(symbol: str) -> str:
    """The instrument of 2330.TW or 6547.TWO; ValueError for another market's."""
    code, _, suffix = symbol.upper().partition(".")
    if suffix not in _VENUES:
        raise ValueError(f"{symbol!r} is not Taiwanese")
    return f"{code}.{_VENUES[suffix]}"


def _touch(price: Any, size: Any) -> tuple[Level, ...]:
    """One side; a price of 0 stands for none, and a size that Yahoo leaves out is 0: not told."""
    value = _number(price)
    return ((value, max(0.0, _number(size))),) if value > 0.0 else ()


def _number(value: Any) -> float:
    """A number, 0 where it is absent; ValueError for text and for what float64 does not hold."""
    if value is None:
        return 0.0
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} is not a number that float64 holds")
    return float(value)
