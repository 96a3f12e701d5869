"""A link with websockets made by hand, on a loop whose time jumps: every second of what it does can be said."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any

import msgspec
from aiohttp import WSMessage, WSMsgType

from producers.base.collector import Collector
from producers.base.feed_session import FeedSession
from producers.base.reconnecting_websocket import ReconnectingWebSocket
from tapewatch.clock import NANOS
from tapewatch.settings import Settings
from tests.unit.live_time import JumpingLoop, Longest, jumping

T = 1_700_000_000 * NANOS
USUAL = {
    "hold_s": 10.0, "connect_timeout_s": 10.0, "backoff_first_s": 1.0, "backoff_cap_s": 8.0, "ping_s": 15.0,
    "stale_s": 32.0, "link_max_age_s": 1000.0, "overlap_s": 20.0,
}  # fmt: skip
"""The settings of a scene, unless it says otherwise."""


def now_s() -> float:
    return asyncio.get_running_loop().time()


class Wire:
    """A websocket of the venue's: what we do with it and when, and what the venue says next.

    first : what it says at once; connect_s : how long it takes to come about
    """

    def __init__(self, *first: str, connect_s: float = 0.0) -> None:
        self.connect_s = connect_s
        self.answers_pings = self.lingers = False
        self.send_fails: Exception | None = None
        self.close_fails: Exception | None = None
        self.cut_fails: Exception | None = None
        self.sent: list[tuple[float, str]] = []
        self.pings: list[float] = []
        self.pongs: list[object] = []
        self.goodbyes: list[float] = []
        self.cuts: list[float] = []
        self.close_code: int | None = None
        self._is_read = False
        self._said: asyncio.Queue[WSMessage | Exception] = asyncio.Queue()
        self._response = _Response(self)
        for text in first:
            self.say(text)

    def say(self, text: str) -> None:
        self.tell(WSMsgType.TEXT, text.encode())

    def tell(self, kind: WSMsgType, data: object = None) -> None:
        self._said.put_nowait(WSMessage(kind, data, None))

    def fails(self, error: Exception) -> None:
        """What reading it next gives."""
        self._said.put_nowait(error)

    def breaks(self, code: int | None = 1006) -> None:
        """The venue ends it."""
        self.close_code = code
        self.tell(WSMsgType.CLOSED)

    async def receive(self) -> WSMessage:
        self._is_read = True
        try:
            told = await self._said.get()
        finally:
            self._is_read = False
        if isinstance(told, Exception):
            raise told
        return told

    async def send_str(self, text: str) -> None:
        if self.send_fails is not None:
            raise self.send_fails
        self.sent.append((now_s(), text))

    async def ping(self) -> None:
        if self.send_fails is not None:
            raise self.send_fails
        self.pings.append(now_s())
        if self.answers_pings:
            self.tell(WSMsgType.PONG)

    async def pong(self, data: object) -> None:
        self.pongs.append(data)

    async def close(self) -> None:
        assert not self._is_read, "somebody reads what is being closed"
        self.goodbyes.append(now_s())
        if self.close_fails is not None:
            raise self.close_fails
        if self.lingers:
            await asyncio.Event().wait()


class _Response:
    """What lies under a websocket: closing it breaks the socket at once."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def close(self) -> None:
        self._wire.cuts.append(now_s())
        if self._wire.cut_fails is not None:
            self._wire.fails(self._wire.cut_fails)
        else:
            self._wire.tell(WSMsgType.CLOSED)


class Venue:
    """Gives the next of its wires, or its refusals, to whoever connects; after the last one nobody is let in.

    calls : when, with which address and options
    """

    def __init__(self, outcomes: Sequence[Wire | Exception]) -> None:
        self.outcomes = list(outcomes)
        self.calls: list[tuple[float, str, dict[str, Any]]] = []

    async def ws_connect(self, url: str, **options: Any) -> Wire:
        self.calls.append((now_s(), url, options))
        outcome = self.outcomes.pop(0) if self.outcomes else ConnectionRefusedError()
        if isinstance(outcome, Exception):
            raise outcome
        await asyncio.sleep(outcome.connect_s)
        return outcome

    @property
    def connects(self) -> list[float]:
        return [at for at, _, _ in self.calls]


