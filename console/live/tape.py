"""The tape: every instrument's last price, change, volume, score, action and alerts, pushed as they move.

Topics are read only while somebody watches, and for a minute after.

Records of the market log, scores, signals and alerts on their way into the market's arrays.
"""

import asyncio
import re
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import sqlalchemy as sa
from confluent_kafka import Message

from console.identity import Account
from console.live.log_reader import Follower
from console.live.market import DAY, MILLI, Market, Slots
from console.live.viewers import Group, Viewer
from console.refusal import RefusedError
from console.services import Services
from tapewatch import logs
from tapewatch.contract import frames, topics
from tapewatch.contract.frames import Decoder, FrameHeaders
from tapewatch.contract.message import UNREADABLE
from tapewatch.errors import ContractError, TapewatchError

_MARKET = re.compile(topics.MARKET_PATTERN)
_OTHERS = (topics.SCORES, topics.SIGNALS, topics.ALERTS)
_REMEMBERED = 4096


def is_wanted(topic: str) -> bool:
    """Whether the tape is made from a topic."""
    return topic in _OTHERS or _MARKET.match(topic) is not None


class _Signal(msgspec.Struct):
    instrument: str
    action: str


class _Alert(msgspec.Struct):
    instrument: str
    id: str
    severity: str
    state: str


_SIGNAL, _ALERT = msgspec.json.Decoder(_Signal), msgspec.json.Decoder(_Alert)


class TapeReader:
    """Reads records into a market. What cannot be read is counted, and passed over: others keep it."""

    def __init__(self, market: Market) -> None:
        self.refused = 0
        self._market = market
        self._decoder = Decoder()
        self._entries: dict[bytes, Slots] = {}
        self._seen: dict[tuple[str, int, str], tuple[int, int]] = {}

    def take(self, messages: Sequence[Message]) -> None:
        """Take a batch of records in order."""
        for message in messages:
            value = message.value()
            if not value:
                continue
            try:
                self._one(message, value)
            except (ContractError, pa.ArrowException, ValueError, *UNREADABLE):
                self.refused += 1

    def _one(self, message: Message, value: bytes) -> None:
        topic = message.topic()
        if topic == topics.SCORES:
            self._scores(value)
        elif topic == topics.SIGNALS:
            signal = _SIGNAL.decode(value)
            self._market.take_signal(signal.instrument, signal.action)
        elif topic == topics.ALERTS:
            alert = _ALERT.decode(value)
            self._market.take_alert(alert.instrument, alert.id, alert.severity, alert.state)
        elif self._is_new(message) and len(value) <= frames.MAX_FRAME_BYTES:
            view = self._decoder.open(value)
            latest = message.timestamp()[1] * MILLI + DAY
            self._market.take_rows(view, self._entries_of(view), latest)

    def _is_new(self, message: Message) -> bool:
        """Whether a frame is no repeat of its source's: volumes must not count twice."""
        headers = FrameHeaders.from_kafka(message.headers())
        place = (message.topic(), message.partition(), headers.source)
        now = (headers.epoch, headers.sequence)
        if now <= self._seen.get(place, (-1, -1)):
            return False
        if len(self._seen) > _REMEMBERED:
            self._seen.clear()
        self._seen[place] = now
        return True

    def _entries_of(self, view: frames.View) -> Slots:
        """The slot of each entry of a frame's dictionary."""
        found = self._entries.get(view.dictionary)
        if found is None:
            if len(self._entries) >= _REMEMBERED:
                self._entries.clear()
            found = self._entries[view.dictionary] = self._market.slots(view.names())
        return found

    def _scores(self, value: bytes) -> None:
        batch = frames.read_stream(value)
        metadata = batch.schema.metadata or {}
        frames.check_version(metadata.get(b"tapewatch.version", b"").decode())
        if metadata.get(b"tapewatch.type") != b"scores":
            return
        names = metadata.get(b"tapewatch.detectors", b"").decode().split(",")
        column = batch.column("instrument")
        entries = self._market.slots(str(name) for name in column.dictionary.to_pylist())
        codes = column.indices.to_numpy(zero_copy_only=False)
        which = batch.column("detector").to_numpy(zero_copy_only=False).astype(np.int64)
        chance = batch.column("probability").to_numpy(zero_copy_only=False)
        self._market.take_scores(entries[codes], names, which, chance)


TICK_S = 0.25
LINGER_S = 60.0
MAX_VIEWERS = 500
MAX_OF_ACCOUNT = 30
_log = logs.get("console.tape")

# Each instrument's newest day: its first price, newest price and volume. The index on instrument and time is enough.
_BEGIN = """
SELECT i.name, d.last, d.first, d.volume, d.ts_ns FROM instruments i LEFT JOIN LATERAL (
  SELECT b.close AS last, b.ts_ns,
    (SELECT f.open FROM bars f WHERE f.instrument_id = i.id AND f.origin = 0
     AND f.ts_ns > b.ts_open_ns / :day * :day ORDER BY f.ts_ns LIMIT 1) AS first,
    (SELECT sum(nullif(v.volume, 'NaN')) FROM bars v WHERE v.instrument_id = i.id AND v.origin = 0
     AND v.ts_ns > b.ts_open_ns / :day * :day) AS volume
  FROM bars b WHERE b.instrument_id = i.id AND b.origin = 0 ORDER BY b.ts_ns DESC LIMIT 1
) d ON true WHERE i.id > 0 ORDER BY i.name LIMIT 50000
"""
_ALERTS = """
SELECT i.name, a.id, a.severity, a.state FROM alerts a JOIN instruments i ON i.id = a.instrument_id
WHERE a.state <> 'closed' AND a.updated_ns > (SELECT max(updated_ns) FROM alerts) - :day ORDER BY a.updated_ns
"""


