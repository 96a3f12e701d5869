"""Upbit on loopback: whole books in binary frames, numbers with exponents, trades whose ids jump."""

import time
from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec
from aiohttp import web

from producers.simulators.answers import json_answer
from producers.simulators.catalogue import SimulatorOptions
from producers.simulators.coins import CoinVenue, Levels
from producers.simulators.connection import Connection
from producers.simulators.market import MarketBook, MarketTrade

KRW_A_TICK = 1_000
"""Prices are those of the dearest coins, which Upbit writes with an exponent."""
UNITS = (1, 5, 15, 30)
MESSAGES_A_SECOND = 5
ID_STEP = 7
"""Ids of trades are unique, and not consecutive."""
MILLI = 1_000_000


class UpbitVenue(CoinVenue):
    """KRW markets. A request on a connection replaces what the connection was subscribed to.

    patience : messages a second above which a client is cut off
    """

    name = "upbit"
    tick, lot = 0, 4

    def __init__(self, symbols: Sequence[str], **options: Any) -> None:
        super().__init__(symbols, **options)
        self._asked: dict[Connection, dict[str, dict[str, int]]] = {}
        self._said: dict[Connection, list[float]] = {}
        self._states = dict.fromkeys(symbols, "ACTIVE")
        self.patience = MESSAGES_A_SECOND

    def rest(self) -> list[web.RouteDef]:
        """Markets, tickers, past trades."""
        return [
            web.get("/v1/market/all", self._markets),
            web.get("/v1/ticker", self._tickers),
            web.get("/v1/trades/ticks", self._past),
        ]

    async def received(self, connection: Connection, data: str | bytes) -> None:
        """PING, or a request."""
        text = data.decode() if isinstance(data, bytes) else data
        said = self._said.setdefault(connection, [])
        now = time.monotonic()
        said[:] = [at for at in said if now - at < 1.0] + [now]
        if len(said) > self.patience:
            await connection.close(1008, "too many messages")
        elif text == "PING":
            connection.send(b'{"status":"UP"}', "status")
        else:
            self._subscribe(connection, text)

    def closed(self, connection: Connection) -> None:
        """A client has gone."""
        super().closed(connection)
        self._asked.pop(connection, None)
        self._said.pop(connection, None)

    def changed(self, book: MarketBook) -> None:
        """The whole book."""
        for connection, kinds in self._asked.items():
            units = kinds.get("orderbook", {}).get(book.symbol)
            if units:
                self._tell(connection, "orderbook", book.symbol, self._orderbook(book, units, "REALTIME"))

    def traded(self, book: MarketBook, trade: MarketTrade) -> None:
        """A trade and the ticker after it."""
        for connection, kinds in self._asked.items():
            if book.symbol in kinds.get("trade", {}):
                self._tell(connection, "trade", book.symbol, self._trade(book, trade, "REALTIME"))
            if book.symbol in kinds.get("ticker", {}):
                self._tell(connection, "ticker", book.symbol, self._ticker(book, "REALTIME"))

    def state(self, symbol: str, *, trading: bool) -> None:
        """A ticker that says so."""
        for name in [symbol] if symbol else list(self._states):
            self._states[name] = "ACTIVE" if trading else "DELISTED" if symbol else "PREVIEW"
            for connection, kinds in self._asked.items():
                if name in kinds.get("ticker", {}):
                    book = self.market.books[name]
                    self._tell(connection, "ticker", name, self._ticker(book, "REALTIME"))

    def book(self, symbol: str, limit: int = 10) -> tuple[Levels, Levels]:
        """The true book, best first."""
        bids, asks = super().book(symbol, limit)
        return [(price * KRW_A_TICK, qty) for price, qty in bids], [(price * KRW_A_TICK, qty) for price, qty in asks]

    def _subscribe(self, connection: Connection, text: str) -> None:
        try:
            words = msgspec.json.decode(text, type=list[dict[str, Any]])
        except msgspec.MsgspecError:
            return self._error(connection, "WRONG_FORMAT", "the format is wrong")
        asked: dict[str, dict[str, int]] = {}
        types = [word for word in words if "type" in word]
        if not any("ticket" in word for word in words):
            return self._error(connection, "NO_TICKET", "the ticket is missing")
        if not types:
            return self._error(connection, "NO_TYPE", "the type is missing")
        for word in types:
            if word["type"] not in ("orderbook", "trade", "ticker") or not word.get("codes"):
                return self._error(connection, "INVALID_PARAM", "type or codes are wrong")
            for code in word["codes"]:
                name, _, units = code.partition(".")
                if name in self.market.books:
                    asked.setdefault(word["type"], {})[name] = int(units or UNITS[-1])
        self._asked[connection] = asked
        for name in asked.get("orderbook", {}):
            book = self.market.books[name]
            self._tell(connection, "orderbook", name, self._orderbook(book, asked["orderbook"][name], "SNAPSHOT"))
        for name in asked.get("trade", {}):
            last = self.market.books[name].fetch(-1, 1)
            if last:
                self._tell(connection, "trade", name, self._trade(self.market.books[name], last[0][0], "SNAPSHOT"))
        for name in asked.get("ticker", {}):
            self._tell(connection, "ticker", name, self._ticker(self.market.books[name], "SNAPSHOT"))
        return None

    def _error(self, connection: Connection, name: str, words: str) -> None:
        self.tell(connection, "error", msgspec.json.encode({"error": {"name": name, "message": words}}))

    def _tell(self, connection: Connection, kind: str, symbol: str, payload: bytes) -> None:
        self.tell(connection, f"{symbol}@{kind}", payload, binary=True)

    def _ms(self) -> int:
        return self.server.now() // MILLI

    def _orderbook(self, book: MarketBook, units: int, stream: str) -> bytes:
        bids, asks = self.levels(book.symbol, units)
        ms = self._ms()
        if stream == "REALTIME" and (bids, asks) != book.levels(units):
            ms -= 60_000  # an old book comes late
        rows = ",".join(
            f'{{"ask_price":{krw(ask)},"bid_price":{krw(bid)},"ask_size":{coins(ask_lots)},"bid_size":{coins(bid_lots)}}}'
            for (bid, bid_lots), (ask, ask_lots) in zip(bids, asks, strict=False)
        )
        head = f'{{"type":"orderbook","code":"{book.symbol}","timestamp":{ms},"total_ask_size":1.0,"total_bid_size":1.0'
        return f'{head},"orderbook_units":[{rows}],"stream_type":"{stream}","level":0}}'.encode()

    def _trade(self, book: MarketBook, trade: MarketTrade, stream: str) -> bytes:
        ms = self._ms()
        return (
            f'{{"type":"trade","code":"{book.symbol}","timestamp":{ms},"trade_timestamp":{ms},'
            f'"trade_price":{krw(trade.price)},"trade_volume":{coins(trade.quantity)},'
            f'"ask_bid":"{"ASK" if trade.seller else "BID"}","sequential_id":{trade.id * ID_STEP},'
            f'"prev_closing_price":1.0E8,"change":"EVEN","stream_type":"{stream}"}}'
        ).encode()

    def _ticker(self, book: MarketBook, stream: str) -> bytes:
        return (
            f'{{"type":"ticker","code":"{book.symbol}","timestamp":{self._ms()},"trade_price":{krw(book.best_bid)},'
            f'"acc_trade_volume":{coins(book.volume)},"market_state":"{self._states[book.symbol]}",'
            f'"stream_type":"{stream}"}}'
        ).encode()

    async def _markets(self, request: web.Request) -> web.Response:
        listed = [book.symbol for book in self.market.books.values() if book.listed]
        names = [{"market": name, "korean_name": name, "english_name": name, "market_event": {}} for name in listed]
        return _counted([*names, {"market": "BTC-ETH", "korean_name": "x", "english_name": "Ethereum"}])

    async def _tickers(self, request: web.Request) -> web.Response:
        asked = request.query.get("markets", "").split(",")
        if not all(name in self.market.books for name in asked):
            return json_answer({"error": {"name": 404, "message": "Code not found"}}, 404)
        places = list(self.market.books)
        return _counted([{"market": name, "acc_trade_price_24h": 1e9 / (1 + places.index(name))} for name in asked])

    async def _past(self, request: web.Request) -> web.Response:
        book = self.market.books.get(request.query.get("market", ""))
        if book is None:
            return json_answer({"error": {"name": 404, "message": "Code not found"}}, 404)
        count, cursor = int(request.query.get("count", "1")), int(request.query.get("cursor", "0"))
        last = cursor // ID_STEP - 1 if cursor else book.trade_id
        found = book.fetch(max(book.first_trade_id, last - count + 1), count)
        rows = [
            f'{{"market":"{book.symbol}","timestamp":{at // MILLI},"trade_price":{krw(trade.price)},'
            f'"trade_volume":{coins(trade.quantity)},"ask_bid":"{"ASK" if trade.seller else "BID"}",'
            f'"sequential_id":{trade.id * ID_STEP}}}'
            for trade, at in reversed(found)
            if trade.id <= last
        ]
        return _counted(f"[{','.join(rows)}]".encode())


