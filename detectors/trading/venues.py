"""Venue rules as data: tick tables, lots, fees and taxes. docs/trading.md names the source of each row."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

Bands = tuple[tuple[str, str], ...]
"""(from this price on, inclusive; tick size), ascending, as decimal texts."""


class VenueRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How an instrument is traded. Amounts are decimal texts, rates parts per million of the value traded.

    bands : tick table; lot : quantity step; least_value : smallest order value, 0 for none
    maker_ppm, taker_ppm : fee of a fill that rested in the book, and of one that took from it
    sell_tax_ppm : tax on what is sold; fee_unit : fees and taxes of an order are rounded up to it, empty for not at all
    least_fee : smallest fee of an order that traded; shorting : whether more may be sold than is held
    """

    venue: str
    currency: str
    bands: Bands
    lot: str
    maker_ppm: int
    taker_ppm: int
    sell_tax_ppm: int = 0
    fee_unit: str = ""
    least_fee: str = "0"
    least_value: str = "0"
    shorting: bool = False


TWSE_SHARE: Bands = (("0", "0.01"), ("10", "0.05"), ("50", "0.1"), ("100", "0.5"), ("500", "1"), ("1000", "5"))
TWSE_ETF: Bands = (("0", "0.01"), ("50", "0.05"))
KRX: Bands = (
    ("0", "1"), ("2000", "5"), ("5000", "10"), ("20000", "50"), ("50000", "100"), ("200000", "500"), ("500000", "1000"),
)  # fmt: skip
KRX_UNTIL_2023: Bands = (
    ("0", "1"), ("1000", "5"), ("5000", "10"), ("10000", "50"), ("50000", "100"), ("100000", "500"), ("500000", "1000"),
)  # fmt: skip
KRX_CHANGED = "2023-01-25"
KRX_TAX_PPM = (
    ("2026-01-01", 2000), ("2025-01-01", 1500), ("2024-01-01", 1800), ("2023-01-01", 2000), ("2021-01-01", 2300),
    ("2019-06-03", 2500), ("", 3000),
)  # fmt: skip
"""Tax on selling a Korean share, with the special tax for rural development, from a day on, newest first."""
UPBIT_KRW: Bands = (
    ("0", "0.00000001"), ("0.00001", "0.0000001"), ("0.0001", "0.000001"), ("0.001", "0.00001"), ("0.01", "0.0001"),
    ("0.1", "0.001"), ("1", "0.01"), ("10", "0.1"), ("100", "1"), ("5000", "5"), ("10000", "10"), ("50000", "50"),
    ("100000", "100"), ("500000", "500"), ("1000000", "1000"),
)  # fmt: skip

TWSE = VenueRules("XTAI", "TWD", TWSE_SHARE, "1000", 1425, 1425, 3000, "1", "20")
"""Board lots; brokerage at the highest rate that the exchange allows, with the usual least fee of 20 dollars."""
KRX_SHARE = VenueRules("XKRX", "KRW", KRX, "1", 150, 150, 2000, "1")
UPBIT = VenueRules("UPBIT", "KRW", UPBIT_KRW, "0.00000001", 500, 500, least_value="5000")
BINANCE = VenueRules("BINANCE", "USDT", (("0", "0.01"),), "0.00001", 1000, 1000, least_value="5")
"""BTCUSDT's filters; other symbols' come from `binance_rules`."""
GENERAL = VenueRules("", "", (("0", "0.01"),), "1", 1000, 1000)
"""Of a venue without rules of its own: 0.1 % a side."""

VENUES: Mapping[str, VenueRules] = {
    "XTAI": TWSE,
    "ROCO": msgspec.structs.replace(TWSE, venue="ROCO"),
    "XKRX": KRX_SHARE,
    "XKOS": msgspec.structs.replace(KRX_SHARE, venue="XKOS"),
    "UPBIT": UPBIT,
    "BINANCE": BINANCE,
}


def rules_of(instrument: str, kind: str = "share", day: str = "9999-12-31") -> VenueRules:
    """Rules of an instrument id `SYMBOL.VENUE` on an ISO day.

    kind : as reference data has it; a perpetual may be sold short, and an ETF has the exchange's table for ETFs and, in
    Taiwan, a tax of 0.1 %
    """
    venue = instrument.rpartition(".")[2]
    rules = VENUES.get(venue) or msgspec.structs.replace(GENERAL, venue=venue)
    if venue in ("XKRX", "XKOS"):
        tax = next(ppm for since, ppm in KRX_TAX_PPM if day >= since)
        bands = KRX_UNTIL_2023 if day < KRX_CHANGED else KRX
        return msgspec.structs.replace(rules, bands=bands, sell_tax_ppm=tax)
    if venue in ("XTAI", "ROCO") and kind == "etf":
        return msgspec.structs.replace(rules, bands=TWSE_ETF, sell_tax_ppm=1000)
    return msgspec.structs.replace(rules, shorting=True) if kind in ("perpetual", "future") else rules


def with_reference(rules: VenueRules, ticks: Sequence[tuple[str, str]], lot: str) -> VenueRules:
    """The rules with an instrument's own tick table (none: the venue's) and lot, from its reference data."""
    return msgspec.structs.replace(rules, bands=tuple(ticks) or rules.bands, lot=lot)


def binance_rules(filters: Sequence[Mapping[str, Any]], rules: VenueRules = BINANCE) -> VenueRules:
    """The rules with a symbol's filters, as `GET /api/v3/exchangeInfo` lists them.

    PRICE_FILTER, LOT_SIZE and NOTIONAL or MIN_NOTIONAL are read; KeyError where one of the first two is missing.
    """
    by_type = {str(each["filterType"]): each for each in filters}
    notional = by_type.get("NOTIONAL") or by_type.get("MIN_NOTIONAL") or {"minNotional": "0"}
    return msgspec.structs.replace(
        rules,
        bands=(("0", plain(by_type["PRICE_FILTER"]["tickSize"])),),
        lot=plain(by_type["LOT_SIZE"]["stepSize"]),
        least_value=plain(notional["minNotional"]),
    )


def plain(text: str) -> str:
    """A decimal text without zeros at the end of its fraction.

    >>> plain("0.01000000")
    '0.01'
    """
    return text.rstrip("0").rstrip(".") if "." in text else text
