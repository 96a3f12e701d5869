"""What Kiwoom lists (ka10099): KOSPI and KOSDAQ."""

from collections.abc import Iterator
from typing import Any

import msgspec

from producers.base.universe import Listing
from tapewatch.contract.instruments import Instrument, Session, Tick, is_instrument_id

MARKETS = {"0": "XKRX", "10": "XKOS"}
"""Kiwoom's number of a market -> ISO 10383: KOSPI and KOSDAQ."""
_SESSION = Session("Asia/Seoul", "09:00", "15:30")
_STEPS = ((0, 1), (2_000, 5), (5_000, 10), (20_000, 50), (50_000, 100), (200_000, 500), (500_000, 1_000))
TICKS = tuple(Tick(float(price), float(size)) for price, size in _STEPS)
"""KRX shares since 2023-01-25."""
PRICE_LIMIT = 0.3


class _Page(msgspec.Struct):
    rows: list[dict[str, Any]] = msgspec.field(name="list", default_factory=list)


def instrument(code: str, market: str, name: str = "") -> Instrument:
    """Reference data of a share."""
    return Instrument(
        f"{code}.{market}",
        name or code,
        "KRW",
        "share",
        TICKS,
        session=_SESSION,
        price_limit=PRICE_LIMIT,
    )


def listings(body: bytes, market: str) -> Iterator[Listing]:
    """The listings of a page; msgspec.MsgspecError where it is none. Codes that are no ids of ours are left out."""
    for row in msgspec.json.decode(body, type=_Page).rows:
        code = str(row.get("code", "")).strip()
        fresh = instrument(code, market, str(row.get("name", "")).strip())
        if is_instrument_id(fresh.id):
            halted = "거래정지" in str(row.get("state", ""))
            traits = {"market": str(row.get("marketName", "")).strip() or market}
            yield Listing(code, fresh, trading=not halted, traits=traits)
