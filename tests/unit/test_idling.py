"""A reader that is to end once nothing comes: only with every partition read to its end."""

import pytest
from confluent_kafka import KafkaError, Message

from tapewatch.clock import NANOS, ManualClock
from tapewatch.runtime.idling import IdleDetector

ONE, TWO = ("alerts", 0), ("alerts", 1)


def record(log):
    return Message(topic=log[0], partition=log[1], offset=0, value=b"x")


def end(log):
    return Message(topic=log[0], partition=log[1], error=KafkaError(KafkaError._PARTITION_EOF))


@pytest.fixture
def clock():
    return ManualClock(1_000 * NANOS)


def test_silence_before_every_end_is_known_is_no_idleness(clock):
    idling = IdleDetector(2.0, clock)
    clock.sleep(60.0)
    assert not idling.is_over([ONE, TWO])
    assert idling.read([end(ONE)]) == []
    assert not idling.is_over([ONE, TWO])
    idling.read([end(TWO)])
    assert idling.is_over([ONE, TWO])


def test_what_comes_is_handed_on_and_counts_as_no_silence(clock):
    idling = IdleDetector(2.0, clock)
    came, failed = record(ONE), Message(topic="alerts", partition=1, error=KafkaError(KafkaError._TRANSPORT))
    idling.read([end(ONE), end(TWO)])
    clock.sleep(3.0)
    assert idling.read([came, end(TWO), failed]) == [came, failed]
    # What fails moves no place: its partition's end is not told again.
    idling.read([end(ONE)])
    clock.sleep(2.0)
    assert not idling.is_over([ONE, TWO])
    clock.sleep(1e-9)
    assert idling.is_over([ONE, TWO])


def test_a_partition_that_has_more_is_not_at_its_end(clock):
    idling = IdleDetector(2.0, clock)
    idling.read([end(ONE), end(TWO), record(ONE)])
    clock.sleep(60.0)
    assert not idling.is_over([ONE, TWO])
    assert idling.is_over([TWO])


def test_other_places_and_other_work_begin_the_silence_anew(clock):
    idling = IdleDetector(2.0, clock)
    idling.read([end(ONE)])
    clock.sleep(3.0)
    idling.busy()
    assert not idling.is_over([ONE])
    clock.sleep(3.0)
    assert idling.is_over([ONE])
    idling.anew()
    clock.sleep(3.0)
    assert not idling.is_over([ONE])


@pytest.mark.parametrize("held", [[], [ONE]])
def test_without_a_time_or_a_partition_it_never_ends(clock, held):
    for idling in (IdleDetector(None, clock), IdleDetector(2.0, clock)):
        idling.read([end(TWO)])
        clock.sleep(3600.0)
        assert not idling.is_over(held)
    assert IdleDetector(None).properties == {"enable_partition_eof": False}
    assert IdleDetector(0.5).properties == {"enable_partition_eof": True}
