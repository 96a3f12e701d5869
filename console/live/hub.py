"""The hub of the event streams: what the topics say goes to every subscriber that may have it.

One listener of the event streams: what it wants, and what waits for it, bounded in bytes.

One message on its way to subscribers: read once, encoded once, shared by all.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import lru_cache, partial
from typing import Any, Literal

import msgspec

from console.identity import Account
from console.live import position
from console.live.log_reader import Follower, Record, read_again, record
from console.live.position import Log, Position, encode
from console.refusal import RefusedError
from console.services import Services
from tapewatch.contract import topics
from tapewatch.contract.message import UNREADABLE
from tapewatch.settings import Settings
from tapewatch.settings.canaries import is_canary


class _Head(msgspec.Struct):
    """The part of a message that says whom it concerns."""

    instrument: str = ""
    instruments: tuple[str, ...] = ()


class _RankedInstrument(msgspec.Struct):
    instrument: str = ""


class _Ranking(msgspec.Struct):
    ranked: tuple[_RankedInstrument, ...] = ()
    excluded: dict[str, Any] = {}


_HEAD = msgspec.json.Decoder(_Head)
_RANKING = msgspec.json.Decoder(_Ranking)


class Event:
    """A message of a topic with its id; `sse` and `frame` are made when the first subscriber wants them.

    instruments : whom it concerns; position : of the stream after it
    """

    __slots__ = ("_frame", "_id", "_position", "_sse", "instruments", "topic", "value")

    def __init__(self, topic: str, value: bytes, instruments: frozenset[str], position: Mapping[Log, int]) -> None:
        self.topic, self.value, self.instruments = topic, value, instruments
        self._position: dict[Log, int] | None = dict(position)
        self._id = ""
        self._sse = b""
        self._frame = b""

    @property
    def id(self) -> str:
        """The id to resume after it."""
        if self._position is not None:
            self._id, self._position = encode(self._position), None
        return self._id

    @property
    def sse(self) -> bytes:
        """As a server-sent event."""
        if not self._sse:
            self._sse = b"id: %b\nevent: %b\ndata: %b\n\n" % (self.id.encode(), self.topic.encode(), self.value)
        return self._sse

    @property
    def frame(self) -> bytes:
        """As the text of a WebSocket message."""
        if not self._frame:
            self._frame = b'{"id":"%b","topic":"%b","message":%b}' % (
                self.id.encode(),
                self.topic.encode(),
                self.value,
            )
        return self._frame


def read(topic: str, value: bytes | None) -> tuple[bytes, frozenset[str]] | None:
    """A record's message on one line, and the instruments it concerns; None where it is no message."""
    try:
        if not value or b"\n" in value or b"\r" in value:
            value = msgspec.json.encode(msgspec.json.decode(value or b""))
        value.decode()
        if topic == topics.RANKINGS:
            ranking = _RANKING.decode(value)
            return value, frozenset({each.instrument for each in ranking.ranked} | ranking.excluded.keys())
        head = _HEAD.decode(value)
    except UNREADABLE:
        return None
    return value, frozenset({head.instrument, *head.instruments} - {""})


@lru_cache(1 << 16)
def _sees(patterns: tuple[str, ...], instrument: str) -> bool:
    return Account("", "viewer", patterns).sees(instrument)


def may_see(account: Account, event: Event) -> bool:
    """Whether an account may have an event: only where it sees every instrument that the event names."""
    patterns = account.instruments
    return "*" in patterns or all(_sees(patterns, instrument) for instrument in event.instruments)


MAX_WAITING = 256 * 1024
"""Bytes that may wait for one subscriber; beyond them its stream is closed, and it resumes by id."""

_AT_ONCE = 64 * 1024
PAGES = {topics.ALERTS: "alerts", topics.CASES: "cases", topics.SIGNALS: "signals", topics.RANKINGS: "signals"}
"""The entitlement that each topic belongs to."""

Form = Literal["sse", "frame"]


