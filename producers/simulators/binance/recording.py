"""A recorded Binance session sent again, with its REST snapshot and the trades that a client may ask for.

Recorded sessions, `local_ns SPACE json` a line, sent again at the recorded pace, N times, or as fast as it goes.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from aiohttp import web

from producers.recordings.files import line_blocks
from producers.recordings.report import RecordingReport
from producers.simulators.binance.rest import DIALECTS, BinanceRest
from producers.simulators.binance.streams import BinanceStreams, Stream
from producers.simulators.server import SimulatorServer
from tapewatch.clock import NANOS
from tapewatch.errors import TapewatchError

BATCH = 256
_LINE = re.compile(rb"(\d{16,19}) (\{.*)", re.DOTALL)
_STREAM = re.compile(rb'\{"stream":"([^"]*)"')

Turn = Callable[[], Awaitable[None]]


class RecordedLine(NamedTuple):
    """A message as it was received. received : UTC ns of then; stream : empty where it is none of a combined stream"""

    received: int
    stream: str
    message: bytes


def recorded_lines(paths: Sequence[Path]) -> Iterator[RecordedLine]:
    """The messages of several files, one after another; lines of another form are left out."""
    report = RecordingReport()
    for path in paths:
        for _, lines in line_blocks(path, report, BATCH):
            for line in lines:
                found = _LINE.match(line)
                if found is not None:
                    stream = _STREAM.match(found[2])
                    yield RecordedLine(int(found[1]), stream[1].decode() if stream else "", found[2])


def snapshot_of(paths: Sequence[Path]) -> bytes:
    """The first recorded answer to a request for a book, which is no message of a stream; empty if there is none."""
    return next((line.message for line in recorded_lines(paths) if b'"lastUpdateId"' in line.message[:40]), b"")


async def send_recorded(
    lines: Iterable[RecordedLine], take: Callable[[RecordedLine], None], turn: Turn, pace: float = 0.0
) -> None:
    """Hand on line after line. take : puts a line where it goes; turn : writes what was put, and waits for slow clients

    pace : 1 recorded, N times that, 0 as fast as `turn` lets it
    """
    time = asyncio.get_running_loop().time
    began, first = time(), -1
    for count, line in enumerate(lines):
        first = line.received if first < 0 else first
        ahead = (line.received - first) / NANOS / pace - (time() - began) if pace else 0.0
        if ahead > 0.0 or count % BATCH == 0:
            await turn()
            await asyncio.sleep(max(0.0, ahead))
        take(line)
    await turn()


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
