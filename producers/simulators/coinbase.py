"""Coinbase on loopback: Advanced Trade channels, every message of a connection numbered."""

from collections.abc import Sequence
from typing import Any

import msgspec
from aiohttp import web

from producers.simulators.answers import json_answer
from producers.simulators.catalogue import SimulatorOptions
from producers.simulators.coins import CoinVenue
from producers.simulators.connection import Connection
from producers.simulators.market import MarketBook, MarketTrade, Ticks
from tapewatch.clock import NANOS
from tapewatch.rfc3339 import to_rfc3339

CHANNELS = {"level2": "l2_data", "market_trades": "market_trades", "ticker": "ticker", "status": "status"}
"""Channel as it is asked for -> as its messages call it."""
SNAPSHOT_TRADES = 50


class CoinbaseVenue(CoinVenue):
    """Spot products."""

    name = "coinbase"

    def __init__(self, symbols: Sequence[str], **options: Any) -> None:
        super().__init__(symbols, **options)
        self._asked: dict[Connection, dict[str, set[str]]] = {}
        self._next: dict[Connection, int] = {}
        self._told: dict[str, tuple[Ticks, Ticks]] = {}
        self._states = dict.fromkeys(symbols, "online")
        self._beats: dict[Connection, int] = {}

    def rest(self) -> list[web.RouteDef]:
        """Products and latest trades."""
        return [
            web.get("/api/v3/brokerage/market/products", self._products),
            web.get("/api/v3/brokerage/market/products/{product}/ticker", self._past),
        ]

    def closed(self, connection: Connection) -> None:
        """A client has gone."""
        super().closed(connection)
        for kept in (self._asked, self._next, self._beats):
            kept.pop(connection, None)

    async def received(self, connection: Connection, data: str | bytes) -> None:
        """Subscribe or unsubscribe."""
        try:
            request = msgspec.json.decode(data, type=dict[str, Any])
            kind, channel = request["type"], request["channel"]
        except (msgspec.MsgspecError, KeyError):
            connection.send(b'{"type":"error","message":"failure to parse"}', "error")
            return
        if channel == "heartbeats":
            self._beats[connection] = 0
        elif channel not in CHANNELS:
            connection.send(b'{"type":"error","message":"channel not supported"}', "error")
            return
        asked = self._asked.setdefault(connection, {})
        products = [name for name in request.get("product_ids", []) if name in self.market.books]
        if kind == "unsubscribe":
            asked.get(channel, set()).difference_update(products)
        else:
            asked.setdefault(channel, set()).update(products)
        held = {name: sorted(symbols) for name, symbols in asked.items()}
        self._say(connection, "subscriptions", "", [{"subscriptions": held}])
        if kind == "subscribe":
            for name in products:
                self._begin(connection, channel, self.market.books[name])

    def changed(self, book: MarketBook) -> None:
        """The levels that changed."""
        before, after = self._told.get(book.symbol), book.levels()
        self._told[book.symbol] = after
        if before is not None:
            updates = [_changes(old, new) for old, new in zip(before, after, strict=True)]
            event = self._book("update", book, updates[0], updates[1])
            for connection in self._listeners("level2", book.symbol):
                self._say(connection, "level2", book.symbol, [event])

    def traded(self, book: MarketBook, trade: MarketTrade) -> None:
        """A trade and the ticker after it."""
        event = {"type": "update", "trades": [self._trade(book, trade, self.server.now())]}
        for connection in self._listeners("market_trades", book.symbol):
            self._say(connection, "market_trades", book.symbol, [event])
        for connection in self._listeners("ticker", book.symbol):
            self._say(connection, "ticker", book.symbol, [self._ticker("update", book)])

    def state(self, symbol: str, *, trading: bool) -> None:
        """Products' states."""
        for name in [symbol] if symbol else list(self._states):
            self._states[name] = "online" if trading else "delisted" if symbol else "offline"
        for connection, asked in self._asked.items():
            products = [{"id": name, "status": self._states[name]} for name in sorted(asked.get("status", ()))]
            self._say(connection, "status", "", [{"type": "update", "products": products}])

    def beat(self, connection: Connection) -> None:
        """A heartbeat to those who asked for them."""
        if connection in self._beats:
            self._beats[connection] += 1
            event = {"current_time": self._time(), "heartbeat_counter": self._beats[connection]}
            self._say(connection, "heartbeats", "", [event])

    def _listeners(self, channel: str, symbol: str) -> list[Connection]:
        return [connection for connection, asked in self._asked.items() if symbol in asked.get(channel, ())]

    def _begin(self, connection: Connection, channel: str, book: MarketBook) -> None:
        """The snapshot with which a channel begins."""
        if channel == "level2":
            self._told.setdefault(book.symbol, book.levels())
            # What a book owes to its listeners goes out before the newcomer's snapshot holds it.
            bids, asks = self.levels(book.symbol, len(book.bids))
            event: dict[str, Any] = self._book("snapshot", book, bids, asks)
        elif channel == "market_trades":
            latest = reversed(book.fetch(-1, SNAPSHOT_TRADES))
            event = {"type": "snapshot", "trades": [self._trade(book, trade, at) for trade, at in latest]}
        elif channel == "ticker":
            event = self._ticker("snapshot", book)
        else:
            event = {"type": "snapshot", "products": [{"id": book.symbol, "status": self._states[book.symbol]}]}
        self._say(connection, channel, book.symbol, [event])

    def _say(self, connection: Connection, channel: str, symbol: str, events: list[dict[str, Any]]) -> None:
        number = self._next.get(connection, 0)
        self._next[connection] = number + 1
        head = {"channel": CHANNELS.get(channel, channel), "client_id": "", "timestamp": self._time()}
        payload = msgspec.json.encode(head | {"sequence_num": number, "events": events})
        self.tell(connection, f"{symbol}@{channel}", payload)

    def _book(self, kind: str, book: MarketBook, bids: Ticks, asks: Ticks) -> dict[str, Any]:
        at = self._time()
        updates = [
            {
                "side": side,
                "event_time": at,
                "price_level": book.price_text(price),
                "new_quantity": book.quantity_text(lots),
            }
            for side, levels in (("bid", bids), ("offer", asks))
            for price, lots in levels
        ]
        return {"type": kind, "product_id": book.symbol, "updates": updates}

    def _trade(self, book: MarketBook, trade: MarketTrade, at: int) -> dict[str, str]:
        return {
            "trade_id": str(trade.id),
            "product_id": book.symbol,
            "price": book.price_text(trade.price),
            "size": book.quantity_text(trade.quantity),
            # The side of the order that rested: a seller who takes meets a bid.
            "side": "BUY" if trade.seller else "SELL",
            "time": to_rfc3339(at),
        }

    def _ticker(self, kind: str, book: MarketBook) -> dict[str, Any]:
        ticker = {
            "type": "ticker",
            "product_id": book.symbol,
            "price": book.price_text(book.best_bid),
            "best_bid": book.price_text(book.best_bid),
            "best_bid_quantity": book.quantity_text(book.bids[book.best_bid]),
            "best_ask": book.price_text(book.best_ask),
            "best_ask_quantity": book.quantity_text(book.asks[book.best_ask]),
            "volume_24_h": book.quantity_text(book.volume),
        }
        return {"type": kind, "tickers": [ticker]}

    def _time(self) -> str:
        return to_rfc3339(self.server.now())

    async def _products(self, request: web.Request) -> web.Response:
        places = list(self.market.books)
        products = [
            {
                "product_id": name,
                "base_currency_id": name.partition("-")[0],
                "quote_currency_id": name.partition("-")[2],
                "display_name": name,
                "price_increment": "0.01",
                "quote_increment": "0.01",
                "base_increment": "0.001",
                "product_type": "SPOT",
                "status": self._states[name],
                "approximate_quote_24h_volume": str(1_000_000 - places.index(name)),
            }
            for name in places
        ]
        twin = products[0] | {"product_id": "BTC-USDC", "quote_currency_id": "USDC", "alias": "BTC-USD"}
        return json_answer({"products": [*products, twin], "num_products": len(products) + 1})

    async def _past(self, request: web.Request) -> web.Response:
        book = self.market.books.get(request.match_info["product"])
        if book is None:
            return json_answer({"error": "NOT_FOUND"}, 404)
        start = int(request.query.get("start", "0")) * NANOS
        found = book.fetch(-1, int(request.query.get("limit", "100")))
        trades = [self._trade(book, trade, at) for trade, at in reversed(found) if at >= start]
        return json_answer({"trades": trades, "best_bid": book.price_text(book.best_bid)})


def coinbase(options: SimulatorOptions) -> CoinbaseVenue:
    """Coinbase from what every simulator understands."""
    known = ["BTC", "ETH", "SOL", *(f"C{number:03d}" for number in range(options.count))][: options.count]
    symbols = list(options.symbols) or [f"{name}-USD" for name in known]
    return CoinbaseVenue(symbols, seed=options.seed, rate=options.rate)


def _changes(before: Ticks, after: Ticks) -> Ticks:
    """Levels that are gone, new or others."""
    old, new = dict(before), dict(after)
    return [(price, 0) for price in old if price not in new] + [pair for pair in after if old.get(pair[0]) != pair[1]]
