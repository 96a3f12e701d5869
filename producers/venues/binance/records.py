"""Binance's messages as typed records: what a stream or an answer must hold to give rows."""

from typing import Annotated

import msgspec

LARGEST = 2**63 - 1
LATEST_MS = 9 * 10**12

Texts = list[tuple[str, str]]
UpdateId = Annotated[int, msgspec.Meta(ge=0, le=LARGEST)]
TradeId = Annotated[int, msgspec.Meta(ge=0, le=LARGEST)]


class RecordRefusedError(Exception):
    """A record that gives no row; `args[0]` is the reason code."""


class Frame(msgspec.Struct):
    """A combined-stream frame, an answer to a command (`id`, `result`, `error`), or in recordings a REST snapshot."""

    stream: str = ""
    data: msgspec.Raw = msgspec.Raw()
    lastUpdateId: int = -1  # noqa: N815
    id: int | str | None = None
    error: msgspec.Raw = msgspec.Raw()


class Snapshot(msgspec.Struct):
    """REST depth: levels as (price, quantity) texts, best first."""

    lastUpdateId: UpdateId  # noqa: N815
    bids: Texts
    asks: Texts
    E: int = 0
    T: int = 0


class Depth(msgspec.Struct):
    """A depth event: the update ids it spans, and absolute quantities by price."""

    s: str
    E: int
    U: UpdateId
    u: UpdateId
    b: Texts
    a: Texts
    T: int = 0
    pu: int = -1


class BookTicker(msgspec.Struct):
    """The best quotes after update `u`."""

    s: str
    u: UpdateId
    b: str
    B: str
    a: str
    A: str
    T: int = 0
    E: int = 0


class Trade(msgspec.Struct):
    """A trade; `m`: the buyer is the maker. X : MARKET on futures unless it is insurance fund or deleveraging"""

    s: str
    t: TradeId
    p: str
    q: str
    T: int
    m: bool
    X: str = "MARKET"


class AggregateTrade(msgspec.Struct):
    """Trades of one order at one price as one. f, l : first and last trade id"""

    s: str
    a: TradeId
    p: str
    q: str
    T: int
    m: bool


class FetchedTrade(msgspec.Struct):
    """A trade from the REST interface."""

    id: TradeId
    price: str
    qty: str
    time: int
    isBuyerMaker: bool  # noqa: N815


class FetchedAggregate(msgspec.Struct):
    """An aggregate trade from the REST interface."""

    a: TradeId
    p: str
    q: str
    T: int
    m: bool


def nanoseconds(stamp: int) -> int:
    """A venue time in milliseconds, or in microseconds where the stream was asked for them, as nanoseconds."""
    if 0 <= stamp < LATEST_MS:
        return stamp * 1_000_000
    if LATEST_MS * 100 < stamp < LATEST_MS * 1_000:
        return stamp * 1_000
    raise RecordRefusedError("malformed_record")
