"""What of a log counts: registrations, repeats, slots, and that the state can be taken up again."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tapewatch.clock import LATEST_NS
from tapewatch.contract.checks import Reason
from tapewatch.contract.frames import FrameHeaders
from tapewatch.errors import ContractError
from tapewatch.market_log import admission as module
from tapewatch.market_log.admission import WINDOW, Admission, AdmittedFrame
from tests.unit import engine_market as m
from tests.unit.engine_market import quote
from tests.unit.registered import T0, Registrations

NAMES = ["A.SIMX", "B.SIMX"]


def admit(
    admission: Admission, sequence: int, when: float = 1.0, at_ns: int = T0, epoch: int = 0, names: list[str] = NAMES
) -> Any:
    value = m.frame([quote(name, when, 99, 101) for name in names], names)
    return admission.admit(value, FrameHeaders("quote", "test", epoch, sequence, 0).to_kafka(), at_ns)


def reasons(admitted: AdmittedFrame | None) -> list[str]:
    assert admitted is not None
    return [Reason(int(reason)).label for reason in admitted.reasons]


def test_row_appended_before_its_instruments_registration_is_refused_and_one_of_its_moment_counts() -> None:
    registry = Registrations(A=0, B=T0 + 1)
    admission = Admission(registry)
    assert reasons(admit(admission, 0)) == ["accepted", "unregistered_instrument"]
    assert reasons(admit(admission, 1, at_ns=T0 + 1)) == ["accepted", "accepted"]


def test_instrument_registered_later_is_accepted_though_its_dictionary_was_seen_before() -> None:
    registry = Registrations(A=0)
    admission = Admission(registry)
    assert reasons(admit(admission, 0)) == ["accepted", "unregistered_instrument"]
    registry.known["B.SIMX"] = T0
    assert reasons(admit(admission, 1)) == ["accepted", "accepted"]
    asked = registry.asked
    admit(admission, 2)
    assert registry.asked == asked


def test_slots_follow_the_first_sight_in_the_log() -> None:
    admission = Admission(Registrations(A=0, B=0))
    assert admit(admission, 0, names=["B.SIMX"]).slots.tolist() == [0]
    assert admit(admission, 1).slots.tolist() == [1, 0]
    assert admission.names == ["B.SIMX", "A.SIMX"]


def test_the_millionth_instrument_has_a_slot_and_the_next_one_is_refused() -> None:
    admission = Admission(Registrations(A=0, B=0))
    admission.names = ["I.SIMX"] * 999_999
    for sequence in range(2):
        found = admit(admission, sequence)
        assert found.slots.tolist() == [999_999, -1]
        assert reasons(found) == ["accepted", "unregistered_instrument"]
    assert len(admission.names) == 1_000_000


def test_dictionaries_are_remembered_up_to_their_bound_and_then_all_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is remembered gives the same array again, what is not another one of the same slots."""
    admission, frames = Admission(Registrations(A=0, B=0, C=0)), iter(range(100))
    latest: dict[str, object] = {}

    def is_remembered(name: str) -> bool:
        found = admit(admission, next(frames), names=[f"{name}.SIMX"])
        assert found.slots.tolist() == ["ABC".index(name)]
        before, latest[name] = latest.get(name), found.slots
        return before is found.slots

    size = len(admit(Admission(Registrations(A=0)), 0, names=["A.SIMX"]).view.dictionary)
    monkeypatch.setattr(module, "CACHE_BYTES", 2 * size)
    assert [is_remembered(name) for name in "ABABCCAABB"] == [0, 0, 1, 1, 0, 1, 0, 1, 0, 1]
    assert [is_remembered(name) for name in "BAB"] == [1, 0, 1]


def test_older_epoch_and_seen_sequences_are_repeats() -> None:
    admission = Admission(Registrations(A=0, B=0))
    places = [(1, 5), (1, 5), (0, 9), (1, 6), (1, 5), (2, 0), (1, 7), (2, 1)]
    taken = [admit(admission, sequence, epoch=epoch) is not None for epoch, sequence in places]
    assert taken == [True, False, False, True, False, True, False, True]


def test_loaded_state_goes_on_as_the_dumped_one() -> None:
    first, second = Admission(Registrations(A=0, B=0)), Admission(Registrations(A=0, B=0))
    admit(first, 0, when=5.0, names=["B.SIMX"])
    second.load(first.names, first.sources, int(first.clock[0]))
    for admission in (first, second):
        assert admit(admission, 0, when=6.0) is None
        assert reasons(admit(admission, 1, when=4.0)) == ["late", "late"]
        assert admit(admission, 2, when=6.0).slots.tolist() == [1, 0]
    assert first.dump() == second.dump()


def test_loaded_state_has_slots_of_its_own() -> None:
    admission = Admission(Registrations(A=0, B=0))
    assert admit(admission, 0).slots.tolist() == [0, 1]
    admission.load(["B.SIMX", "A.SIMX"], {}, -1)
    assert admit(admission, 0).slots.tolist() == [1, 0]


def test_no_row_lies_behind_the_year_2200_whenever_the_broker_took_it() -> None:
    admission, rows = Admission(Registrations(A=0)), [quote("A.SIMX", 0.5, 99, 101)] * 2
    rows = [replace(row, at=LATEST_NS + late) for row, late in zip(rows, (0, 1), strict=True)]
    found = admission.admit(m.frame(rows, NAMES), FrameHeaders("quote", "test", 0, 0, 0).to_kafka(), LATEST_NS)
    assert reasons(found) == ["accepted", "absurd_ts_recv"]


