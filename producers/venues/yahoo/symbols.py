"""Yahoo's symbols and ours: 2330.TW is 2330.XTAI, AAPL of NMS is AAPL.XNAS, ^GSPC is GSPC-INDEX.YAHOO.

Reference data that charts tell: name, currency, session, splits and dividends.

Asking Yahoo for charts.
"""

import re
from urllib.parse import quote

import msgspec

from producers.base.answers import Answer, HttpError
from producers.base.decoder import DecoderRequest
from producers.base.http import Http
from producers.venues.yahoo.chart import Chart
from tapewatch.clock import NANOS
from tapewatch.contract.instruments import CorporateAction, Instrument, Session, is_instrument_id
from tapewatch.errors import TapewatchError

CHART = "/v8/finance/chart/"
INTRADAY_DAYS = {"1m": 7, "2m": 60, "5m": 60, "15m": 60, "30m": 60, "60m": 730, "1h": 730}
"""Days of one request at most, by interval (those of 1m reach back 30 days, the others as far as here)."""


async def chart(
    http: Http, symbol: str, interval: str, start: int, end: int, want: DecoderRequest | None = None
) -> Answer:
    """The answer for a symbol's bars of [start, end), UTC nanoseconds, with splits and dividends.

    An unknown symbol comes as HTTP 404 with a document that says so: an answer whose receipt time is 0. HttpError where
    the venue does not answer.
    """
    params = {
        "period1": str(start // NANOS),
        "period2": str(end // NANOS),
        "interval": interval,
        "events": "div,split",
        "includePrePost": "false",
    }
    try:
        return await http.get(CHART + quote(symbol, safe="=-."), params, want=want)
    except HttpError as error:
        if error.status in (400, 404, 422) and error.body.lstrip()[:1] == b"{":
            return Answer(error.status, {}, error.body, 0, 0)
        raise


OWN = "YAHOO"
"""Venue of what Yahoo shows without a market of its own: indices, futures, currencies, crypto pairs."""

MARKETS = {
    "TW": "XTAI",
    "TWO": "ROCO",
    "KS": "XKRX",
    "KQ": "XKOS",
    "T": "XTKS",
    "HK": "XHKG",
    "SS": "XSHG",
    "SZ": "XSHE",
    "SI": "XSES",
    "AX": "XASX",
    "NS": "XNSE",
    "BO": "XBOM",
    "L": "XLON",
    "DE": "XETR",
    "PA": "XPAR",
    "AS": "XAMS",
    "MI": "XMIL",
    "SW": "XSWX",
    "ST": "XSTO",
    "TO": "XTSE",
    "SA": "BVMF",
}
"""A symbol's suffix -> ISO 10383 market."""

EXCHANGES = {
    "NMS": "XNAS",
    "NGM": "XNAS",
    "NCM": "XNAS",
    "NAS": "XNAS",
    "NYQ": "XNYS",
    "NYS": "XNYS",
    "PCX": "ARCX",
    "ASE": "XASE",
    "BTS": "BATS",
    "PNK": "OTCM",
}
"""`meta.exchangeName` of a symbol without a suffix -> ISO 10383 market."""

_SUFFIXES = {market: suffix for suffix, market in MARKETS.items()}
_BARE = frozenset(EXCHANGES.values())
_KINDS = {"INDEX": "index", "FUTURE": "future", "CURRENCY": "currency", "ETF": "etf", "CRYPTOCURRENCY": "spot"}
_CURRENCIES = {"GBp": "GBX", "ILA": "ILX", "ZAc": "ZAX"}
"""Hundredths of a currency, which ISO 4217 does not name."""
_OWN_FORMS = (
    (re.compile(r"\^(?P<name>.+)"), "-INDEX", "^{}"),
    (re.compile(r"(?P<name>.+)=F"), "-FUT", "{}=F"),
    (re.compile(r"(?P<name>.+)=X"), "-FX", "{}=X"),
)


def instrument_of(symbol: str, exchange: str = "") -> str:
    """Our id of a Yahoo symbol. exchange : `meta.exchangeName`, which a symbol without a suffix needs

    TapewatchError where there is no well-formed id. A market that is not in `MARKETS` stays part of the symbol.
    """
    name, suffix = _split(symbol)
    for form, ending, _ in _OWN_FORMS:
        found = form.fullmatch(symbol)
        if found:
            name, market = f"{found['name']}{ending}", OWN
            break
    else:
        market = MARKETS.get(suffix, "") if suffix else EXCHANGES.get(exchange, OWN)
        if not market:
            name, market = f"{name}-{suffix}", OWN
    instrument = f"{name.replace('.', '-')}.{market}"
    if not is_instrument_id(instrument):
        raise TapewatchError(f"no instrument id for the symbol {symbol!r}", "Write it as Yahoo does, such as 2330.TW.")
    return instrument


def symbol_of(instrument: str) -> str:
    """Yahoo's symbol of our id; TapewatchError for a market that Yahoo's symbols do not tell."""
    name, _, market = instrument.rpartition(".")
    if market == OWN:
        for _, ending, pattern in _OWN_FORMS:
            if name.endswith(ending):
                return pattern.format(name.removesuffix(ending))
        return name
    if market in _BARE:
        return name
    if market in _SUFFIXES:
        return f"{name}.{_SUFFIXES[market]}"
    raise TapewatchError(f"Yahoo has no symbol for {instrument}", "Name a market of docs/venues/yahoo.md.")


def yahoo_symbol(text: str) -> str:
    """A symbol as the user wrote it, in Yahoo's form: our ids are turned into it, anything else is taken as it is."""
    _, _, market = text.rpartition(".")
    return symbol_of(text) if market == OWN or market in _BARE or market in _SUFFIXES else text


def kind_of(instrument_type: str) -> str:
    """Our kind of `meta.instrumentType`; share where it is none of the others."""
    return _KINDS.get(instrument_type, "share")


def currency_of(text: str) -> str:
    """ISO 4217 code; pence and the like keep a code of their own, so that nobody takes them for pounds."""
    return _CURRENCIES.get(text, text)


def _split(symbol: str) -> tuple[str, str]:
    name, dot, suffix = symbol.rpartition(".")
    return (name, suffix) if dot else (symbol, "")


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
