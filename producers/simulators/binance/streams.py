"""Binance's websocket manners: combined and raw streams, SUBSCRIBE and UNSUBSCRIBE, and the limits on both.

One symbol's events as Binance writes them.
"""

import asyncio
import re
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from aiohttp import WSCloseCode, web

from producers.simulators.answers import json_answer
from producers.simulators.binance.rest import Dialect
from producers.simulators.connection import Connection, frame
from producers.simulators.market import MarketBook
from producers.simulators.server import SimulatorServer

CONNECTIONS_WINDOW_S = 300.0
_NAME = re.compile(r"[a-z0-9_]+@(trade|aggTrade|bookTicker|depth(@\d+ms)?)")


class Outbox:
    """Frames of one connection that wait for the next write. raw : without the stream's wrapper

    routed : pattern of the streams that its path sends
    """

    __slots__ = ("connection", "frames", "heard", "names", "raw", "routed", "wanted")

    def __init__(self, connection: Connection, raw: bool, routed: str) -> None:
        self.connection, self.raw, self.routed = connection, raw, routed
        self.frames: list[bytes] = []
        self.names: list[str] = []
        self.wanted: set[str] = set()
        self.heard: deque[float] = deque()


class Stream:
    """One stream of one symbol. made : messages so far, with or without listeners; sent : copies given to connections

    first_id, last_id : ids of the first and the last message made
    """

    __slots__ = ("first_id", "head", "last_id", "made", "name", "outboxes", "sent", "template")

    def __init__(self, name: str, message: bytes) -> None:
        self.name = name
        head = b'{"stream":"' + name.encode() + b'","data":'
        self.head = len(head)
        self.template = head + message + b"}"
        self.outboxes: list[Outbox] = []
        self.made = self.sent = 0
        self.first_id = self.last_id = -1

    def out(self, message: bytes, number: int) -> None:
        """Put a message, in its wrapper, where it is listened to. number : its id"""
        if self.made == 0:
            self.first_id = number
        self.made += 1
        self.last_id = number
        if self.outboxes:
            data = frame(message)
            for outbox in self.outboxes:
                outbox.frames.append(frame(message[self.head : -1]) if outbox.raw else data)
                outbox.names.append(self.name)
            self.sent += len(self.outboxes)


