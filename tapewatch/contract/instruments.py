"""Reference data: instrument ids, tick tables, lots, sessions; the compacted topic `instruments` holds one record an
id.
"""

import re
from decimal import Decimal

import msgspec

INSTRUMENT_ID = re.compile(r"[A-Z0-9][A-Z0-9_&-]{0,39}\.[A-Z][A-Z0-9]{1,19}")
"""`SYMBOL.VENUE`: the venue an ISO 10383 MIC where one exists, the product in the symbol."""


class Tick(msgspec.Struct, frozen=True):
    """One row of a tick table: from `price` on (inclusive) the tick size is `size`."""

    price: float
    size: float


class Session(msgspec.Struct, frozen=True):
    """Trading hours: local opening and closing time (HH:MM) in an IANA time zone; empty open and close mean around the
    clock.
    """

    timezone: str = "UTC"
    open: str = ""
    close: str = ""


class CorporateAction(msgspec.Struct, frozen=True):
    """A split or dividend: from the ISO date on, prices are multiplied by `factor` (split) or lowered by `amount`
    (dividend).
    """

    date: str
    kind: str
    factor: float = 1.0
    amount: float = 0.0


class Instrument(msgspec.Struct, frozen=True):
    """Reference data of one instrument.

    id : `SYMBOL.VENUE`; currency : ISO 4217 or the quote asset; lot : units a board lot
    kind : share, etf, spot, perpetual, future, index, currency
    price_limit : daily limit as a fraction of the previous close, 0 where there is none
    registered_at : UTC nanoseconds of first registration by the clock of who registered it, kept for good; from when on
        rows count, the registry's marks say
    provisional : who registered an id that appeared in its data, without reference data of the venue; else empty
    """

    id: str
    name: str = ""
    currency: str = ""
    kind: str = "share"
    ticks: tuple[Tick, ...] = ()
    lot: float = 1.0
    session: Session = Session()
    price_limit: float = 0.0
    actions: tuple[CorporateAction, ...] = ()
    registered_at: int = 0
    provisional: str = ""


def is_instrument_id(text: str) -> bool:
    """Whether `text` is a well-formed instrument id."""
    return INSTRUMENT_ID.fullmatch(text) is not None


def exact_float(text: str) -> float:
    """The float64 of a decimal text, only when the text survives the round trip; ValueError otherwise.

    >>> exact_float("0.10")
    0.1
    """
    value = float(text)
    if not value - value == 0.0:
        raise ValueError(f"{text!r} is not a finite number")
    if Decimal(repr(value)) != Decimal(text):
        raise ValueError(f"{text!r} does not survive the float64 round trip")
    return value
