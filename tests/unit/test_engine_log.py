"""What comes out is a function of the log: however it is cut into frames and batches, and wherever it is taken up
again.
"""

from functools import cache
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors import fusion, peers
from detectors.kmeans.model import KMeansModel
from detectors.model_file import content_hash
from detectors.scenarios.fused_anomaly import Parameters as FusedParameters
from detectors.scenarios.kmeans_anomaly import Parameters as AnomalyParameters
from detectors.scenarios.pump_and_dump import Parameters as PumpParameters
from streams.driver import Driver
from streams.engine import snapshots
from streams.engine.models import KMEANS, KMEANS_CLASSIC, InForce, ModelShelf, shipped
from streams.engine.policy import DDQN, SHADOW
from streams.engine.rules import DetectorConfig
from streams.engine.task import Outgoing, Task
from tapewatch import topics
from tapewatch.registry import FixedRegistry
from tapewatch.rows import StatusKind
from tests.unit import engine_market as m
from tests.unit.engine_market import status
from tests.unit.virtual_policy import EAGER, made

SECONDS = 130


def nervous() -> InForce:
    """Models and thresholds under which a quiet market raises alerts of every kind."""
    shelf = ModelShelf()
    shape: dict[str, Any] = {"clip": 20.0, "sizes": (1,), "normal": (True,), "knots": ((0.0, 0.0), (5.0, 1.0))}
    wide = KMeansModel(
        KMEANS, ("spread_bps", "ofi_1s"), (2.0, 0.0), (1.0, 0.1), centres=((0.0, 0.0),), alert=0.8, **shape
    )
    pair = KMeansModel(
        KMEANS_CLASSIC, ("price_change_1m_pct", "volume_change_1m_pct"), (0.0, 0.0), (1.0, 0.01),
        centres=((0.0, 0.0),), alert=1.0, **shape,
    )  # fmt: skip
    pump = PumpParameters(
        min_rise=1e-4,
        rise_deviations=0.0,
        min_rush=1.0,
        rush_ratio=0.0,
        volume_ratio=0.2,
        buy_share=-1.0,
        warm_s=30.0,
        cooldown_s=20.0,
    )
    fused = FusedParameters(hold_s=1.0, quiet_s=2.0, cooldown_s=4.0)
    config = DetectorConfig(
        AnomalyParameters(hold_s=1.0, quiet_s=2.0, cooldown_s=4.0), pump, fused_anomaly=fused, policy=EAGER
    )
    models = {name: shelf.put(made(seed).encoded()) for name, seed in ((DDQN, 1), (SHADOW, 2))}
    models |= {KMEANS: shelf.put(wide.encoded()), KMEANS_CLASSIC: shelf.put(pair.encoded())}
    every_second = msgspec.structs.replace(fusion.shipped(), alert=-7.0)
    models |= {name: content_hash(shipped()[name]) for name in (peers.AUTOENCODER, peers.ISOLATION)}
    return InForce(shelf, models | {peers.FUSION: shelf.put(every_second.encoded())}, config)


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
def whole() -> tuple[Outgoing, ...]:
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


@settings(max_examples=25, deadline=None)
@given(st.sets(st.integers(0, 5000), max_size=40))
def test_cutting_rows_into_frames_anywhere_changes_no_bit(cuts: set[int]) -> None:
    driver = m.run(market(), cuts, nervous())
    wanted, found = m.bits(whole(), with_offsets=False), m.bits(driver.outgoing(), with_offsets=False)
    for kind in ("features", "scores", "bars", "sealed"):
        assert found[kind] == wanted[kind]
    assert len(found["refused"]) == 1


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
        snapshots.restore(empty(), bytes(data), ModelShelf())
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
        snapshots.restore(other.task, snapshot(), ModelShelf())


def test_repeated_frames_are_dropped() -> None:
    driver, names = m.new_driver(["A.SIMX"]), ["A.SIMX"]
    events = [m.quote("A.SIMX", second, 99, 101) for second in range(3)]
    values = [
        (m.frame([event], names), m.FrameHeaders("quote", "test", 0, number, 0)) for number, event in enumerate(events)
    ]
    for value, headers in (*values, *values[1:]):
        driver.record(value, headers.to_kafka())
    older = m.FrameHeaders("quote", "other", 5, 0, 0)
    driver.record(values[2][0], older.to_kafka())
    driver.record(values[2][0], m.FrameHeaders("quote", "other", 4, 7, 0).to_kafka())
    assert driver.task.tally.duplicates == 3
    assert driver.task.tally.frames == 4
