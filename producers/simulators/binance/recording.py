"""A recorded Binance session sent again, with its REST snapshot and the trades that a client may ask for."""

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from producers.simulators.binance.dialect import DIALECTS
from producers.simulators.binance.rest import BinanceRest
from producers.simulators.binance.streams import BinanceStreams, Stream
from producers.simulators.recorded import RecordedLine, recorded_lines, send_recorded, snapshot_of
from producers.simulators.server import SimulatorServer
from tapewatch.errors import TapewatchError


class BinanceRecording:
    """One symbol's recording, from the moment on when the first client listens.

    dialect : binance, binance_usdm or binance_coinm; pace : 1 as recorded, N times that, 0 as fast as the client reads
    finished : set when the last line is sent
    """

    def __init__(self, paths: Sequence[Path], *, dialect: str = "binance", pace: float = 0.0) -> None:
        self.dialect = DIALECTS[dialect]
        self.name = self.dialect.name
        self.streams = BinanceStreams(self.dialect, self._make)
        self.finished = asyncio.Event()
        self._paths = list(paths)
        self._pace = pace
        self._snapshot = snapshot_of(self._paths)
        first = next((line.stream for line in recorded_lines(self._paths) if line.stream), "")
        if not first:
            raise TapewatchError("the recording holds no message of a stream", "Give a combined-stream recording.")
        self.symbol = first.partition("@")[0].upper()
        self._trades: list[tuple[int, str, str, int, bool]] = []

    def addresses(self, http: str, ws: str) -> dict[str, str]:
        """As in the settings of the venue."""
        return {"rest": http, "stream": ws}

    def routes(self, server: SimulatorServer) -> Iterable[web.RouteDef]:
        """REST and websocket."""
        yield from BinanceRest(self.dialect, self, lambda: server.now() // 1_000_000).routes()
        yield from self.streams.websockets(server)

    async def run(self, server: SimulatorServer) -> None:
        """Send line after line; what nobody listens to is passed over."""
        while not self.streams.streams:
            await asyncio.sleep(0.005)
        # The client subscribes symbol by symbol; nothing is to be lost before it has come to the last one.
        await asyncio.sleep(0.05)
        await send_recorded(recorded_lines(self._paths), self._take, self._turn, self._pace)
        self.finished.set()

    def sent(self) -> dict[str, Any]:
        """Messages by stream, numbered from 0."""
        return self.streams.sent()

    def symbols(self) -> list[dict[str, Any]]:
        """The one symbol."""
        state = "contractStatus" if self.name == "binance_coinm" else "status"
        kind: dict[str, Any] = {"contractType": "PERPETUAL"} if self.dialect.futures else {"isSpotTradingAllowed": True}
        base, quote = self.symbol.removesuffix("USDT"), "USDT"
        return [{"symbol": self.symbol, "baseAsset": base, "quoteAsset": quote, "filters": [], state: "TRADING"} | kind]

    def snapshot(self, symbol: str, limit: int) -> bytes | None:
        """The recorded snapshot, whatever the limit."""
        return self._snapshot if symbol == self.symbol and self._snapshot else None

    def tickers(self) -> list[dict[str, Any]]:
        """The one symbol."""
        return [{"symbol": self.symbol, "lastPrice": "1", "volume": "1", "quoteVolume": "1", "count": 1}]

    def trades(self, symbol: str, start: int, limit: int) -> list[tuple[int, str, str, int, bool]] | None:
        """Trades sent so far."""
        if symbol != self.symbol:
            return None
        found = [trade for trade in self._trades if trade[0] >= start] if start >= 0 else self._trades[-limit:]
        return found[:limit]

    def _make(self, name: str) -> Stream | None:
        return Stream(name, b"") if name.startswith(self.symbol.lower() + "@") else None

    def _take(self, line: RecordedLine) -> None:
        stream = self.streams.streams.get(line.stream)
        if stream is not None:
            stream.out(line.message, stream.made)
        if b'"e":"trade"' in line.message[:120]:
            trade = msgspec.json.decode(line.message, type=_Frame).data
            self._trades.append((trade.t, trade.p, trade.q, trade.T, trade.m))

    async def _turn(self) -> None:
        self.streams.flush()
        await self.streams.room()


class _Trade(msgspec.Struct):
    t: int
    p: str
    q: str
    T: int
    m: bool


class _Frame(msgspec.Struct):
    data: _Trade
