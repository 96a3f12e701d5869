"""What a connector works with: requests, websockets, timed tasks, and answers to its decoder's questions.

What a live venue has to bring: who is listed, how to follow them, and a decoder.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from typing import Any, Protocol

import aiohttp

from producers.base.answers import Answer, HttpError
from producers.base.backoff import Backoff
from producers.base.clock_offset import ClockOffset
from producers.base.collector import Collector
from producers.base.decoder import Decoder, DecoderRequest
from producers.base.http import Http, TokenBucket
from producers.base.metrics import ConnectionCounters
from producers.base.universe import Listing
from tapewatch import logs
from tapewatch.clock import WALL, Clock
from tapewatch.contract.instruments import Instrument
from tapewatch.settings import Settings

ASKING = 8
"""Questions under way at a time."""


class Websocket(ConnectionCounters, Protocol):
    """A connection that stays."""

    @property
    def is_up(self) -> bool:
        """Whether a connection stands."""
        ...


class Tape(Protocol):
    """Keeps what came in."""

    def message(self, link: str, data: bytes, received: int) -> None:
        """A pushed message."""
        ...

    def answer(self, want: DecoderRequest, body: bytes, received: int) -> None:
        """The body of an answer."""
        ...

    def lost(self, link: str, symbols: Sequence[str], reason: str, received: int) -> None:
        """A connection broke."""
        ...

    def opened(self, link: str, symbols: Collection[str], received: int) -> None:
        """A connection carries these symbols now."""
        ...

    def follow(self, listings: Sequence[Listing], received: int) -> None:
        """These are followed from now on, and no others."""
        ...

    def note(self, name: str, received: int, want: DecoderRequest | None = None, reason: str = "") -> None:
        """A connector tells its decoder something that is none of the above."""
        ...

    @property
    def behind(self) -> bool:
        """Whether sockets had better not be read for a while."""
        ...


class FeedSession:
    """One feed's surroundings while its producer runs.

    collector : where rows go; gate : clear while Kafka cannot keep up, and then sockets are not read
    wanted : set when the decoder has questions; offset : the venue's clock against ours
    shed : connections closed because they could not be read in time
    failures : of timed work and questions, by reason; links, services : every websocket and
    web service
    """

    def __init__(
        self,
        settings: Settings,
        feed: str,
        collector: Collector,
        register: Callable[[Sequence[Instrument]], Awaitable[None]],
        clock: Clock = WALL,
        tape: Tape | None = None,
    ) -> None:
        self.settings, self.produce, self.feed, self.collector = settings, settings.produce, feed, collector
        self.clock, self.now = clock, clock.now
        self.log = logs.get("produce", feed=feed)
        self.gate = asyncio.Event()
        self.gate.set()
        self.shed = 0
        self.wanted = asyncio.Event()
        self.offset = ClockOffset()
        self.failures: Counter[str] = Counter()
        self.links: list[Websocket] = []
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.tape_message = tape.message if tape is not None else None
        self._tape, self._register = tape, register
        self._tasks: set[asyncio.Task[None]] = set()
        self.services: list[Http] = []
        self._session: aiohttp.ClientSession | None = None

    async def may_read(self) -> bool:
        """Wait until sockets may be read, `produce.hold_s` at most.

        False where that took longer: what lies in them by then would pass for fresh.
        """
        if self.gate.is_set():
            return True
        try:
            await asyncio.wait_for(self.gate.wait(), self.produce.hold_s)
        except TimeoutError:
            self.shed += 1
            return False
        return True

    def http(self, address: str, *, per_second: float = 0.0, burst: float = 1.0, **options: Any) -> Http:
        """A web service of the venue; `options` as of Http. per_second, burst : its limit, in weights; 0 is none"""
        options.setdefault("bucket", TokenBucket(per_second, burst))
        service = Http(self.produce, address, clock=self.clock, on_answer=self._answered, **options)
        self.services.append(service)
        return service

    def session(self) -> aiohttp.ClientSession:
        """The session of all websockets."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                headers={"User-Agent": "tapewatch"}, connector=aiohttp.TCPConnector(limit=0)
            )
        return self._session

    def tape_lost(self, link: str, symbols: Sequence[str], reason: str, received: int) -> None:
        """Let the tape know that a connection broke."""
        if self._tape is not None:
            self._tape.lost(link, symbols, reason, received)

    def tape_opened(self, link: str, symbols: Collection[str], received: int) -> None:
        """Let the tape know what a connection carries."""
        if self._tape is not None:
            self._tape.opened(link, symbols, received)

    def tape_answer(self, want: DecoderRequest, body: bytes, received: int) -> None:
        """Let the tape know an answer that came as an error of the web service and says something all the same."""
        if self._tape is not None:
            self._tape.answer(want, body, received)

    def tape_note(self, name: str, received: int, want: DecoderRequest | None = None, reason: str = "") -> None:
        """Let the tape know what the decoder is told besides messages, answers and breaks."""
        if self._tape is not None:
            self._tape.note(name, received, want, reason)

    async def register(self, instruments: Sequence[Instrument]) -> None:
        """Register reference data; rows of these may follow when it returns."""
        await self._register(instruments)

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run beside the others; an exception ends the producer with it."""
        task = asyncio.create_task(work, name=f"{self.feed} {name}")
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def every(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        """Do something at once and then every so often, without drift; where it fails it is logged, and goes on.

        Where it takes longer than `seconds`, the rounds that were missed are left out.
        """
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            try:
                await work()
            except HttpError as error:
                self.failures[error.reason] += 1
                self.log.warning("request failed", reason=error.reason, detail=error.detail)
            due += seconds
            if due < loop.time():
                missed = int((loop.time() - due) / seconds)
                self.failures["late"] += missed
                due += missed * seconds
            await asyncio.sleep(max(0.0, due - loop.time()))

    async def answer_wants(self, decoder: Decoder, ask: Callable[[DecoderRequest], Awaitable[Answer]]) -> None:
        """Ask the venue what the decoder wants to know, several questions at a time, until cancelled.

        A question that stands already is asked once; one that fails is asked again after a while.
        """
        standing: set[DecoderRequest] = set()
        slots = asyncio.Semaphore(ASKING)

        async def one(want: DecoderRequest) -> None:
            backoff = Backoff(self.produce.backoff_first_s, self.produce.backoff_cap_s)
            async with slots:
                while True:
                    try:
                        answer = await ask(want)
                        break
                    except HttpError as error:
                        self.failures[error.reason] += 1
                        self.log.warning("question failed", want=want.kind, symbol=want.symbol, reason=error.reason)
                        if error.reason in ("not_found", "client_error"):
                            standing.discard(want)
                            return
                        await asyncio.sleep(backoff.next())
            standing.discard(want)
            if self._tape is not None and not answer.status:
                # Made up by the connector: no web service has given it, and so none has put it on the tape.
                self._tape.answer(want, answer.body, answer.received)
            decoder.answer(want, answer.body, answer.received)

        while True:
            await self.wanted.wait()
            self.wanted.clear()
            while decoder.wants:
                want = decoder.wants.popleft()
                if want not in standing:
                    standing.add(want)
                    self.spawn(one(want), f"{want.kind} {want.symbol}")

    async def close(self) -> None:
        """End all tasks and connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for service in self.services:
            await service.close()
        if self._session is not None:
            await self._session.close()

    def _answered(self, answer: Answer, want: Any) -> None:
        self.offset.answer(answer)
        if self._tape is not None and isinstance(want, DecoderRequest):
            self._tape.answer(want, answer.body, answer.received)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None and not self.failed.done():
            self.failed.set_exception(error)


class Connector(Protocol):
    """A venue's side of a live producer.

    feed : whose market topic it fills; calendar : of exchange_calendars, empty for a venue that never closes
    """

    feed: str
    calendar: str

    @property
    def decoder(self) -> Decoder:
        """What its messages go to."""
        ...

    async def listed(self, station: FeedSession) -> list[Listing]:
        """Everything that the venue lists now; asked at start and once a day."""
        ...

    async def follow(self, station: FeedSession, listings: Sequence[Listing]) -> None:
        """Follow these and no others from now on; called before `run`, and again when the universe has changed."""
        ...

    async def run(self, station: FeedSession) -> None:
        """Keep connections and questions going until cancelled."""
        ...
