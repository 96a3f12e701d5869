"""A live producer at the end of a session, after a sleep of its machine, and when it is stopped."""

import asyncio
from collections import deque
from typing import Any

from producers.base.collector import Collector
from producers.base.metrics import FeedMetrics
from producers.base.outlet import KafkaOutlet, MemoryOutlet
from producers.base.runner import LiveRun
from producers.base.universe import Choice, Listing
from streams.driver import Driver
from tapewatch.clock import NANOS, ManualClock
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.rows import RowType, StatusKind
from tapewatch.market_log.registry import FixedRegistry
from tapewatch.settings import Settings
from tests.unit.closed_seconds import sealed
from tests.unit.live_feed import AT, NAMES, opened, rows_of
from tests.unit.live_scene import hasty, until

HOUR_NS = 3600 * NANOS


class Quiet:
    """A venue that says nothing, for a calendar of exchanges."""

    def __init__(self, calendar: str) -> None:
        self.feed, self.calendar = "quiet", calendar
        self.decoder: Any = self
        self.collector, self.wants = Collector(), deque[Any]()

    async def listed(self, station: Any) -> list[Listing]:
        return [Listing("A", Instrument("A.XTAI"))]

    async def follow(self, station: Any, listings: Any) -> None:
        """Nobody is to be told."""

    async def run(self, station: Any) -> None:
        await asyncio.Event().wait()


class Edges:
    """Openings and closings at given times, in turn; the first one opens."""

    def __init__(self, *times: int) -> None:
        self.times, self.always_open = times, False

    def is_open(self, ns: int) -> bool:
        return sum(time <= ns for time in self.times) % 2 == 1

    def next_change(self, ns: int) -> tuple[int, StatusKind] | None:
        later = [(time, place) for place, time in enumerate(self.times) if time > ns]
        return (later[0][0], StatusKind.CLOSE if later[0][1] % 2 else StatusKind.OPEN) if later else None


async def statuses(edges: Edges, clock: ManualClock, woken_at: int) -> tuple[list[int], bool, MemoryOutlet]:
    """Status rows of a run whose machine sleeps through to `woken_at`, and whether it then beats."""
    outlet, stop = MemoryOutlet(), asyncio.Event()
    run = LiveRun(hasty(), Quiet(""), outlet, Choice(), clock=clock)
    run._calendar = edges  # type: ignore[assignment]
    run._open = edges.is_open(clock.now())
    task = asyncio.create_task(run.run(stop))
    await until(lambda: run.ready.is_set() or task.done(), "the start")
    if task.done():
        task.result()
    clock.sleep((woken_at - clock.now()) / NANOS)
    count = 1 + sum(time <= woken_at for time in edges.times) - sum(time <= AT for time in edges.times)
    await until(lambda: sum(len(rows) for rows in outlet.rows) >= count, "the sessions' rows")
    await until(lambda: woken_at // NANOS in outlet.seconds or not run._open, "a heartbeat")
    stop.set()
    await task
    kinds = [int(kind) for rows in outlet.rows for kind in rows.columns["kind"]]
    return kinds, run._open, outlet


def test_machine_that_slept_through_a_close_and_an_opening_finds_itself_in_the_open_session() -> None:
    edges = Edges(AT - HOUR_NS, AT + NANOS // 5, AT + 17 * HOUR_NS, AT + 22 * HOUR_NS)
    woken_at = AT + 18 * HOUR_NS
    kinds, is_open, outlet = asyncio.run(statuses(edges, ManualClock(AT), woken_at))
    assert kinds == [StatusKind.OPEN, StatusKind.CLOSE, StatusKind.OPEN]
    assert is_open
    assert woken_at // NANOS in outlet.seconds
    driver = Driver(FixedRegistry([]))
    for rows in outlet.rows:
        driver.send(rows)
    assert not driver.task.tally.refused, "rows that were made up for are not too old to be believed"


def test_session_that_opens_while_the_venue_is_waited_for_is_open() -> None:
    async def scene() -> tuple[list[int], bool, set[int]]:
        outlet, stop, clock = MemoryOutlet(), asyncio.Event(), ManualClock(AT)
        run = LiveRun(hasty(), Quiet(""), outlet, Choice(), clock=clock)
        run._calendar = Edges(AT + HOUR_NS, AT + 9 * HOUR_NS)  # type: ignore[assignment]
        run._open = False
        clock.sleep(2 * 3600)
        task = asyncio.create_task(run.run(stop))
        await until(lambda: bool(outlet.rows and outlet.seconds) or task.done(), "the session's row and a heartbeat")
        stop.set()
        await task
        return [int(kind) for rows in outlet.rows for kind in rows.columns["kind"]], run._open, outlet.seconds

    kinds, is_open, seconds = asyncio.run(scene())
    assert kinds == [StatusKind.OPEN]
    assert is_open
    assert seconds == {(AT + 2 * HOUR_NS) // NANOS}


def test_session_that_ends_writes_its_close_and_stops_beating() -> None:
    edges = Edges(AT - HOUR_NS, AT + NANOS // 5)
    kinds, is_open, outlet = asyncio.run(statuses(edges, ManualClock(AT), AT + 2 * NANOS))
    assert kinds == [StatusKind.OPEN, StatusKind.CLOSE]
    assert not is_open
    assert max(outlet.seconds) <= AT // NANOS + 2


def outlet_over(live: Any) -> KafkaOutlet:
    outlet = KafkaOutlet(Settings(), "live", FeedMetrics("t"))
    outlet._live = live
    return outlet


def test_close_of_a_session_closes_its_last_second_and_minute_in_the_engine() -> None:
    records, live = opened(partitions=2)
    outlet, last = outlet_over(live), AT + 10 * NANOS
    for tenth in range(1_000):
        now = AT + tenth * NANOS // 10
        if now < last:
            outlet.write([rows_of(RowType.QUOTE, [now])])
        outlet.flush(now, beat=now < last)
    for partition in range(2):
        driver = Driver(FixedRegistry([Instrument(name) for name in NAMES]), partition=partition)
        for at, value, headers in records.records:
            if at == partition:
                driver.record(value, headers)
        first, minute = AT // NANOS, (last // NANOS // 60 + 1) * 60
        assert sealed(driver) == list(range(first, minute))


def test_producer_that_is_stopped_waits_for_its_last_second_and_closes_it() -> None:
    records, live = opened()
    outlet = outlet_over(live)
    now = AT + 19 * NANOS // 20
    outlet.write([rows_of(RowType.QUOTE, [now])])
    asyncio.run(outlet.close(now))
    beats = [int(rows.ts_recv[0]) - AT for rows in records.log(0) if rows.type is RowType.STATUS]
    assert beats == [0, NANOS]
    asyncio.run(outlet.close(now))
    assert len(records.log(0)) == 3, "closed once"
