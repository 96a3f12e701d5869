"""The estimate of a venue's clock."""

import numpy as np
import pytest

from producers.base.answers import Answer
from producers.base.clock_offset import ClockOffset
from tapewatch.clock import NANOS

AT = 1_700_000_000 * NANOS


def test_nothing_is_known_before_the_first_sample() -> None:
    clock = ClockOffset()
    assert clock.estimate is None
    assert not clock.exceeded
    assert clock.as_dict() == {"offset_s": None, "within_s": None, "method": None, "exceeded": False}


def test_shortest_round_trip_counts_where_samples_contradict_each_other() -> None:
    clock = ClockOffset()
    clock.round_trip(AT, AT + 2 * NANOS, AT + 4 * NANOS)
    clock.round_trip(AT, AT + NANOS // 5, AT + 5 * NANOS)
    clock.round_trip(AT, AT + 3 * NANOS, AT)
    found = clock.estimate
    assert found is not None
    assert found.offset_s == pytest.approx(4.9)
    assert found.within_s == pytest.approx(0.1)
    assert found.method == "round_trip"


def test_true_offset_lies_within_the_bound_however_lopsided_the_ways() -> None:
    rng = np.random.default_rng(3)
    for _ in range(200):
        true, there, back = rng.uniform(-9, 9), *rng.uniform(0, 2, 2)
        clock = ClockOffset()
        clock.round_trip(AT, AT + int((there + back) * NANOS), AT + int((there + true) * NANOS))
        found = clock.estimate
        assert found is not None
        assert abs(found.offset_s - true) <= found.within_s + 1e-6


def test_times_in_whole_seconds_become_fine_over_several_samples() -> None:
    rng = np.random.default_rng(5)
    clock, true = ClockOffset(), -0.3
    for _ in range(16):
        asked = AT + int(rng.uniform(0, 60) * NANOS)
        venue = asked + NANOS // 100 + int(true * NANOS)
        clock.round_trip(asked, asked + NANOS // 50, venue // NANOS * NANOS, NANOS)
    found = clock.estimate
    assert found is not None
    assert found.within_s < 0.15
    assert abs(found.offset_s - true) <= found.within_s


def test_clock_set_a_while_ago_is_believed() -> None:
    clock = ClockOffset()
    clock.round_trip(AT, AT + 1_000, AT + 60 * NANOS)
    later = AT + 1_000 * NANOS
    clock.round_trip(later, later + NANOS, later)
    found = clock.estimate
    assert found is not None
    assert found.offset_s == pytest.approx(-0.5)


def test_limit_is_exceeded_only_where_the_error_cannot_explain_it() -> None:
    clock = ClockOffset(5.0)
    clock.round_trip(AT, AT + 2 * NANOS, AT + NANOS + int(5.9 * NANOS))
    assert not clock.exceeded
    clock.round_trip(AT, AT + NANOS // 10, AT + int(5.9 * NANOS))
    assert clock.exceeded


def test_date_header_counts_with_half_a_second_of_doubt() -> None:
    clock = ClockOffset()
    headers = {"Date": "Tue, 14 Nov 2023 22:13:25 GMT"}  # AT + 5 s
    clock.answer(Answer(200, headers, b"", AT, AT + NANOS // 5))
    clock.answer(Answer(200, {"Date": "rubbish"}, b"", AT, AT))
    clock.answer(Answer(200, {}, b"", AT, AT))
    found = clock.estimate
    assert found is not None
    assert found.offset_s == pytest.approx(5.4)
    assert found.within_s == pytest.approx(0.6)


def test_fastest_message_tells_where_nothing_is_asked() -> None:
    clock = ClockOffset()
    received = AT + np.arange(5, dtype=np.int64) * NANOS
    clock.events(received + 6 * NANOS - np.array([9, 1, 2, 8, 7]) * NANOS // 10, received)
    clock.events(np.empty(0, np.int64), np.empty(0, np.int64))
    found = clock.estimate
    assert found is not None
    assert found.offset_s == pytest.approx(5.9)
    assert found.method == "one_way"
    assert clock.exceeded
    assert clock.as_dict()["within_s"] is None


def test_fastest_message_is_forgotten_after_two_windows() -> None:
    clock = ClockOffset()
    for second, delay in ((0, 1), (61, 3), (122, 4)):
        received = np.array([AT + second * NANOS])
        clock.events(received - delay * NANOS, received)
    found = clock.estimate
    assert found is not None
    assert found.offset_s == pytest.approx(-3.0)
