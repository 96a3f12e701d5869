"""What of a log counts: registrations, repeats, slots, and that the state can be taken up again."""

from hypothesis import given
from hypothesis import strategies as st

from tapewatch.admission import WINDOW, Admission
from tapewatch.checks import Reason
from tapewatch.frames import FrameHeaders
from tests.unit import engine_market as m
from tests.unit.engine_market import quote

NAMES = ["A.SIMX", "B.SIMX"]
T0 = m.at(60.0)


class Registrations:
    """Ids and since when they are registered; counts how often it is asked."""

    def __init__(self, **since: int) -> None:
        self.known = {f"{name}.SIMX": moment for name, moment in since.items()}
        self.asked = 0

    def kind(self, instrument: str, appended_ns: int) -> str | None:
        self.asked += 1
        return "share" if self.known.get(instrument, appended_ns + 1) <= appended_ns else None


def admit(
    admission: Admission, sequence: int, when: float = 1.0, at_ns: int = T0, epoch: int = 0, names: list[str] = NAMES
):
    value = m.frame([quote(name, when, 99, 101) for name in names], names)
    return admission.admit(value, FrameHeaders("quote", "test", epoch, sequence, 0).to_kafka(), at_ns)


def reasons(admitted) -> list[str]:
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