class Note(msgspec.Struct, frozen=True):
    """What the stream itself says. kind : gap (events were left out) or closed (resume by the last id)

    id : where the stream stands after it, empty where it does not move
    """

    kind: Literal["gap", "closed"]
    reason: str
    id: str = ""
    missed: dict[str, int] = {}

    def encoded(self, form: Form) -> bytes:
        """As a server-sent event of that kind, or as the text of a WebSocket message."""
        body = msgspec.json.encode({"reason": self.reason, "missed": self.missed})
        if form == "sse":
            place = f"id: {self.id}\n".encode() if self.id else b""
            return place + b"event: %b\ndata: %b\n\n" % (self.kind.encode(), body)
        return b'{"id":"%b","topic":"%b","message":%b}' % (self.id.encode(), self.kind.encode(), body)


class Subscriber:
    """A listener. Its waiting events belong to the event loop; nothing here is safe across threads."""

    def __init__(self, account: Account, wanted: frozenset[str], instrument: str, form: Form) -> None:
        self.account, self.wanted, self.instrument, self.form = account, wanted, instrument, form
        self.reason = ""
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._ready = asyncio.Event()

    def wants(self, event: Event) -> bool:
        """Whether an event is for it."""
        if event.topic not in self.wanted or (self.instrument and self.instrument not in event.instruments):
            return False
        return may_see(self.account, event)

    def offer(self, event: Event) -> None:
        """Put an event into the queue; an overflow closes the stream instead of losing one."""
        if self.reason or not self.wants(event):
            return
        encoded = event.sse if self.form == "sse" else event.frame
        if self._bytes + len(encoded) > MAX_WAITING:
            self.close("you read too slowly; resume by the last id")
            return
        self._waiting.append(encoded)
        self._bytes += len(encoded)
        self._ready.set()

    def close(self, reason: str) -> None:
        """End the stream; what waits is dropped, since the client has not seen its ids."""
        self.reason = self.reason or reason
        self._waiting.clear()
        self._bytes = 0
        self._ready.set()

    async def next(self, seconds: float) -> list[bytes]:
        """What waits, 64 KiB at most at a time; empty after that many seconds of nothing, or at the end."""
        if not self._waiting and not self.reason:
            try:
                await asyncio.wait_for(self._ready.wait(), seconds)
            except TimeoutError:
                return []
        taken: list[bytes] = []
        size = 0
        while self._waiting and size < _AT_ONCE:
            taken.append(self._waiting.popleft())
            size += len(taken[-1])
        self._bytes -= size
        if not self._waiting and not self.reason:
            self._ready.clear()
        return taken


MAX_STREAMS = 500
MAX_OF_ACCOUNT = 120
_REPLAYS_AT_ONCE = 4
_WAIT_S = 5.0
_REPLAYED = 512 * 1024
"""Bytes sent again at one go at most: then the stream is closed, and the client resumes for the rest."""