def upbit(options: SimulatorOptions) -> UpbitVenue:
    """Upbit from what every simulator understands."""
    known = ["BTC", "ETH", "XRP", *(f"C{number:03d}" for number in range(options.count))][: options.count]
    symbols = list(options.symbols) or [f"KRW-{name}" for name in known]
    return UpbitVenue(symbols, seed=options.seed, rate=options.rate)


def _counted(document: Any) -> web.Response:
    return json_answer(document, headers={"Remaining-Req": "group=market; min=600; sec=9"})


def krw(ticks: int) -> str:
    """A price as Upbit's JSON writes it."""
    return double_text(ticks * KRW_A_TICK, 0)


def coins(lots: int) -> str:
    """A quantity as Upbit's JSON writes it."""
    return double_text(lots, UpbitVenue.lot)


@lru_cache(maxsize=65_536)
def double_text(value: int, decimals: int) -> str:
    """A number of `decimals` decimals as Java's Double.toString writes it: 1.16539E8, 0.2, 9.0E-4."""
    number = Decimal(value).scaleb(-decimals)
    if not value:
        return "0.0"
    if Decimal("0.001") <= number < 10_000_000:
        text = f"{number.normalize():f}"
        return text if "." in text else f"{text}.0"
    digits = "".join(str(digit) for digit in number.normalize().as_tuple().digits)
    return f"{digits[0]}.{digits[1:] or '0'}E{number.adjusted()}"
