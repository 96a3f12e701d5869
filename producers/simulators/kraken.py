"""Kraken on loopback: books cut to the depth subscribed to, with checksums, trades by consecutive ids."""

import zlib
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

DEPTHS = (10, 25, 100, 500, 1000)
SNAPSHOT_TRADES = 50
PAGE = 1_000
PRICE_DECIMALS, QTY_DECIMALS = 2, 8
_OLD_NAMES = {"BTC": "XBT", "DOGE": "XDG"}

Sides = tuple[Ticks, Ticks]


class KrakenVenue(CoinVenue):
    """Spot pairs. Every second pair's numbers are written without the zeros at their end."""

    name = "kraken"
    tick, lot = PRICE_DECIMALS, 3

    def __init__(self, symbols: Sequence[str], **options: Any) -> None:
        super().__init__(symbols, **options)
        self._books: dict[Connection, dict[str, int]] = {}
        self._others: dict[Connection, dict[str, set[str]]] = {}
        self._told: dict[tuple[str, int], Sides] = {}
        self._states = dict.fromkeys(symbols, "online")
        self._short = set(list(symbols)[1::2])
        self._system = "online"

    def rest(self) -> list[web.RouteDef]:
        """Reference data, turnover, past trades."""
        return [
            web.get("/0/public/AssetPairs", self._asset_pairs),
            web.get("/0/public/Ticker", self._day_tickers),
            web.get("/0/public/Trades", self._past),
        ]

    async def opened(self, connection: Connection) -> None:
        """A client has connected: the state of the exchange comes unasked."""
        await super().opened(connection)
        self._books[connection] = {}
        self._others[connection] = {}
        self._status(connection)

    def closed(self, connection: Connection) -> None:
        """A client has gone."""
        super().closed(connection)
        self._books.pop(connection, None)
        self._others.pop(connection, None)

    async def received(self, connection: Connection, data: str | bytes) -> None:
        """A request."""
        try:
            request = msgspec.json.decode(data, type=dict[str, Any])
            method, params = request["method"], request.get("params", {})
            channel, symbols = params.get("channel", ""), params.get("symbol", [])
        except (msgspec.MsgspecError, KeyError, AttributeError):
            self.tell(connection, "notice", b'{"error":"JSON parsing error"}')
            return
        if method == "ping":
            self.tell(connection, "notice", b'{"method":"pong"}')
        elif channel == "instrument":
            self._acknowledge(connection, method, channel, "")
            self._instruments(connection)
        else:
            for symbol in symbols:
                self._turn(connection, method, channel, symbol, params)

    def changed(self, book: MarketBook) -> None:
        """The levels that changed within each depth that someone subscribed to."""
        depths = {books[book.symbol] for books in self._books.values() if book.symbol in books}
        for depth in depths:
            before, after = self._told[book.symbol, depth], book.levels(depth)
            self._told[book.symbol, depth] = after
            bids, asks = (_changes(old, new, held) for old, new, held in zip(before, after, _held(book), strict=True))
            if not bids and not asks:
                continue
            payload = self._message("update", book, (bids, asks), after)
            for connection, books in self._books.items():
                if books.get(book.symbol) == depth:
                    self.tell(connection, f"{book.symbol}@book", payload)

    def traded(self, book: MarketBook, trade: MarketTrade) -> None:
        """A trade and the ticker after it."""
        text = self._trades("update", book, [(trade, self.server.now())])
        for connection, channels in self._others.items():
            if book.symbol in channels.get("trade", ()):
                self.tell(connection, f"{book.symbol}@trade", text)
            if book.symbol in channels.get("ticker", ()):
                self.tell(connection, f"{book.symbol}@ticker", self._ticker("update", book))

    def state(self, symbol: str, *, trading: bool) -> None:
        """The instrument's state, or the exchange's."""
        if symbol:
            self._states[symbol] = "online" if trading else "delisted"
        else:
            self._system = "online" if trading else "maintenance"
        for connection in self.connections:
            if symbol:
                self._instruments(connection)
            else:
                self._status(connection)

    def beat(self, connection: Connection) -> None:
        """A heartbeat, as in seconds without data."""
        self.tell(connection, "heartbeat", b'{"channel":"heartbeat"}')

    def _turn(self, connection: Connection, method: str, channel: str, symbol: str, params: dict[str, Any]) -> None:
        """Subscribe or unsubscribe one pair of one channel."""
        depth = int(params.get("depth", 10))
        if symbol not in self.market.books or channel not in ("book", "trade", "ticker") or depth not in DEPTHS:
            reply = {"error": f"Currency pair not supported {symbol}", "method": method, "success": False}
            self.tell(connection, "notice", msgspec.json.encode(reply))
            return
        book = self.market.books[symbol]
        self._acknowledge(connection, method, channel, symbol)
        if method == "unsubscribe":
            self._books[connection].pop(symbol, None) if channel == "book" else None
            self._others[connection].get(channel, set()).discard(symbol)
        elif channel == "book":
            self._books[connection][symbol] = depth
            self._told[symbol, depth] = book.levels(depth)
            bids, asks = self.levels(symbol, depth)
            self.tell(connection, f"{symbol}@book", self._message("snapshot", book, (bids, asks), (bids, asks)))
        else:
            self._others[connection].setdefault(channel, set()).add(symbol)
            payload = self._ticker("snapshot", book)
            if channel == "trade":
                payload = self._trades("snapshot", book, book.fetch(-1, SNAPSHOT_TRADES))
            self.tell(connection, f"{symbol}@{channel}", payload)

    def _acknowledge(self, connection: Connection, method: str, channel: str, symbol: str) -> None:
        result = {"channel": channel, "symbol": symbol, "snapshot": True}
        self.tell(connection, "notice", msgspec.json.encode({"method": method, "success": True, "result": result}))

    def _message(self, kind: str, book: MarketBook, levels: Sides, whole: Sides) -> bytes:
        sides = (
            ",".join(
                f'{{"price":{self._price(book, price)},"qty":{self._quantity(book, lots) if lots else 0}}}'
                for price, lots in side
            )
            for side in levels
        )
        bids, asks = sides
        return (
            f'{{"channel":"book","type":"{kind}","data":[{{"symbol":"{book.symbol}","bids":[{bids}],"asks":[{asks}],'
            f'"checksum":{crc(whole)},"timestamp":"{self._time(self.server.now())}"}}]}}'
        ).encode()

    def _trades(self, kind: str, book: MarketBook, trades: Sequence[tuple[MarketTrade, int]]) -> bytes:
        data = ",".join(
            f'{{"symbol":"{book.symbol}","side":"{"sell" if trade.seller else "buy"}",'
            f'"price":{self._price(book, trade.price)},"qty":{self._quantity(book, trade.quantity)},'
            f'"ord_type":"limit","trade_id":{trade.id},"timestamp":"{self._time(at)}"}}'
            for trade, at in trades
        )
        return f'{{"channel":"trade","type":"{kind}","data":[{data}]}}'.encode()

    def _ticker(self, kind: str, book: MarketBook) -> bytes:
        bid, ask = book.best_bid, book.best_ask
        return (
            f'{{"channel":"ticker","type":"{kind}","data":[{{"symbol":"{book.symbol}","bid":{self._price(book, bid)},'
            f'"bid_qty":{self._quantity(book, book.bids[bid])},"ask":{self._price(book, ask)},'
            f'"ask_qty":{self._quantity(book, book.asks[ask])},"last":{self._price(book, bid)},"volume":1.0,'
            f'"vwap":1.0,"low":1.0,"high":1.0,"change":0.0,"change_pct":0.0}}]}}'
        ).encode()

    def _instruments(self, connection: Connection) -> None:
        pairs = [
            {"symbol": name, "status": state, "price_precision": PRICE_DECIMALS, "qty_precision": QTY_DECIMALS}
            for name, state in self._states.items()
        ]
        told = {"channel": "instrument", "type": "snapshot", "data": {"assets": [], "pairs": pairs}}
        self.tell(connection, "instrument", msgspec.json.encode(told))

    def _status(self, connection: Connection) -> None:
        data = [{"version": "2.0.0", "system": self._system, "api_version": "v2", "connection_id": 1}]
        told = {"channel": "status", "type": "update", "data": data}
        self.tell(connection, "status", msgspec.json.encode(told))

    def _price(self, book: MarketBook, ticks: int) -> str:
        text = book.price_text(ticks)
        return text.rstrip("0").rstrip(".") if book.symbol in self._short else text

    def _quantity(self, book: MarketBook, lots: int) -> str:
        text = book.quantity_text(lots)
        return text.rstrip("0").rstrip(".") if book.symbol in self._short else text + "00000"

    def _time(self, now: int) -> str:
        return to_rfc3339(now)[:26] + "Z"

    async def _asset_pairs(self, request: web.Request) -> web.Response:
        result = {
            _rest_name(name): {
                "wsname": "/".join(_OLD_NAMES.get(asset, asset) for asset in name.split("/")),
                "pair_decimals": PRICE_DECIMALS,
                "lot_decimals": QTY_DECIMALS,
                "tick_size": "0.01",
                "status": self._states[name],
            }
            for name in self.market.books
        }
        return json_answer({"error": [], "result": result})

    async def _day_tickers(self, request: web.Request) -> web.Response:
        places = {name: place for place, name in enumerate(self.market.books)}
        result = {_rest_name(name): {"v": ["1", f"{1000 - place}"], "p": ["1", "2"]} for name, place in places.items()}
        return json_answer({"error": [], "result": result})

    async def _past(self, request: web.Request) -> web.Response:
        pair, since = request.query.get("pair", ""), int(request.query.get("since", "0"))
        book = next((book for name, book in self.market.books.items() if _rest_name(name) == pair), None)
        if book is None:
            return json_answer({"error": ["EQuery:Unknown asset pair"]})
        found = [(trade, at) for trade, at in book.fetch(book.first_trade_id, book.kept) if at // 1_000 * 1_000 > since]
        rows = [
            [
                book.price_text(trade.price),
                book.quantity_text(trade.quantity),
                msgspec.Raw(f"{at // NANOS}.{at % NANOS // 1_000:06d}".encode()),
                "s" if trade.seller else "b",
                "l",
                "",
                trade.id,
            ]
            for trade, at in found[:PAGE]
        ]
        last = found[:PAGE][-1][1] if found else since
        return json_answer({"error": [], "result": {pair: rows, "last": str(last)}})


def kraken(options: SimulatorOptions) -> KrakenVenue:
    """Kraken from what every simulator understands."""
    known = ["BTC", "ETH", "DOGE", *(f"C{number:03d}" for number in range(options.count))][: options.count]
    symbols = list(options.symbols) or [f"{name}/USD" for name in known]
    return KrakenVenue(symbols, seed=options.seed, rate=options.rate)


def crc(whole: Sides) -> int:
    """The checksum of the book, in the venue's own integers."""
    bids, asks = whole
    scale = 10 ** (QTY_DECIMALS - KrakenVenue.lot)
    digits = "".join(f"{price}{lots * scale}" for side in (asks, bids) for price, lots in side[:10])
    return zlib.crc32(digits.encode())


def _changes(before: Ticks, after: Ticks, held: dict[int, int]) -> Ticks:
    """Levels that are new or others, and those that are gone; one that only fell out of the depth is not told."""
    old, new = dict(before), dict(after)
    gone = [(price, 0) for price in old if price not in new and price not in held]
    return gone + [(price, lots) for price, lots in after if old.get(price) != lots]


def _held(book: MarketBook) -> tuple[dict[int, int], dict[int, int]]:
    return book.bids, book.asks


def _rest_name(symbol: str) -> str:
    base, _, quote = symbol.partition("/")
    return f"X{_OLD_NAMES.get(base, base)}Z{quote}"
