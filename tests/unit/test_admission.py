"""What of a log counts: registrations, repeats, slots, and that the state can be taken up again."""

from tapewatch.admission import CLOCK_TOLERANCE_NS, Admission
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

    def since(self, instrument: str) -> int | None:
        self.asked += 1
        return self.known.get(instrument)


def admit(
    admission: Admission, sequence: int, when: float = 1.0, at_ns: int = T0, epoch: int = 0, names: list[str] = NAMES
):
    value = m.frame([quote(name, when, 99, 101) for name in names], names)
    return admission.admit(value, FrameHeaders("quote", "test", epoch, sequence, 0).to_kafka(), at_ns)


def reasons(admitted) -> list[str]:
    return [Reason(int(reason)).label for reason in admitted.reasons]


def test_row_sent_before_its_instrument_was_registered_is_refused() -> None:
    registry = Registrations(A=0, B=T0 + CLOCK_TOLERANCE_NS + 1)
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
    places = [(1, 5), (1, 5), (1, 4), (0, 9), (1, 6), (2, 0), (1, 7), (2, 1)]
    taken = [admit(admission, sequence, epoch=epoch) is not None for epoch, sequence in places]
    assert taken == [True, False, False, False, True, True, False, True]


def test_loaded_state_goes_on_as_the_dumped_one() -> None:
    first, second = Admission(Registrations(A=0, B=0)), Admission(Registrations(A=0, B=0))
    admit(first, 0, when=5.0, names=["B.SIMX"])
    second.load(first.names, first.sources, int(first.clock[0]))
    for admission in (first, second):
        assert admit(admission, 0, when=6.0) is None
        assert reasons(admit(admission, 1, when=4.0)) == ["late", "late"]
        assert admit(admission, 2, when=6.0).slots.tolist() == [1, 0]
    assert first.dump() == second.dump()
