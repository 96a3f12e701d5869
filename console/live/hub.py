"""The hub of the event streams: what the topics say goes to every subscriber that may have it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial

from console.identity import Account
from console.live import position
from console.live.event import Event, read
from console.live.log_reader import Follower, Record, read_again, record
from console.live.position import Position
from console.live.subscriber import Form, Note, Subscriber
from console.refusal import RefusedError
from console.services import Services
from tapewatch.settings import Settings
from tapewatch.settings.canaries import is_canary

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