def is_taken(admission: Admission, sequence: int, epoch: int = 0) -> bool:
    return admit(admission, sequence, epoch=epoch) is not None


def test_a_frame_that_was_overtaken_is_taken_once() -> None:
    admission = Admission(Registrations(A=0, B=0))
    assert [is_taken(admission, sequence) for sequence in (0, 2, 1, 1, 2, 3, 0)] == [1, 1, 1, 0, 0, 1, 0]
    assert admission.missing == {}


def test_an_overtaken_frame_is_late_once_its_second_is_over() -> None:
    admission = Admission(Registrations(A=0, B=0))
    admit(admission, 0, when=1.0)
    admit(admission, 2, when=2.0)
    assert reasons(admit(admission, 1, when=1.5)) == ["late", "late"]


def test_a_frame_is_awaited_for_as_many_later_ones_as_the_window_holds() -> None:
    within, beyond = Admission(Registrations(A=0, B=0)), Admission(Registrations(A=0, B=0))
    for sequence in range(1, WINDOW + 2):
        assert is_taken(beyond, sequence)
        assert sequence > WINDOW or is_taken(within, sequence)
    assert is_taken(within, 0)
    assert not is_taken(beyond, 0)


def test_a_jump_wider_than_the_window_awaits_only_the_last_of_what_it_left_out() -> None:
    admission = Admission(Registrations(A=0, B=0))
    assert is_taken(admission, 0)
    assert is_taken(admission, 1_000_000)
    assert is_taken(admission, 1_000_000 - WINDOW)
    assert not is_taken(admission, 1_000_000 - WINDOW - 1)
    assert not is_taken(admission, 0)


def test_nothing_of_an_older_epoch_is_awaited() -> None:
    admission = Admission(Registrations(A=0, B=0))
    assert is_taken(admission, 5, epoch=1)
    assert is_taken(admission, 0, epoch=2)
    assert not is_taken(admission, 4, epoch=1)
    assert not is_taken(admission, 6, epoch=1)


@given(st.integers(0, 2**32), st.lists(st.integers(0, 80), min_size=1, max_size=120), st.integers(0, 119))
def test_what_is_taken_is_what_a_memory_of_every_sequence_would_take(first: int, steps: list[int], cut: int) -> None:
    admission, seen, newest = Admission(Registrations(A=0, B=0)), set(), -1
    for number, step in enumerate(steps):
        sequence = first + step
        if number == cut:
            again = Admission(Registrations(A=0, B=0))
            again.load(admission.names, admission.sources, int(admission.clock[0]), admission.missing)
            admission = again
        expected = sequence not in seen and sequence >= newest - WINDOW
        assert is_taken(admission, sequence) == expected
        if expected:
            seen.add(sequence)
            newest = max(newest, sequence)


# Which partition: of three, Kafka's Java client lays A.SIMX into the last and B.SIMX into the middle one.


@pytest.mark.parametrize(
    ("partition", "expected"),
    [
        (0, ["wrong_partition", "wrong_partition"]),
        (1, ["wrong_partition", "accepted"]),
        (2, ["accepted", "wrong_partition"]),
    ],
)
def test_row_of_another_partitions_instrument_is_refused_and_gives_it_no_slot(
    partition: int, expected: list[str]
) -> None:
    registry = Registrations(A=0, B=0)
    registry.count = 3
    admission = Admission(registry, "market.test", partition)
    assert reasons(admit(admission, 0)) == expected
    assert admission.names == [name for name, reason in zip(NAMES, expected, strict=True) if reason == "accepted"]


def test_rows_of_every_instrument_count_where_nobody_says_how_many_partitions_there_are() -> None:
    assert reasons(admit(Admission(Registrations(A=0, B=0), "market.test", 1), 0)) == ["accepted", "accepted"]


def test_misplaced_rows_dictionary_is_remembered() -> None:
    registry = Registrations(A=0, B=0)
    registry.count = 3
    admission = Admission(registry, "market.test", 1)
    assert admit(admission, 0).slots is admit(admission, 1).slots


# An epoch is the time at which its writer began, and a frame takes a microsecond at least.

SKEW_NS = 600_000_000_000


@pytest.mark.parametrize("epoch", [T0 + SKEW_NS + 1, 2**63 - 1])
def test_epoch_ahead_of_the_brokers_time_is_refused_and_silences_nobody(epoch: int) -> None:
    admission = Admission(Registrations(A=0, B=0))
    with pytest.raises(ContractError, match="epoch") as refused:
        admit(admission, 0, epoch=epoch)
    assert refused.value.reason == "absurd_epoch"
    assert reasons(admit(admission, 0, epoch=T0 + SKEW_NS)) == ["accepted", "accepted"]


def test_sequence_beyond_a_million_frames_a_second_is_refused_and_silences_nobody() -> None:
    admission, epoch = Admission(Registrations(A=0, B=0)), T0 - 1_000_000_000
    # One second and the ten minutes that clocks may differ.
    for sequence in (601_000_001, 2**63 - 1):
        with pytest.raises(ContractError, match="frames") as refused:
            admit(admission, sequence, epoch=epoch)
        assert refused.value.reason == "absurd_sequence"
    assert reasons(admit(admission, 0, epoch=epoch)) == ["accepted", "accepted"]
    assert reasons(admit(admission, 601_000_000, epoch=epoch)) == ["accepted", "accepted"]
