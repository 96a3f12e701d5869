"""Coinbase's messages as typed records: Advanced Trade channels, the older level2 messages, REST answers.

Prices and quantities are decimal texts.

Numbers that count the messages of a connection, while an old and a new connection may speak at the same time.
"""

from typing import Annotated

import msgspec

REPEATED = -1
"""Stream of a message that was seen before, or comes after later ones."""


class Sequences:
    """Tells connections apart by where their numbers stand: a message 0 begins a new one.

    newest : stream of the newest connection, -1 before the first message
    """

    def __init__(self) -> None:
        self.newest = -1
        self._next: dict[int, int] = {}

    def take(self, sequence: int) -> tuple[int, int]:
        """The stream a message belongs to and how many before it are missing; REPEATED where it was seen before."""
        for stream, expected in reversed(self._next.items()):
            if sequence == expected:
                self._next[stream] = sequence + 1
                return stream, 0
        behind = [(expected, stream) for stream, expected in self._next.items() if expected < sequence]
        if behind:
            expected, stream = max(behind)
            self._next[stream] = sequence + 1
            return stream, sequence - expected
        if self._next and (sequence or self._next[self.newest] == 1):
            return REPEATED, 0
        # The connection before the newest is kept, as long as it speaks; those before it are gone.
        self.newest += 1
        self._next = {stream: number for stream, number in self._next.items() if stream == self.newest - 1}
        self._next[self.newest] = sequence + 1
        return self.newest, sequence

    def one_left(self, *, newer: bool) -> bool:
        """Of two connections only one speaks any more; whether it is known where that one's numbers stand.

        It is not where the newer one is left and its beginning was never heard, nor where the older one is left after
        the newer one was heard, whose snapshots count.
        """
        both = len(self._next) == 2
        self._next = {stream: number for stream, number in self._next.items() if stream == self.newest}
        return both == newer

    def forget(self) -> None:
        """The connections broke: the next message begins a new one."""
        self._next.clear()


Sequence = Annotated[int, msgspec.Meta(ge=0, le=2**62)]


class LevelUpdate(msgspec.Struct, gc=False):
    """One level; quantity 0 removes it. side : bid or offer"""

    side: str
    price_level: str
    new_quantity: str


class BookEvent(msgspec.Struct, gc=False):
    """Levels of one product. type : snapshot or update"""

    type: str
    product_id: str
    updates: list[LevelUpdate]


class Trade(msgspec.Struct, gc=False):
    """A trade. side : of the order that rested (the maker's)"""

    trade_id: str
    product_id: str
    price: str
    size: str
    side: str
    time: str


class TradesEvent(msgspec.Struct):
    """Trades. type : snapshot (the latest ones) or update"""

    type: str
    trades: list[Trade]


class Ticker(msgspec.Struct, gc=False):
    """Last price and touch."""

    product_id: str
    price: str
    best_bid: str = ""
    best_bid_quantity: str = ""
    best_ask: str = ""
    best_ask_quantity: str = ""


class TickersEvent(msgspec.Struct):
    """Tickers."""

    type: str
    tickers: list[Ticker]


class Product(msgspec.Struct):
    """A product's state. status : online where it trades"""

    id: str
    status: str = "online"


class ProductsEvent(msgspec.Struct):
    """States of products."""

    products: list[Product] = []


class Envelope(msgspec.Struct, tag_field="channel"):
    """What every message has. sequence_num : counts the messages of one connection"""

    sequence_num: Sequence
    timestamp: str


class BookMessage(Envelope, tag="l2_data"):
    """Channel level2."""

    events: list[BookEvent]


class TradesMessage(Envelope, tag="market_trades"):
    """Channel market_trades."""

    events: list[TradesEvent]


class TickerMessage(Envelope, tag="ticker"):
    """Channel ticker."""

    events: list[TickersEvent]


class StatusMessage(Envelope, tag="status"):
    """Channel status."""

    events: list[ProductsEvent]


class Heartbeat(Envelope, tag="heartbeats"):
    """Channel heartbeats."""


class Subscriptions(Envelope, tag="subscriptions"):
    """What the connection is subscribed to."""


class LegacySnapshot(msgspec.Struct, tag_field="type", tag="snapshot"):
    """Whole book of the older level2 channel: price and size."""

    product_id: str
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]

    def event(self) -> BookEvent:
        """The same as the newer channel says it."""
        sides = (("bid", self.bids), ("offer", self.asks))
        updates = [LevelUpdate(side, *level) for side, levels in sides for level in levels]
        return BookEvent("snapshot", self.product_id, updates)


class LegacyUpdate(msgspec.Struct, tag_field="type", tag="l2update"):
    """Changed levels of the older level2 channel: side, price and size."""

    product_id: str
    changes: list[tuple[str, str, str]]
    time: str

    def event(self) -> BookEvent:
        """The same as the newer channel says it."""
        return BookEvent("update", self.product_id, [LevelUpdate(*change) for change in self.changes])


class LegacyError(msgspec.Struct, tag_field="type", tag="error"):
    """What is wrong with a request."""

    message: str = ""


class LegacySubscriptions(msgspec.Struct, tag_field="type", tag="subscriptions"):
    """What the connection is subscribed to."""


class Notice(msgspec.Struct):
    """What tells apart a message that fits none of these."""

    channel: str = ""
    type: str = ""


class PastTrades(msgspec.Struct):
    """Answer of /market/products/{id}/ticker."""

    trades: list[Trade]


class ListedProduct(msgspec.Struct):
    """A line of /market/products."""

    product_id: str
    base_currency_id: str = ""
    quote_currency_id: str = ""
    display_name: str = ""
    quote_increment: str = ""
    price_increment: str = ""
    base_increment: str = ""
    product_type: str = "SPOT"
    status: str = "online"
    trading_disabled: bool = False
    is_disabled: bool = False
    view_only: bool = False
    auction_mode: bool = False
    approximate_quote_24h_volume: str = ""
    alias: str = ""


class ListedProducts(msgspec.Struct):
    """Answer of /market/products."""

    products: list[ListedProduct]


Message = BookMessage | TradesMessage | TickerMessage | StatusMessage | Heartbeat | Subscriptions
Legacy = LegacySnapshot | LegacyUpdate | LegacyError | LegacySubscriptions

MESSAGES: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)
LEGACY: msgspec.json.Decoder[Legacy] = msgspec.json.Decoder(Legacy)
NOTICES = msgspec.json.Decoder(Notice)
PAST_TRADES = msgspec.json.Decoder(PastTrades)
PRODUCTS = msgspec.json.Decoder(ListedProducts)
CHANNELS = ("l2_data", "market_trades", "ticker", "status", "heartbeats", "subscriptions")
TYPES = ("snapshot", "l2update", "error", "subscriptions")