class BinanceStreams:
    """Who listens to what.

    make : a new stream by its name, None for a symbol that does not exist, which Binance takes without a word
    """

    def __init__(self, dialect: Dialect, make: Callable[[str], Stream | None]) -> None:
        self.streams: dict[str, Stream] = {}
        self._dialect = dialect
        self._make = make
        self._outboxes: dict[Connection, Outbox] = {}
        self._connected: deque[float] = deque()

    def refuses(self, request: web.Request) -> web.StreamResponse | None:
        """429 for a client that connects too often."""
        if _too_many(self._connected, self._dialect.connections, CONNECTIONS_WINDOW_S):
            return json_answer({"code": -1003, "msg": "Too many connections."}, 429, {"Retry-After": "60"})
        return None

    def websockets(self, server: SimulatorServer) -> Iterable[web.RouteDef]:
        """The paths of combined and raw streams."""
        for route in self._dialect.routes:
            for path in ("/stream", "/ws", "/ws/{streams:.*}"):
                yield server.websocket(f"{route}{path}", self, self.refuses)

    async def opened(self, connection: Connection) -> None:
        """Subscribe to the streams that the address names."""
        path, _, query = connection.where.partition("?")
        route = next((route for route in self._dialect.routes if route and path.startswith(f"{route}/")), "")
        path = path.removeprefix(route)
        routed = self._dialect.routes[route]
        outbox = self._outboxes[connection] = Outbox(connection, path.startswith("/ws"), routed)
        if outbox.raw:
            names = path.removeprefix("/ws").strip("/")
        else:
            names = next((part[8:] for part in query.split("&") if part.startswith("streams=")), "")
        await self._subscribe(
            outbox, [name for name in names.replace("%2F", "/").replace("%40", "@").split("/") if name]
        )

    async def received(self, connection: Connection, data: str | bytes) -> None:
        """A command."""
        outbox = self._outboxes[connection]
        if _too_many(outbox.heard, self._dialect.messages, 1.0):
            await connection.close(WSCloseCode.POLICY_VIOLATION, "Too many requests")
            return
        try:
            command = msgspec.json.decode(data, type=_Command)
        except msgspec.MsgspecError as error:
            connection.send(msgspec.json.encode({"error": {"code": 3, "msg": f"Invalid JSON: {error}"}}))
            return
        result: Any = None
        if command.method == "LIST_SUBSCRIPTIONS":
            result = sorted(outbox.wanted)
        elif command.method in ("SUBSCRIBE", "UNSUBSCRIBE") and all(map(_NAME.fullmatch, command.params)):
            if command.method == "SUBSCRIBE":
                await self._subscribe(outbox, command.params)
            else:
                self._unsubscribe(outbox, command.params)
        else:
            wrong = {"error": {"code": 2, "msg": "Invalid request: unknown method or stream"}, "id": command.id}
            connection.send(msgspec.json.encode(wrong))
            return
        connection.send(msgspec.json.encode({"result": result, "id": command.id}))

    def closed(self, connection: Connection) -> None:
        """Forget a connection."""
        outbox = self._outboxes.pop(connection)
        self._unsubscribe(outbox, list(outbox.wanted))

    def flush(self) -> None:
        """Write what waits, one write a connection."""
        for outbox in self._outboxes.values():
            if outbox.frames:
                outbox.connection.push(outbox.frames, outbox.names)
                outbox.frames, outbox.names = [], []

    async def room(self) -> None:
        """Wait for clients that are behind."""
        for outbox in list(self._outboxes.values()):
            await outbox.connection.room()

    @property
    def listeners(self) -> list[Connection]:
        """Open connections."""
        return list(self._outboxes)

    def tell(self, event: bytes, stream: str) -> None:
        """A message to every connection whatever it listens to."""
        for outbox in self._outboxes.values():
            wrapped = event if outbox.raw else b'{"stream":"' + stream.encode() + b'","data":' + event + b"}"
            outbox.connection.send(wrapped, stream)

    def sent(self) -> dict[str, Any]:
        """Messages by stream."""
        return {
            name: {"made": one.made, "sent": one.sent, "first_id": one.first_id, "last_id": one.last_id}
            for name, one in self.streams.items()
        }

    async def _subscribe(self, outbox: Outbox, names: list[str]) -> None:
        if len(outbox.wanted.union(names)) > self._dialect.streams:
            await outbox.connection.close(WSCloseCode.POLICY_VIOLATION, "Too many streams")
            return
        for name in names:
            if name in outbox.wanted:
                continue
            outbox.wanted.add(name)
            stream = self.streams.get(name) or (self._make(name) if _NAME.fullmatch(name) else None)
            if stream is not None:
                self.streams[name] = stream
                if re.fullmatch(outbox.routed, name):
                    stream.outboxes.append(outbox)

    def _unsubscribe(self, outbox: Outbox, names: list[str]) -> None:
        for name in names:
            stream = self.streams.get(name)
            if stream is not None and outbox in stream.outboxes:
                stream.outboxes.remove(outbox)
            outbox.wanted.discard(name)


class _Command(msgspec.Struct):
    method: str
    id: int | str | None = None
    params: list[str] = []


def _too_many(times: deque[float], limit: int, seconds: float) -> bool:
    """Note an event; whether there were more than `limit` within `seconds`."""
    now = asyncio.get_running_loop().time()
    times.append(now)
    while times[0] <= now - seconds:
        times.popleft()
    return len(times) > limit


FLICKER_LOTS = 5_000
LAYERS = 4
_TRUTH = {True: b"true", False: b"false"}


class DecimalTexts(dict[int, bytes]):
    """Texts of whole numbers of ticks or lots, kept once they were written. written : decimals at least"""

    KEPT = 500_000

    def __init__(self, decimals: int, written: int) -> None:
        super().__init__()
        zeros = b"0" * (written - decimals)
        self._scale = 10**decimals
        self._template = b"%%d.%%0%dd%b" % (decimals, zeros) if decimals else b""

    def __missing__(self, value: int) -> bytes:
        if len(self) >= self.KEPT:
            self.clear()
        text = self._template % divmod(value, self._scale) if self._template else b"%d" % value
        self[value] = text
        return text


