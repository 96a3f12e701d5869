"""Kraken's messages (websocket version 2) as typed records.

Prices and quantities are JSON numbers of full precision; their text is checked while it is read, and one that float64
cannot hold becomes NaN. REST answers write them as text.
"""

from typing import Annotated, Any

import msgspec

from producers.venues.coin import exact_or_nan

Id = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class Level(msgspec.Struct, gc=False):
    """One level; quantity 0 removes it."""

    price: Any
    qty: Any


class Book(msgspec.Struct, gc=False):
    """Levels of a snapshot, or changed ones, and the checksum of the book with them."""

    symbol: str
    checksum: int
    bids: list[Level] = []
    asks: list[Level] = []
    timestamp: str = ""


class Trade(msgspec.Struct, gc=False):
    """A trade. side : of the order that took; trade_id : counted one by one in each book"""

    symbol: str
    side: str
    price: Any
    qty: Any
    trade_id: Id
    timestamp: str


class Ticker(msgspec.Struct, gc=False):
    """The touch and the last price."""

    symbol: str
    bid: Any
    bid_qty: Any
    ask: Any
    ask_qty: Any
    last: Any
    timestamp: str = ""


class Pair(msgspec.Struct):
    """Reference data of one book."""

    symbol: str
    status: str
    price_precision: int
    qty_precision: int


class Pairs(msgspec.Struct):
    """All books."""

    pairs: list[Pair]


class System(msgspec.Struct):
    """State of the whole exchange."""

    system: str = "online"


class BookMessage(msgspec.Struct, tag_field="channel", tag="book"):
    """Channel `book`."""

    type: str
    data: list[Book]


class TradeMessage(msgspec.Struct, tag_field="channel", tag="trade"):
    """Channel `trade`."""

    type: str
    data: list[Trade]


class TickerMessage(msgspec.Struct, tag_field="channel", tag="ticker"):
    """Channel `ticker`."""

    type: str
    data: list[Ticker]


class InstrumentMessage(msgspec.Struct, tag_field="channel", tag="instrument"):
    """Channel `instrument`."""

    type: str
    data: Pairs


class StatusMessage(msgspec.Struct, tag_field="channel", tag="status"):
    """Channel `status`."""

    type: str
    data: list[System]


class Heartbeat(msgspec.Struct, tag_field="channel", tag="heartbeat"):
    """Channel `heartbeat`: the connection is alive though nothing happens."""


class Notice(msgspec.Struct):
    """A message without a channel that gives rows: the answer to a request."""

    method: str = ""
    success: bool = True
    error: str = ""
    channel: str = ""


class TradesAnswer(msgspec.Struct):
    """Answer of /0/public/Trades: per pair [price, qty, seconds, side, order type, extra, trade id]; last : UTC ns"""

    error: list[str] = []
    result: dict[str, Any] = {}


class AssetPair(msgspec.Struct):
    """A line of /0/public/AssetPairs. wsname : name of the websocket, with XBT for BTC and XDG for DOGE"""

    wsname: str = ""
    pair_decimals: int = 0
    lot_decimals: int = 8
    quote: str = ""
    status: str = "online"
    tick_size: str = ""
    ordermin: str = ""


class AssetPairsAnswer(msgspec.Struct):
    """Answer of /0/public/AssetPairs."""

    error: list[str] = []
    result: dict[str, AssetPair] = {}


class DayTicker(msgspec.Struct):
    """A line of /0/public/Ticker. v : volume today and in 24 hours; p : average price of both"""

    v: list[str] = []
    p: list[str] = []


class DayTickersAnswer(msgspec.Struct):
    """Answer of /0/public/Ticker."""

    error: list[str] = []
    result: dict[str, DayTicker] = {}


Message = BookMessage | TradeMessage | TickerMessage | InstrumentMessage | StatusMessage | Heartbeat

MESSAGES: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message, float_hook=exact_or_nan)
NOTICES = msgspec.json.Decoder(Notice)
TRADES_ANSWERS = msgspec.json.Decoder(TradesAnswer, float_hook=str)
ASSET_PAIRS = msgspec.json.Decoder(AssetPairsAnswer)
DAY_TICKERS = msgspec.json.Decoder(DayTickersAnswer)
TEXTS = msgspec.json.Decoder(BookMessage, float_hook=str)
"""Book messages whose numbers stay text, to see at which precision they are written."""
