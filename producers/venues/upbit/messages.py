"""Upbit's messages as typed records: websocket frames, REST lists, errors.

Numbers are JSON numbers, now and then with an exponent (1.16539E8); their text is checked while it is read, and one
that float64 cannot hold becomes NaN.
"""

from typing import Annotated, Any

import msgspec

from producers.venues.coin import exact_or_nan

Millis = Annotated[int, msgspec.Meta(ge=0, lt=10**13)]
Id = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class Unit(msgspec.Struct, gc=False):
    """One level of both sides."""

    ask_price: Any
    bid_price: Any
    ask_size: Any
    bid_size: Any


class Orderbook(msgspec.Struct, tag_field="type", tag="orderbook", gc=False):
    """A whole book. timestamp : UTC ms; level : price grouping, 0 where there is none"""

    code: str
    timestamp: Millis
    orderbook_units: list[Unit]
    stream_type: str = "REALTIME"
    level: Any = 0


class Trade(msgspec.Struct, tag_field="type", tag="trade", gc=False):
    """A trade. ask_bid : side of the order that took, ASK a sale"""

    code: str
    trade_timestamp: Millis
    trade_price: Any
    trade_volume: Any
    ask_bid: str
    sequential_id: Id
    stream_type: str = "REALTIME"


class Ticker(msgspec.Struct, tag_field="type", tag="ticker", gc=False):
    """Last price and the volume since 00:00 UTC."""

    code: str
    timestamp: Millis
    trade_price: Any
    acc_trade_volume: Any
    stream_type: str = "REALTIME"
    market_state: str = "ACTIVE"


class Refusal(msgspec.Struct):
    """What is wrong with a request."""

    name: Any = ""
    message: str = ""


class Notice(msgspec.Struct):
    """A frame without type: an error, or the answer to a ping."""

    error: Refusal | None = None
    status: str = ""
    type: str = ""


class PastTrade(msgspec.Struct, gc=False):
    """A trade of /v1/trades/ticks."""

    timestamp: Millis
    trade_price: Any
    trade_volume: Any
    ask_bid: str
    sequential_id: Id


class Market(msgspec.Struct):
    """A line of /v1/market/all. market_event : warnings, where details were asked for"""

    market: str
    english_name: str = ""
    korean_name: str = ""
    market_event: dict[str, Any] | None = None


class MarketTicker(msgspec.Struct):
    """A line of /v1/ticker. acc_trade_price_24h : KRW traded in 24 hours"""

    market: str
    acc_trade_price_24h: float = 0.0


Frame = Orderbook | Trade | Ticker

FRAMES: msgspec.json.Decoder[Frame] = msgspec.json.Decoder(Frame, float_hook=exact_or_nan)
NOTICES = msgspec.json.Decoder(Notice)
PAST_TRADES = msgspec.json.Decoder(list[PastTrade], float_hook=exact_or_nan)
MARKETS = msgspec.json.Decoder(list[Market])
TICKERS = msgspec.json.Decoder(list[MarketTicker])