class SymbolFeed:
    """Its book, the streams it is asked for, and the changes that no depth message has told yet.

    sent_id : last update that a depth message told; old : ids and levels of the book at the start
    """

    __slots__ = (
        "asks",
        "bids",
        "book",
        "depths",
        "dialect",
        "old",
        "prices",
        "quantities",
        "sent_id",
        "tickers",
        "trades",
    )

    def __init__(self, book: MarketBook, dialect: Dialect, prices: DecimalTexts, quantities: DecimalTexts) -> None:
        self.book, self.dialect, self.prices, self.quantities = book, dialect, prices, quantities
        self.trades: list[Stream] = []
        self.tickers: list[Stream] = []
        self.depths: list[Stream] = []
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}
        self.sent_id = book.last_id
        self.old = (book.last_id, *book.levels())

    def add(self, name: str) -> Stream:
        """A new stream. name : such as btcusdt@trade"""
        kind = name.partition("@")[2]
        symbol = self.book.symbol
        terms = {b"s": symbol.encode(), b"p": self.dialect.pair(symbol).encode()}
        if kind == "bookTicker":
            kept, message = self.tickers, self.dialect.ticker
        elif kind.startswith("depth"):
            kept, message = self.depths, self.dialect.depth
        else:
            kept, message = self.trades, self.dialect.trade if kind == "trade" else self.dialect.aggregate
        kept.append(stream := Stream(name, message % terms))
        return stream

    def trade(self, ms: int) -> int:
        """A trade; messages made. An aggregate trade is one trade, and has its id."""
        number, ticks, lots, seller = self.book.trade(ms)
        price, quantity, maker = self.prices[ticks], self.quantities[lots], _TRUTH[seller]
        futures = self.dialect.futures
        for stream in self.trades:
            values: tuple[bytes | int, ...]
            if stream.name.endswith("@aggTrade"):
                values = (ms, number, price, quantity, number, number, ms, maker)
            elif futures:
                values = (ms, ms, number, price, quantity, maker)
            else:
                values = (ms, number, price, quantity, ms, maker)
            stream.out(stream.template % values, number)
        return len(self.trades)

    def ticker(self, ms: int) -> int:
        """A change of the book and the best quotes after it; messages made."""
        self.book.move(self.bids, self.asks)
        return self._best(ms)

    def flicker(self, ms: int) -> int:
        """Quote stuffing: a large bid at the touch, and its withdrawal at once; messages made."""
        book = self.book
        usual = book.bids[book.best_bid]
        made = 0
        for quantity in (usual + FLICKER_LOTS, usual):
            book.bids[book.best_bid] = self.bids[book.best_bid] = quantity
            book.last_id += 1
            made += self._best(ms)
        return made

    def layer(self, ms: int) -> int:
        """Large orders behind the touch, and their withdrawal with the next message of the book; messages made."""
        book = self.book
        levels = [book.best_bid - step for step in range(1, LAYERS + 1)]
        usual = [book.bids[price] for price in levels]
        made = 0
        for more in (FLICKER_LOTS, 0):
            for price, lots in zip(levels, usual, strict=True):
                book.bids[price] = self.bids[price] = lots + more
            book.last_id += LAYERS
            made += self.tell(ms)
        return made

    def _best(self, ms: int) -> int:
        """The best quotes as they are; messages made."""
        book = self.book
        best = (
            book.last_id,
            self.prices[book.best_bid],
            self.quantities[book.bids[book.best_bid]],
            self.prices[book.best_ask],
            self.quantities[book.asks[book.best_ask]],
        )
        for stream in self.tickers:
            stream.out(stream.template % ((*best, ms, ms) if self.dialect.futures else best), book.last_id)
        return len(self.tickers)

    def depth(self, ms: int) -> int:
        """A change of the book, told with all those before it that were not; messages made."""
        self.book.move(self.bids, self.asks)
        return self.tell(ms)

    def tell(self, ms: int) -> int:
        """The changes that were not told; messages made."""
        first, last, prices, quantities = self.sent_id + 1, self.book.last_id, self.prices, self.quantities
        if last < first:
            return 0
        bids = b",".join([b'["%b","%b"]' % (prices[price], quantities[lots]) for price, lots in self.bids.items()])
        asks = b",".join([b'["%b","%b"]' % (prices[price], quantities[lots]) for price, lots in self.asks.items()])
        values = (
            (ms, ms, first, last, self.sent_id, bids, asks) if self.dialect.futures else (ms, first, last, bids, asks)
        )
        for stream in self.depths:
            stream.out(stream.template % values, last)
        self.sent_id = last
        self.bids.clear()
        self.asks.clear()
        return len(self.depths)
