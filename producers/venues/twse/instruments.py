"""Taiwan's instruments: ids, how MIS and Yahoo call them, tick tables and lots."""

from collections.abc import Iterable

from tapewatch.contract.instruments import Instrument, Session, Tick, is_instrument_id
from tapewatch.errors import TapewatchError

LOT = 1_000
"""Shares a board lot."""
TIMEZONE = "Asia/Taipei"
SESSION = Session(TIMEZONE, "09:00", "13:30")
TWSE, TPEX = "XTAI", "ROCO"
"""Venue codes (ISO 10383) of the exchange and of the over-the-counter market."""
SHARE_TICKS = tuple(
    Tick(price, size)
    for price, size in ((0.0, 0.01), (10.0, 0.05), (50.0, 0.1), (100.0, 0.5), (500.0, 1.0), (1000.0, 5.0))
)
FUND_TICKS = (Tick(0.0, 0.01), Tick(50.0, 0.05))

_MARKETS = {TWSE: "tse", TPEX: "otc"}
_VENUES = {market: venue for venue, market in _MARKETS.items()}
_SUFFIXES = {TWSE: "TW", TPEX: "TWO"}


def instrument_id(code: str, market: str) -> str:
    """The id of a code on MIS's market `tse` or `otc`; ValueError where there is none."""
    venue = _VENUES.get(market)
    if venue is None:
        raise ValueError(f"unknown market {market!r}")
    found = f"{code.upper()}.{venue}"
    if not is_instrument_id(found):
        raise ValueError(f"{code!r} is not a code")
    return found


def mis_channel(instrument: str) -> str:
    """How MIS calls an instrument.

    >>> mis_channel("6547.ROCO")
    'otc_6547.tw'
    """
    code, _, venue = instrument.partition(".")
    return f"{_MARKETS[venue]}_{code}.tw"


def yahoo_symbol(instrument: str) -> str:
    """How Yahoo calls an instrument.

    >>> yahoo_symbol("6547.ROCO")
    '6547.TWO'
    """
    code, _, venue = instrument.partition(".")
    return f"{code}.{_SUFFIXES[venue]}"


def asked_for(texts: Iterable[str]) -> list[str]:
    """Instrument ids of what a user wrote: `2330`, `2330.XTAI`, `2330.TW`, `6547.TWO` or `otc_6547.tw`.

    A code alone is the exchange's. TapewatchError for anything else.
    """
    return list(dict.fromkeys(_asked(text.strip()) for text in texts if text.strip()))


def _asked(text: str) -> str:
    market, _, rest = text.lower().rpartition("_")
    code, _, suffix = rest.upper().partition(".")
    venues = {"": TWSE, "TW": TWSE, "TWO": TPEX, TWSE: TWSE, TPEX: TPEX}
    venue = _VENUES.get(market) if market else venues.get(suffix)
    if venue is None or not is_instrument_id(f"{code}.{venue}"):
        raise TapewatchError(f"{text!r} is not a Taiwanese symbol", "Write 2330.XTAI (exchange) or 6547.ROCO (TPEx).")
    return f"{code}.{venue}"


def taiwan_instrument(instrument: str, name: str = "", price_limit: float = 0.1) -> Instrument:
    """Reference data of an id; funds are told by their codes, which begin with 00."""
    code = instrument.partition(".")[0]
    fund = code.startswith("00")
    return Instrument(
        id=instrument,
        name=name or code,
        currency="TWD",
        kind="etf" if fund else "share",
        ticks=FUND_TICKS if fund else SHARE_TICKS,
        lot=float(LOT),
        session=SESSION,
        price_limit=price_limit,
    )
