"""What comes out is a function of the log: however it is cut into frames and batches, and wherever it is taken up
again.
"""

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.driver import Driver
from streams.engine import snapshots
from streams.engine.models import ModelStore
from streams.engine.task import OutputRecord, Task
from tapewatch.contract import topics
from tapewatch.contract.frames import FrameHeaders
from tapewatch.contract.rows import StatusKind
from tapewatch.market_log.registry import FixedRegistry
from tests.unit import engine_market as m
from tests.unit.engine_market import status
from tests.unit.nervous_models import nervous

SECONDS = 130


@cache
def market() -> list[m.Event]:
    events = m.RandomMarket(seed=11, seconds=SECONDS, silence=(90, 98), rate=1.5).events()
    halts = [
        status(StatusKind.HALT, 100.3, "BOOKS.SIMX"),
        status(StatusKind.RESUME, 104.3, "BOOKS.SIMX"),
        status(StatusKind.GAP, 110.3, "TRADED.SIMX"),
    ]
    late = m.quote("QUOTED.SIMX", 50.0, 99.0, 101.0)
    return [*m.in_order(events, halts), late]


@cache
def parts() -> tuple[tuple[list[m.Event], ...], list[str]]:
    return tuple(m.frames_of(market())), m.names_in(market())


def started() -> Driver:
    return m.new_driver(parts()[1], nervous())


@cache
def whole() -> tuple[OutputRecord, ...]:
    driver = started()
    for part in parts()[0]:
        m.send(driver, part, parts()[1])
    return tuple(driver.outgoing())


def test_market_of_these_tests_brings_everything_to_life() -> None:
    found = m.bits(whole())
    for kind in ("features", "scores", "bars", "sealed"):
        assert found[kind]["ts"]
    alerts = b"".join(found[topics.ALERTS])
    for word in (b"pump_and_dump", b"kmeans_anomaly", b"fused_anomaly", b'"open"', b'"update"', b'"closed"'):
        assert word in alerts
    assert len(found[topics.COVERAGE]) == 4
    for topic in (topics.SIGNALS, topics.SHADOW_SIGNALS):
        assert len(found[topic]) > 5
    assert len(found["refused"]) == 1


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(st.sets(st.integers(0, 5000), max_size=40))
def test_cutting_rows_into_frames_anywhere_changes_no_bit(cuts: set[int]) -> None:
    driver = m.run(market(), cuts, nervous())
    wanted, found = m.bits(whole(), with_offsets=False), m.bits(driver.outgoing(), with_offsets=False)
    for kind in ("features", "scores", "bars", "sealed"):
        assert found[kind] == wanted[kind]
    assert len(found["refused"]) == 1


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(st.sets(st.integers(0, 2000), max_size=40))
def test_taking_the_output_anywhere_changes_no_bit(stops: set[int]) -> None:
    driver, (frames, names) = started(), parts()
    places = {stop % len(frames) for stop in stops}
    for number, part in enumerate(frames):
        m.send(driver, part, names)
        if number in places:
            driver.outgoing()
    assert m.bits(driver.outgoing()) == m.bits(whole())


@pytest.mark.slow
@settings(max_examples=20, deadline=None)
@given(st.sets(st.integers(0, 2000), min_size=1, max_size=4))
def test_going_on_from_a_snapshot_anywhere_changes_no_bit(stops: set[int]) -> None:
    driver, (frames, names) = started(), parts()
    places = {stop % len(frames) for stop in stops}
    for number, part in enumerate(frames):
        if number in places:
            driver.outgoing()
            driver.task = restored(driver.task)
        m.send(driver, part, names)
    assert m.bits(driver.outgoing()) == m.bits(whole())


def restored(task: Task) -> Task:
    """A new task with the old one's snapshot."""
    new = m.new_driver(parts()[1]).task
    force = nervous()
    snapshots.restore(new, snapshots.dump(task), force._shelf)
    assert snapshots.dump(new) == snapshots.dump(task)
    return new


@pytest.mark.parametrize("start", [1, 40, 150])
def test_silent_replay_leaves_the_same_state(start: int) -> None:
    loud, quiet = started(), started()
    frames, names = parts()
    quiet.task.silent = True
    for driver in (loud, quiet):
        for part in frames[:start]:
            m.send(driver, part, names)
    assert quiet.outgoing() == []
    loud.outgoing()
    quiet.task.silent = False
    assert snapshots.dump(quiet.task) == snapshots.dump(loud.task)


@settings(max_examples=40, deadline=None)
@given(place=st.integers(0, 10**6), flip=st.integers(1, 255), cut=st.booleans())
def test_damaged_snapshot_is_noticed_and_changes_nothing(place: int, flip: int, cut: bool) -> None:
    data = bytearray(snapshot())
    place %= len(data)
    if cut:
        del data[place:]
    else:
        data[place] ^= flip
    with pytest.raises(snapshots.DamagedError):
        snapshots.restore(empty(), bytes(data), ModelStore())
    assert snapshots.dump(empty()) == snapshots.dump(m.new_driver(parts()[1]).task)


@cache
def empty() -> Task:
    return m.new_driver(parts()[1]).task


@cache
def snapshot() -> bytes:
    driver = started()
    for part in parts()[0][:100]:
        m.send(driver, part, parts()[1])
    return snapshots.dump(driver.task)


def test_snapshot_of_another_partition_is_refused() -> None:
    other = Driver(FixedRegistry([]), partition=1)
    with pytest.raises(snapshots.DamagedError, match="is not this partition's"):
        snapshots.restore(other.task, snapshot(), ModelStore())


def test_repeated_frames_are_dropped() -> None:
    driver, names = m.new_driver(["A.SIMX"]), ["A.SIMX"]
    events = [m.quote("A.SIMX", second, 99, 101) for second in range(3)]
    values = [
        (m.frame([event], names), FrameHeaders("quote", "test", 0, number, 0)) for number, event in enumerate(events)
    ]
    for value, headers in (*values, *values[1:]):
        driver.record(value, headers.to_kafka())
    older = FrameHeaders("quote", "other", 5, 0, 0)
    driver.record(values[2][0], older.to_kafka())
    driver.record(values[2][0], FrameHeaders("quote", "other", 4, 7, 0).to_kafka())
    assert driver.task.tally.duplicates == 3
    assert driver.task.tally.frames == 4