class Hub:
    """Fans records out to subscribers; everything here happens in the event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._canaries = settings.notify.canaries
        self._position: Position = {}
        self._known = asyncio.Event()
        self._subscribers: set[Subscriber] = set()
        self._replays = asyncio.Semaphore(_REPLAYS_AT_ONCE)

    def begin(self, at: Position) -> None:
        """The topics are followed from here on."""
        self._position |= at
        self._known.set()

    def publish(self, records: list[Record]) -> None:
        """Hand records on."""
        for topic, partition, offset, value in records:
            self._position[topic, partition] = offset + 1
            if not any(topic in each.wanted for each in self._subscribers):
                continue
            found = self._read(topic, value)
            if found is None:
                continue
            event = Event(topic, *found, self._position)
            for each in self._subscribers:
                each.offer(event)

    def _read(self, topic: str, value: bytes | None) -> tuple[bytes, frozenset[str]] | None:
        """A message and whom it concerns; None where it is none, or is said of canaries alone."""
        found = read(topic, value)
        if found is None or (found[1] and all(is_canary(self._canaries, name) for name in found[1])):
            return None
        return found

    @property
    def id(self) -> str:
        """The id of where the stream stands."""
        return position.encode(self._position)

    @asynccontextmanager
    async def subscribed(
        self, account: Account, wanted: frozenset[str], instrument: str, form: Form, last: str
    ) -> AsyncIterator[tuple[Subscriber, list[bytes]]]:
        """A subscriber, and what it has to be sent first: what it missed since the id `last`, or where it begins.

        RefusedError 422 for an id that is none, 429 where there are too many streams, 503 while Kafka is not there.
        """
        seen = position.decode(last) if last else None
        self._check_room(account)
        try:
            await asyncio.wait_for(self._known.wait(), _WAIT_S)
        except TimeoutError as error:
            raise RefusedError(503, "the topics cannot be read", "Is Kafka running? Try again in a moment.") from error
        subscriber = Subscriber(account, wanted, instrument, form)
        self._subscribers.add(subscriber)
        try:
            # From this moment on what comes waits in the subscriber's queue: the replay ends exactly where it begins.
            now = dict(self._position)
            first = [_begins(form, position.encode(now))] if seen is None else await self._missed(subscriber, seen, now)
            yield subscriber, first
        finally:
            self._subscribers.discard(subscriber)

    def _check_room(self, account: Account) -> None:
        mine = sum(each.account.name == account.name for each in self._subscribers)
        if len(self._subscribers) >= MAX_STREAMS or mine >= MAX_OF_ACCOUNT:
            raise RefusedError(429, "too many event streams are open", "Close some.")

    async def _missed(self, subscriber: Subscriber, last: Position, now: Position) -> list[bytes]:
        """Notes and events between an id and now."""
        async with self._replays:
            starts, left_out, records = await asyncio.to_thread(
                read_again, self._settings, last, now, subscriber.wanted
            )
        # What was not asked for counts as seen; what was asked for moves on record by record.
        reached = {**now, **starts}
        sent: list[bytes] = []
        size = 0
        if left_out:
            sent.append(_gap(left_out, reached).encoded(subscriber.form))
        for topic, partition, offset, value in records:
            reached[topic, partition] = offset + 1
            found = self._read(topic, value)
            if found is None:
                continue
            event = Event(topic, *found, reached)
            if not subscriber.wants(event):
                continue
            sent.append(event.sse if subscriber.form == "sse" else event.frame)
            size += len(sent[-1])
            if size > _REPLAYED:
                subscriber.close("there is more; resume by the last id")
                return sent
        return [*sent, _begins(subscriber.form, position.encode(now))]

    def hang_up(self) -> None:
        """End every stream: the server waits for them when it stops."""
        for each in self._subscribers:
            each.close("the console stops; resume by the last id")


def _gap(left_out: Mapping[position.Log, int], reached: Position) -> Note:
    """Tells how many offsets of each topic were left out."""
    missed: dict[str, int] = {}
    for (topic, _), offsets in left_out.items():
        missed[topic] = missed.get(topic, 0) + offsets
    return Note("gap", "too much came since, or the log no longer holds it", position.encode(reached), missed)


def _begins(form: Form, place: str) -> bytes:
    """An empty event that moves the client's id to where the live stream begins."""
    if form == "sse":
        return b"id: %b\nevent: begin\ndata: {}\n\n" % place.encode()
    return b'{"id":"%b","topic":"begin","message":{}}' % place.encode()


@asynccontextmanager
async def hub_of(services: Services) -> AsyncIterator[Hub]:
    """A hub with its thread, for as long as the app runs."""
    hub = Hub(services.settings)
    loop = asyncio.get_running_loop()

    def hand(work: partial[None]) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(work)

    follower = Follower(
        services.settings,
        position.TOPICS.__contains__,
        lambda at: hand(partial(hub.begin, at)),
        lambda messages: hand(partial(hub.publish, [record(each) for each in messages])),
    )
    follower.start()
    try:
        yield hub
    finally:
        hub.hang_up()
        await asyncio.to_thread(follower.stop)
