"""Event time never stalls: seconds close by the log's own clock, idle or halted, at a session's end, through breaks,
holidays and summer time, whatever a venue's or a writer's clock says.
"""

import json
from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from producers.base.sessions import SessionCalendar
from producers.feed import FeedWriter, LiveWriter
from producers.feed.log_tail import LogTail
from streams.driver import Driver, table
from tapewatch.clock import NANOS, ManualClock, SteadyClock
from tapewatch.contract import frames, topics
from tapewatch.contract.checks import MAX_SKEW_NS
from tapewatch.contract.frames import Decoder, FrameHeaders
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.rows import RowType, StatusKind, heartbeat_rows
from tapewatch.market_log.registry import FixedRegistry
from tests.unit import engine_market as m
from tests.unit.closed_seconds import sealed
from tests.unit.engine_market import feature, heartbeats, in_order, quote, run, status, trade
from tests.unit.live_feed import AT, NAMES, Records, opened, rows_of

pytestmark = pytest.mark.filterwarnings("ignore:Series.values returning")  # within exchange_calendars


def coverage(driver: Driver) -> list[tuple[str, str, int]]:
    records = [json.loads(value) for value in m.messages_of(driver.outgoing(), topics.COVERAGE)]
    return [(each["instrument"], each["reason"], each["seconds"]) for each in records]


def driven(records: Records, partition: int = 0) -> Driver:
    """What the engine makes of what a writer wrote into a partition."""
    driver = Driver(FixedRegistry([Instrument(name) for name in NAMES]), partition=partition)
    for at, value, headers in records.records:
        if at == partition:
            driver.record(value, headers)
    return driver


# Idle


def test_partition_without_an_instrument_seals_its_seconds_on_heartbeats_alone() -> None:
    driver = run(heartbeats(5))
    assert [second - m.START for second in sealed(driver)] == [0, 1, 2, 3, 4]


