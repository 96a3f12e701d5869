"""Which instruments belong together: those of one base asset, and an equity with what is derived from it.

The rule, in this order. A symbol's product suffix (`-PERP`, `-F202612`) and leading multiplier (`1000PEPE`) go. A
coin's symbol is split into base and quote asset: at the dash, where Upbit alone writes the quote first, or at the
currency that it ends with; what remains is the base asset, the same on every venue. Everything else is its symbol up
to the first dash, within its currency, so that a ticker of another country is another neighbourhood; where no reference
data says the currency, within its venue.
"""

import re

from tapewatch.instruments import Instrument

COIN_KINDS = ("spot", "perpetual")
QUOTE_FIRST = ("UPBIT",)
QUOTES = ("FDUSD", "USDT", "USDC", "TUSD", "BUSD", "USD", "EUR", "GBP", "TRY", "KRW", "JPY", "BTC", "ETH", "BNB")
"""Quote assets by which a coin's symbol is cut where no reference data says its own; longer ones first."""

_PRODUCT = re.compile(r"-(PERP|SWAP|FUT|F?\d{4,8})$")
_MULTIPLIER = re.compile(r"^10{3,6}(?=[A-Z])")
_MIC = re.compile(r"[A-Z][A-Z0-9]{3}")


def neighbourhood(instrument: str, reference: Instrument | None) -> str:
    """The name of an instrument's neighbourhood: `coin:BTC`, `share:2330/TWD`, `share:2330.XTAI`.

    reference : the instrument's reference data; None where there is none
    """
    symbol, _, venue = instrument.rpartition(".")
    currency = reference.currency if reference else ""
    if _is_coin(venue, reference):
        return f"coin:{_base(_PRODUCT.sub('', symbol), venue, currency)}"
    root = symbol.partition("-")[0]
    return f"share:{root}/{currency}" if currency else f"share:{root}.{venue}"


def _is_coin(venue: str, reference: Instrument | None) -> bool:
    """By its kind; without reference data, by a venue that has no four-letter market identifier code."""
    return reference.kind in COIN_KINDS if reference else _MIC.fullmatch(venue) is None


def _base(symbol: str, venue: str, currency: str) -> str:
    """The base asset of a coin's symbol."""
    first, dash, second = symbol.partition("-")
    if dash:
        quote_first = venue in QUOTE_FIRST or (bool(currency) and first == currency)
        symbol = second if quote_first else first
    else:
        symbol = _cut(symbol, currency)
    return _MULTIPLIER.sub("", symbol)


def _cut(symbol: str, currency: str) -> str:
    """A symbol without the quote asset at its end."""
    for quote in ((currency,) if currency else ()) + QUOTES:
        if symbol.endswith(quote) and symbol != quote:
            return symbol.removesuffix(quote)
    return symbol