class Tape:
    """The market's arrays, and who watches them. `market` is guarded by `lock`: the reader's thread moves it."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._viewing: dict[Viewer, str] = {}
        self._groups: dict[tuple[tuple[str, ...], str], Group] = {}
        self._users = 0
        self._starting = asyncio.Lock()
        self._follower: Follower | None = None
        self._ticking: asyncio.Task[None] | None = None
        self._ending: asyncio.TimerHandle | None = None
        self.lock = threading.Lock()
        self.market = Market()

    @asynccontextmanager
    async def used(self) -> AsyncIterator[None]:
        """Keep the market read for the length of the block."""
        self._users += 1
        try:
            await self._start()
            yield
        finally:
            self._users -= 1
            if not self._users:
                loop = asyncio.get_running_loop()
                self._ending = loop.call_later(LINGER_S, lambda: loop.create_task(self._end()))

    @asynccontextmanager
    async def watched(self, account: Account, instrument: str) -> AsyncIterator[tuple[Group, Viewer]]:
        """A viewer; RefusedError 429 where there are too many."""
        mine = sum(name == account.name for name in self._viewing.values())
        if len(self._viewing) >= MAX_VIEWERS or mine >= MAX_OF_ACCOUNT:
            raise RefusedError(429, "too many tapes are open", "Close some.")
        viewer = Viewer()
        self._viewing[viewer] = account.name
        key = (account.instruments, instrument)
        try:
            async with self.used():
                group = self._groups.setdefault(key, Group(account, instrument))
                group.viewers.add(viewer)
                with self.lock:
                    group.meet(self.market)
                    viewer.hold(group.slots, self.market.size)
                yield group, viewer
        finally:
            del self._viewing[viewer]
            if key in self._groups:
                self._groups[key].viewers.discard(viewer)
                if not self._groups[key].viewers:
                    del self._groups[key]

    def outgoing(self, group: Group, viewer: Viewer) -> list[bytes]:
        """What a viewer is sent now: a head where it lacks one, what waited, what moved meanwhile."""
        encoded, behind = viewer.taken()
        with self.lock:
            head = group.head(viewer)
            sent = [head] if head else []
            if encoded:
                sent.append(encoded)
            if behind is not None:
                sent.append(group.frame(self.market, group.seen(behind), self._now_ms()))
        return sent

    def _now_ms(self) -> float:
        return self._services.clock.now() / MILLI

    async def _start(self) -> None:
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None
        async with self._starting:
            if self._follower is not None:
                return
            self.market = Market()
            await self._load()
            reader = TapeReader(self.market)
            take = partial(self._take, reader)
            follower = Follower(self._services.settings, is_wanted, lambda _: None, take, linger_s=TICK_S / 2)
            follower.start()
            self._follower = follower
            self._ticking = asyncio.create_task(self._tick())

    async def _load(self) -> None:
        """Begin with what the database holds; without it the tape fills as rows come."""
        database = self._services.database
        try:
            rows = await database.rows(_BEGIN, {"day": DAY})
            alerts = await database.rows(_ALERTS, {"day": DAY})
        except (sa.exc.SQLAlchemyError, TapewatchError) as error:
            _log.warning("the tape begins without the database", problem=" ".join(str(error).split())[:200])
            return
        with self.lock:
            for row in rows:
                _begin(self.market, row)
            for alert in alerts:
                self.market.take_alert(*map(str, alert))

    def _take(self, reader: TapeReader, messages: Sequence[Message]) -> None:
        with self.lock:
            reader.take(messages)

    async def _tick(self) -> None:
        """Four times a second: what moved, encoded once for each entitlement."""
        while True:
            await asyncio.sleep(TICK_S)
            with self.lock:
                moved = self.market.moved()
                if not len(moved):
                    continue
                now = self._now_ms()
                for group in self._groups.values():
                    group.meet(self.market)
                    ours = group.seen(moved)
                    if not len(ours):
                        continue
                    encoded = group.frame(self.market, ours, now)
                    for viewer in group.viewers:
                        viewer.offer(encoded, ours, self.market.size)

    async def _end(self) -> None:
        """Stop reading, unless somebody came back."""
        async with self._starting:
            if self._users or self._follower is None:
                return
            follower, self._follower = self._follower, None
            if self._ticking is not None:
                self._ticking.cancel()
                with suppress(asyncio.CancelledError):
                    await self._ticking
            await asyncio.to_thread(follower.stop)

    def hang_up(self) -> None:
        """End every connection."""
        for viewer in self._viewing:
            viewer.close("the console stops")

    async def close(self) -> None:
        """Stop for good."""
        self.hang_up()
        self._users = 0
        if self._ending is not None:
            self._ending.cancel()
        await self._end()


def _begin(market: Market, row: Any) -> None:
    """An instrument's newest day from its bars."""
    name, last, first, volume, at = row
    slot = market.slot(name)
    if slot < 0 or last is None:
        return
    market.last[slot], market.first[slot] = last, first
    market.volume[slot] = volume or 0.0
    market.time[slot], market.day[slot] = at / MILLI, (at - 1) // DAY
    market.priced[slot] = True


@asynccontextmanager
async def tape_of(services: Services) -> AsyncIterator[Tape]:
    """A tape, for as long as the app runs."""
    tape = Tape(services)
    try:
        yield tape
    finally:
        await tape.close()
