"""Yahoo's symbols and ours: 2330.TW is 2330.XTAI, AAPL of NMS is AAPL.XNAS, ^GSPC is GSPC-INDEX.YAHOO."""

import re

from tapewatch.contract.instruments import is_instrument_id
from tapewatch.errors import TapewatchError

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