def test_idle_partition_seals_the_same_seconds_as_the_busy_one() -> None:
    records, live = opened(partitions=3)
    for tenth in range(80):
        live.add(rows_of(RowType.QUOTE, [AT + tenth * NANOS // 10]))
        live.flush(AT + tenth * NANOS // 10)
    filled = {at for at, value, _ in records.records if Decoder().open(value).type is RowType.QUOTE}
    assert len(filled) == 1
    assert [sealed(driven(records, each)) for each in range(3)] == [[AT // NANOS + each for each in range(7)]] * 3


def test_instrument_that_spoke_once_has_a_row_of_every_second_of_the_hour() -> None:
    driver = m.new_driver(["A.SIMX", "B.SIMX"])
    m.send(driver, [quote("A.SIMX", 0.2, 99, 101)], ["A.SIMX"])
    for first in range(1, 3601, 600):
        driver.send(heartbeat_rows((m.START + np.arange(first, first + 600)) * NANOS))
    assert list(feature(driver, "A.SIMX", "spread_bps")) == list(range(3600))
    assert coverage(driver) == []


# Halts and gaps


def test_instrument_halted_until_the_close_holds_nobody_up_and_its_halt_is_in_coverage() -> None:
    quotes = [quote("B.SIMX", second, 99, 101) for second in range(40)]
    halt = [quote("A.SIMX", 1, 99, 101), status(StatusKind.HALT, 10.5, "A.SIMX")]
    driver = run(in_order(quotes, halt, [status(StatusKind.CLOSE, 30.5)], heartbeats(40)))
    assert list(feature(driver, "A.SIMX", "spread_bps")) == list(range(1, 10))
    assert list(feature(driver, "B.SIMX", "spread_bps")) == list(range(30))
    assert [second - m.START for second in sealed(driver)] == list(range(40))
    assert coverage(driver) == [("A.SIMX", "halt", 20)]


def test_feed_that_dies_in_an_open_session_is_silent() -> None:
    driver = run([quote("A.SIMX", 0, 99, 101), status(StatusKind.OPEN, 0), status(StatusKind.HEARTBEAT, 60)])
    assert coverage(driver) == [("*", "silent", 59)]


# Sessions

TAIPEI, TOKYO, NEW_YORK, LONDON = "Asia/Taipei", "Asia/Tokyo", "America/New_York", "Europe/London"

BREAKS = [
    pytest.param("XTAI", TAIPEI, "2024-08-08T13:30", "2024-08-09T09:00", id="night"),
    pytest.param("XTAI", TAIPEI, "2024-04-03T13:30", "2024-04-08T09:00", id="holiday"),
    pytest.param("XTKS", TOKYO, "2024-08-08T11:30", "2024-08-08T12:30", id="lunch break"),
    pytest.param("XNYS", NEW_YORK, "2024-11-29T13:00", "2024-12-02T09:30", id="half day"),
    pytest.param("XNYS", NEW_YORK, "2024-03-08T16:00", "2024-03-11T09:30", id="summer time begins in New York"),
    pytest.param("XNYS", NEW_YORK, "2024-11-01T16:00", "2024-11-04T09:30", id="summer time ends in New York"),
    pytest.param("XLON", LONDON, "2024-03-28T16:30", "2024-04-02T08:00", id="summer time begins in London"),
    pytest.param("XLON", LONDON, "2024-10-25T16:30", "2024-10-28T08:00", id="summer time ends in London"),
]
"""Calendar, zone, the end of a session, and the beginning of the next."""


def local(text: str, zone: str) -> int:
    """UTC second of a local time."""
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp())


def around(code: str, start: int, stop: int) -> Records:
    """What a live writer writes from `start` to `stop` (UTC seconds): quotes every second while the calendar has the
    exchange open, OPEN and CLOSE when it says so, and nothing more than it has to while it is closed.
    """
    calendar, records = SessionCalendar(code), Records()
    live = LiveWriter(FeedWriter(records, "t", "live", 1, 1, NAMES, ManualClock(AT)))
    was_open = calendar.is_open(start * NANOS - 1)
    for second in seconds_of_interest(calendar, start, stop):
        now = second * NANOS + NANOS // 2
        is_open = calendar.is_open(now)
        if is_open != was_open:
            kind = StatusKind.OPEN if is_open else StatusKind.CLOSE
            live.add(m.rows_of([m.Event(RowType.STATUS, "*", now, {"kind": int(kind), "detail": ""})], ["*"]))
        was_open = is_open
        if is_open:
            live.add(rows_of(RowType.QUOTE, [now + 1]))
            live.add(rows_of(RowType.TRADE, [now + 2]))
        if is_open or live.pending or live.owes(now):
            live.flush(now + 2)
    return records


def seconds_of_interest(calendar: SessionCalendar, start: int, stop: int) -> Iterator[int]:
    """Every second but those of the inside of a break, 100 s after its beginning to its end."""
    second = start
    while second < stop:
        yield second
        second += 1
        change = calendar.next_change((second - 100) * NANOS)
        if not calendar.is_open((second - 100) * NANOS) and change is not None and change[0] > second * NANOS:
            second = change[0] // NANOS


@pytest.mark.parametrize(("code", "zone", "end", "beginning"), BREAKS)
def test_last_second_and_last_minute_of_a_session_close_at_its_end_and_the_break_is_no_silence(
    code: str, zone: str, end: str, beginning: str
) -> None:
    pytest.importorskip("exchange_calendars", reason="the live extra is not installed")
    closes, opens = local(end, zone), local(beginning, zone)
    driver = driven(around(code, closes - 90, opens + 70))
    tail = 60  # the CLOSE row lies in the minute after the session's last one, and that minute is closed too
    # The second in which the session opens was begun by the heartbeat that ended the minute before the break.
    assert sealed(driver) == [*range(closes - 90, closes + tail), closes + tail, *range(opens, opens + 69)]
    assert coverage(driver) == []
    found = table(driver.outgoing(), "features")
    assert (found["ts"] // NANOS - 1).tolist() == [*range(closes - 90, closes), *range(opens, opens + 69)]
    bars = table(driver.outgoing(), "bars")
    assert (bars["ts"] // NANOS).tolist() == [closes - 60, closes, opens + 60]
    assert bars["trades"].tolist() == [30.0, 60.0, 60.0]


@pytest.mark.parametrize(
    ("zone", "night"),
    [(NEW_YORK, "2024-03-10T01:59"), (NEW_YORK, "2024-11-03T00:59"), (LONDON, "2024-03-31T00:59")],
)
def test_hour_that_summer_time_skips_or_repeats_is_nothing_to_the_log(zone: str, night: str) -> None:
    first = local(night, zone)
    driver = m.new_driver(["A.SIMX"])
    driver.send(heartbeat_rows(np.arange(first, first + 900) * NANOS))
    driver.send(heartbeat_rows(np.arange(first + 900, first + 1800) * NANOS))
    assert sealed(driver) == list(range(first, first + 1799))


def test_rows_after_hours_close_their_second_without_a_session() -> None:
    records, live = opened()
    live.add(rows_of(RowType.TRADE, [AT + 5]))
    for tenth in range(700):
        now = AT + tenth * NANOS // 10
        if live.pending or live.owes(now):
            live.flush(now)
    beats = [int(rows.ts_recv[0] - AT) // NANOS for rows in records.log(0) if rows.type is RowType.STATUS]
    ends = 60 - AT // NANOS % 60
    assert beats == list(range(ends + 1)), "to the end of the minute, and not beyond"


def test_writer_that_ends_closes_its_last_second() -> None:
    records, live = opened()
    live.add(rows_of(RowType.QUOTE, [AT + NANOS // 2]))
    live.close(AT + NANOS // 2)
    assert sealed(driven(records)) == [AT // NANOS]


# Clocks


def test_venue_clock_that_runs_minutes_ahead_moves_no_second() -> None:
    def market(ahead_s: int) -> Driver:
        events = [quote("A.SIMX", second + 0.1, 99, 101) for second in range(30)]
        events += [trade("A.SIMX", second + 0.2, 100.0, 2.0) for second in range(0, 30, 3)]
        shifted = [m.Event(e.type, e.instrument, e.at, e.values, e.at + ahead_s * NANOS) for e in events]
        return run(in_order(shifted, heartbeats(30)))

    right, ahead = market(0), market(300)
    assert sealed(ahead) == sealed(right)
    assert not ahead.task.tally.refused
    for name in ("spread_bps", "volume_1s", "trades_1s", "ret_10s"):
        np.testing.assert_array_equal(m.features(ahead)[name], m.features(right)[name])


def test_row_whose_venue_clock_is_absurd_is_refused_and_the_second_closes_all_the_same() -> None:
    far = quote("A.SIMX", 1.5, 99, 101)
    far = m.Event(far.type, far.instrument, far.at, far.values, far.at + MAX_SKEW_NS + 1)
    driver = run(in_order([quote("A.SIMX", 1.1, 99, 101), far], heartbeats(3)))
    assert dict(driver.task.tally.refused) == {"absurd_ts_event": 1}
    assert feature(driver, "A.SIMX", "quote_rate_1s") == {1: 1.0, 2: 0.0}


@pytest.mark.parametrize("kind", [StatusKind.HEARTBEAT, None])
def test_writer_whose_clock_is_far_ahead_does_not_carry_the_partition_away(kind: StatusKind | None) -> None:
    driver, names = m.new_driver(["A.SIMX", "B.SIMX"]), ["*", "A.SIMX", "B.SIMX"]
    ahead = 30 * 86_400.0
    far = quote("A.SIMX", ahead, 99, 101) if kind is None else status(kind, ahead)
    log = [quote("B.SIMX", 0, 99, 101), far, *[quote("B.SIMX", second, 99, 101) for second in range(1, 5)]]
    for number, event in enumerate(log):
        headers = FrameHeaders(event.type.label, "test", 0, number, 0).to_kafka()
        appended = m.at(0.0 if event is far else event.second - m.START)
        driver.task.feed(number, m.frame([event], names), headers, appended)
    assert dict(driver.task.tally.refused) == {"absurd_ts_recv": 1}
    assert list(feature(driver, "B.SIMX", "spread_bps")) == [0, 1, 2, 3]
    assert coverage(driver) == []


def test_new_writer_does_not_begin_where_readers_refused_to_follow() -> None:
    class Message:
        def __init__(self, seconds: list[int], appended: int, epoch: int = 1) -> None:
            rows = heartbeat_rows(np.array(seconds) * NANOS)
            self._value = frames.encode(rows)
            self._appended, self._epoch = appended, epoch

        def headers(self) -> list[tuple[str, bytes]]:
            return FrameHeaders("status", "live", self._epoch, 0, 0).to_kafka()

        def value(self) -> bytes:
            return self._value

        def timestamp(self) -> tuple[int, int]:
            return 2, self._appended * 1000

    tail = LogTail()
    tail.take(Message([1_000_000, 1_000_001, 9_000_000], 1_000_000), Decoder())
    tail.take(Message([9_000_000], 1_000_002), Decoder())
    tail.take(Message([1_000_002], 1_000_003, epoch=2**63 - 1), Decoder())
    assert tail.newest_ns == 1_000_001 * NANOS
    assert tail.next_epoch("live", 0) == 2


def test_clock_that_is_set_back_is_followed_at_half_speed_and_never_stands_still() -> None:
    wall = ManualClock(AT)
    clock = SteadyClock(wall)
    wall.set(-30.25)
    seen = []
    for _ in range(70):
        wall.sleep(1)
        seen.append(clock.now() - AT)
    steps = np.diff(seen)
    assert steps.min() > 0
    assert set(steps[:58].tolist()) == {NANOS // 2}
    assert set(steps[60:].tolist()) == {NANOS}, "after twice thirty seconds it goes with the wall again"
    assert clock.now() == wall.now()


def test_clock_asked_often_goes_as_fast_as_one_asked_seldom() -> None:
    wall = ManualClock(AT)
    clock = SteadyClock(wall)
    wall.set(-10)
    for _ in range(1001):
        wall.sleep(3e-9)
        clock.now()
    assert clock.now() - AT == 3003 // 2


def test_clock_goes_on_from_a_log_that_is_ahead_of_it() -> None:
    wall = ManualClock(AT)
    clock = SteadyClock(wall)
    clock.not_before(AT + 5 * NANOS)
    clock.not_before(AT)
    assert clock.now() == AT + 5 * NANOS
    wall.sleep(2)
    assert clock.now() == AT + 6 * NANOS


# Late data


def test_late_row_changes_no_closed_second_and_nobody_elses() -> None:
    on_time = [quote(name, second, 99, 101) for second in range(10) for name in ("A.SIMX", "B.SIMX")]
    names = ["*", "A.SIMX", "B.SIMX"]
    drivers = [m.new_driver(names), m.new_driver(names)]
    for event in on_time:
        for driver in drivers:
            m.send(driver, [event], names)
        if event.second - m.START == 6:
            m.send(drivers[1], [quote("A.SIMX", 3.5, 80, 120), trade("A.SIMX", 3.6, 80)][:1], names)
            m.send(drivers[1], [trade("A.SIMX", 3.6, 80)], names)
    assert dict(drivers[1].task.tally.refused) == {"late": 4}
    right, late = (m.bits(driver.outgoing(), with_offsets=False) for driver in drivers)
    assert {kind: right[kind] for kind in ("features", "scores", "sealed")} == {
        kind: late[kind] for kind in ("features", "scores", "sealed")
    }