class KeptDecoder:
    """Keeps what a link brings, and when."""

    def __init__(self) -> None:
        self.messages: list[tuple[float, str]] = []
        self.losses: list[tuple[float, list[str], str]] = []

    @property
    def texts(self) -> list[str]:
        return [text for _, text in self.messages]

    def message(self, data: bytes, received: int) -> None:
        self.messages.append(((received - T) / NANOS, data.decode()))

    def lost(self, symbols: Collection[str], reason: str, received: int) -> None:
        self.losses.append(((received - T) / NANOS, list(symbols), reason))


class KeptTape:
    """Keeps what a recording would hold."""

    behind = False

    def __init__(self) -> None:
        self.kept: list[tuple[Any, ...]] = []

    def message(self, link: str, data: bytes, received: int) -> None:
        self.kept.append(("message", link, data, (received - T) / NANOS))

    def lost(self, link: str, symbols: Sequence[str], reason: str, received: int) -> None:
        self.kept.append(("lost", link, list(symbols), reason, (received - T) / NANOS))

    def opened(self, link: str, symbols: Collection[str], received: int) -> None:
        self.kept.append(("opened", link, list(symbols), (received - T) / NANOS))


class KeptLog:
    """Keeps events with the time at which they were logged."""

    def __init__(self) -> None:
        self.events: list[tuple[float, str, dict[str, Any]]] = []

    def bind(self, **_: object) -> "KeptLog":
        return self

    def warning(self, event: str, **fields: Any) -> None:
        self.events.append((now_s(), event, fields))

    info = warning

    def waits(self) -> list[tuple[str, float]]:
        """Why a connection was lost, and the wait until the next one, of each."""
        return [(fields["reason"], fields["wait_s"]) for _, event, fields in self.events if event == "connection lost"]


class LoopClock:
    """The loop's time as the time of day."""

    def now(self) -> int:
        return T + round(now_s() * NANOS)

    elapsed = now

    def sleep(self, seconds: float) -> None:
        raise AssertionError("a link never blocks")


class Scene:
    """A link of the symbols B and A that says `one` and `two` when it is connected.

    outcomes : what the venue gives to each attempt to connect; options : of the link, or of the settings
    """

    def __init__(self, *outcomes: Wire | Exception, **options: Any) -> None:
        changed = {name: options.pop(name) for name in list(options) if name in USUAL}
        produce = msgspec.structs.replace(Settings().produce, **(USUAL | changed))
        self.venue, self.decoder, self.tape, self.log = Venue(outcomes), KeptDecoder(), KeptTape(), KeptLog()
        settings = msgspec.structs.replace(Settings(), produce=produce)
        station: Any = FeedSession(settings, "feed", Collector(), _nothing, LoopClock(), self.tape)  # type: ignore[arg-type]
        station.session, station.log = lambda: self.venue, self.log
        self.station: FeedSession = station
        decoder: Any = self.decoder
        self.link = ReconnectingWebSocket(
            station, "l", "ws://localhost/x", decoder, {"B", "A"}, ["one", "two"], **options
        )
        self.link._backoff._rng = Longest()
        self.task = asyncio.create_task(self.link.run())

    async def at(self, second: float) -> None:
        """Let everything happen until then, and what is due then."""
        await asyncio.sleep(second - now_s())
        for _ in range(20):
            await asyncio.sleep(0)

    async def end(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


async def _nothing(_: object) -> None:
    """Registers nobody."""


def played(scene: Callable[[], Awaitable[None]]) -> None:
    """Run a scene from second 0 on; no task may be left when it ends."""

    async def run() -> None:
        await scene()
        left = [task.get_name() for task in asyncio.all_tasks() - {asyncio.current_task()}]
        assert not left

    jumping(run())


def stand_still(seconds: float) -> None:
    """Nothing of this process runs for so long."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, JumpingLoop)
    loop.stand_still(seconds)
