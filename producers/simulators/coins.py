"""What the simulators of Upbit, Coinbase and Kraken share: a seeded market, its pace, who is subscribed to what."""

import asyncio
import random
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from aiohttp import WSCloseCode, web

from producers.simulators.connection import Connection
from producers.simulators.faults import FaultKind
from producers.simulators.market import MarketBook, MarketTrade, VenueMarket
from producers.simulators.server import SimulatorServer
from tapewatch.clock import NANOS

STEP_S = 0.005
BEAT_S = 1.0
TRADES = 0.3
"""Share of events that are trades; the others change a book."""
SHUTS_AFTER_S = 0.2

Levels = list[tuple[float, float]]


class CoinVenue(ABC):
    """A venue that pushes its books and trades to whoever subscribed.

    symbols : the venue's own names; rate : events a second, 0 makes none but by `step`; depth : levels a side
    made : messages by stream, whether or not they arrived; beat_s : time between heartbeats
    """

    name = ""
    tick, lot = 2, 3

    def __init__(
        self, symbols: Sequence[str], *, seed: int = 0, rate: float = 100.0, depth: int = 40, beat_s: float = BEAT_S
    ) -> None:
        self.rate = rate
        self.beat_s = beat_s
        self.market = VenueMarket(symbols, seed=seed, depth=depth, tick=self.tick, lot=self.lot)
        self.connections: list[Connection] = []
        self.made: Counter[str] = Counter()
        self._random = random.Random(f"{seed} {self.name}")  # noqa: S311 - a market is no secret
        self._server: SimulatorServer | None = None
        self._opening = {name: book.levels() for name, book in self.market.books.items()}

    @property
    def server(self) -> SimulatorServer:
        """The server that asked for the routes."""
        if self._server is None:
            raise RuntimeError("the venue is not served")
        return self._server

    def addresses(self, http: str, ws: str) -> dict[str, str]:
        """As in the settings of the venue."""
        return {"rest": http, "stream": f"{ws}/ws"}

    def routes(self, server: SimulatorServer) -> Iterable[web.RouteDef]:
        """REST and websocket."""
        self._server = server
        return [server.websocket("/ws", self), *self.rest()]

    @abstractmethod
    def rest(self) -> list[web.RouteDef]:
        """Its REST routes."""

    @abstractmethod
    def changed(self, book: MarketBook) -> None:
        """Tell the subscribers that a book is another."""

    @abstractmethod
    def traded(self, book: MarketBook, trade: MarketTrade) -> None:
        """Tell the subscribers of a trade."""

    @abstractmethod
    async def received(self, connection: Connection, data: str | bytes) -> None:
        """A client's message."""

    @abstractmethod
    def state(self, symbol: str, *, trading: bool) -> None:
        """Say that a symbol, or where it is empty the venue, stops trading or goes on."""

    def beat(self, connection: Connection) -> None:
        """What the venue sends every second, whatever happens."""
        return

    async def opened(self, connection: Connection) -> None:
        """A client has connected."""
        self.connections.append(connection)

    def closed(self, connection: Connection) -> None:
        """A client has gone."""
        if connection in self.connections:
            self.connections.remove(connection)

    async def run(self, server: SimulatorServer) -> None:
        """Make what is due; send heartbeats."""
        time = asyncio.get_running_loop().time
        last = beaten = time()
        owed = 0.0
        while True:
            await asyncio.sleep(STEP_S)
            now = time()
            owed += (now - last) * self.rate
            last = now
            if server.plan.due():
                await self._misbehave(server)
            if now - beaten >= self.beat_s:
                beaten = now
                for connection in list(self.connections):
                    self.beat(connection)
            self.step(int(owed))
            owed -= int(owed)

    def step(self, count: int, *, trades: float = TRADES) -> None:
        """Make events now. trades : share of them that are trades"""
        books = [book for book in self.market.books.values() if book.listed]
        for _ in range(count if books else 0):
            book = books[self._random.randrange(len(books))]
            if self._random.random() < trades:
                self.traded(book, book.trade(self.server.now()))
            else:
                book.change()
                self.changed(book)

    def stir(self) -> None:
        """Change every listed book until its best ten levels are others, so that a client's must be the true ones."""
        for book in self.market.books.values():
            before = book.levels(10)
            while book.listed and book.levels(10) == before:
                book.change()
                self.changed(book)

    def book(self, symbol: str, limit: int = 10) -> tuple[Levels, Levels]:
        """The true book, best first."""
        return self.market.books[symbol].floats(limit)

    def sent(self) -> dict[str, Any]:
        """Messages by stream."""
        return dict(self.made)

    def levels(self, symbol: str, limit: int) -> tuple[Any, Any]:
        """Bids and asks of a snapshot in ticks and lots; of the start where a fault wants an old one."""
        old = self.server.plan.take({FaultKind.OLD_SNAPSHOT}, symbol)
        bids, asks = self._opening[symbol] if old is not None else self.market.books[symbol].levels()
        return bids[:limit], asks[:limit]

    def tell(self, connection: Connection, stream: str, payload: bytes, *, binary: bool = False) -> None:
        """Send a message of a stream."""
        self.made[stream] += 1
        connection.send(payload, stream, binary=binary)

    async def _misbehave(self, server: SimulatorServer) -> None:
        names = " ".join(name for name, book in self.market.books.items() if book.listed)
        fault = server.plan.take({FaultKind.DELISTED}, names)
        if fault is not None:
            self.state(self.market.delist(fault.match), trading=False)
        fault = server.plan.take({FaultKind.MAINTENANCE})
        if fault is not None:
            self.state("", trading=False)
            await asyncio.sleep(fault.seconds or SHUTS_AFTER_S)
            for connection in list(self.connections):
                await connection.close(WSCloseCode.GOING_AWAY, "maintenance")


def seconds(now: int) -> float:
    """UTC ns as seconds."""
    return now / NANOS
