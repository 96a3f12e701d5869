"""Which gap in committed output is charged to which fault."""

from infra.chaos.stall import Gap, Span, longest, longest_by_kind
from tapewatch.clock import NANOS


def _gap(began_s: float, ended_s: float, partition: int = 0) -> Gap:
    return Gap(partition, int(began_s * NANOS), int(ended_s * NANOS))


def _span(kind: str, began_s: float, ended_s: float, output: bool = True) -> Span:
    return Span(kind, int(began_s * NANOS), int(ended_s * NANOS), output)


def test_gap_is_charged_to_the_fault_it_overlaps() -> None:
    found = longest_by_kind([_gap(99.5, 106.5)], [_span("kill", 100, 100), _span("freeze", 200, 210)])
    assert found == {"kill": 7.0, "freeze": 0.0}


def test_gap_between_two_faults_is_charged_to_both() -> None:
    found = longest_by_kind([_gap(100, 108)], [_span("kill", 99, 101), _span("cut", 107, 107)])
    assert found == {"kill": 8.0, "cut": 8.0}


def test_fault_among_readers_is_charged_only_where_no_other_was_open() -> None:
    faults = [_span("kill", 100, 100), _span("kill_sink", 101, 101, output=False)]
    assert longest_by_kind([_gap(100, 105)], faults) == {"kill": 5.0, "kill_sink": 0.0}
    assert longest_by_kind([_gap(100, 105)], faults[1:]) == {"kill_sink": 5.0}


def test_effect_after_the_fault_counts_for_a_while() -> None:
    span = _span("restart", 100, 102)
    assert span.touches(_gap(106, 110))
    assert not span.touches(_gap(108, 112))
    assert not span.touches(_gap(90, 98))


def test_longest_gap_of_all_partitions_counts() -> None:
    assert longest([_gap(0, 3, 0), _gap(0, 9.25, 1)]) == 9.2
    assert longest([]) == 0.0
