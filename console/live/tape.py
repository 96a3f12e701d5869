"""The tape: every instrument's last price, change, volume, score, action and alerts, pushed as they move.

Topics are read only while somebody watches, and for a minute after.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import sqlalchemy as sa
from confluent_kafka import Message

from console.identity import Account
from console.live.log_reader import Follower
from console.live.market import DAY, MILLI, Market
from console.live.tape_reader import TapeReader, is_wanted
from console.live.viewers import Group, Viewer
from console.refusal import RefusedError
from console.services import Services
from tapewatch import logs
from tapewatch.errors import TapewatchError

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
