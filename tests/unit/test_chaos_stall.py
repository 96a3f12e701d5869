"""Which gap in committed output is charged to which fault."""

from infra.chaos.stall import Gap, Span, Stall, beyond, longest, worst, worst_by_kind
from tapewatch.clock import NANOS


def _gap(began_s: float, ended_s: float, partition: int = 0) -> Gap:
    return Gap(partition, int(began_s * NANOS), int(ended_s * NANOS))


def _span(kind: str, began_s: float, ended_s: float, output: bool = True) -> Span:
    return Span(kind, int(began_s * NANOS), int(ended_s * NANOS), output)


def test_gap_is_charged_to_the_fault_it_overlaps() -> None:
    found = worst_by_kind([_gap(99.5, 106.5)], [_span("kill", 100, 100), _span("freeze", 200, 210)])
    assert found == {"kill": Stall(7.0, 7.0), "freeze": Stall()}


def test_gap_between_two_faults_is_charged_to_both() -> None:
    found = worst_by_kind([_gap(100, 108)], [_span("kill", 99, 101), _span("cut", 107, 107)])
    assert found == {"kill": Stall(8.0, 7.0), "cut": Stall(8.0, 7.0)}


def test_fault_among_readers_is_charged_only_where_no_other_was_open() -> None:
    faults = [_span("kill", 100, 100), _span("kill_sink", 101, 101, output=False)]
    assert worst_by_kind([_gap(100, 105)], faults) == {"kill": Stall(5.0, 5.0), "kill_sink": Stall()}
    assert worst_by_kind([_gap(100, 105)], faults[1:]) == {"kill_sink": Stall(5.0, 5.0)}


def test_time_in_which_a_fault_was_open_is_not_beyond_it() -> None:
    gap = _gap(100, 140)
    assert beyond(gap, []) == 40
    assert beyond(gap, [_span("lose", 90, 110)]) == 30  # began before
    assert beyond(gap, [_span("lose", 110, 150)]) == 10  # ended after
    assert beyond(gap, [_span("lose", 105, 130), _span("cut", 110, 112), _span("delay", 125, 135)]) == 10  # overlap
    assert beyond(gap, [_span("lose", 90, 150)]) == 0
    assert beyond(gap, [_span("lose", 50, 60), _span("cut", 160, 170)]) == 40  # elsewhere
    assert beyond(gap, [_span("kill_sink", 100, 140, output=False)]) == 40  # readers do not hold output up


def test_worst_beyond_the_faults_need_not_be_the_longest_gap() -> None:
    assert worst([_gap(0, 30), _gap(50, 60)], [_span("lose", 0, 28)]) == Stall(30.0, 10.0)


def test_effect_after_the_fault_counts_for_a_while() -> None:
    span = _span("restart", 100, 102)
    assert span.touches(_gap(106, 110))
    assert not span.touches(_gap(108, 112))
    assert not span.touches(_gap(90, 98))


def test_longest_gap_of_all_partitions_counts() -> None:
    assert longest([_gap(0, 3, 0), _gap(0, 9.25, 1)]) == 9.2
    assert longest([]) == 0.0
