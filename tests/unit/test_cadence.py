"""When the engine's snapshots are due."""

from streams.engine.cadence import SNAPSHOT_SHARE, Cadence
from tapewatch.clock import NANOS

LONGEST_S, REPLAY_S = 30.0, 2.0


def cadence(behind_s: float = 0.0) -> Cadence:
    return Cadence(LONGEST_S, REPLAY_S, 0, int(behind_s * NANOS))


def due(held: Cadence, at_s: float, partitions: int = 1) -> bool:
    return held.overdue_ns(int(at_s * NANOS), partitions) >= 0


def test_snapshot_is_due_when_the_log_behind_it_is_too_long_to_replay() -> None:
    held = cadence()
    for _ in range(19):
        held.worked(NANOS // 10)
    assert not due(held, 10.0)
    held.worked(NANOS // 10)
    assert due(held, 10.0)


def test_log_that_a_recovery_replayed_counts_towards_the_next_snapshot() -> None:
    assert due(cadence(behind_s=2.0), 0.0)


def test_budget_is_shared_by_the_partitions_of_a_process() -> None:
    held = cadence(behind_s=0.5)
    assert not due(held, 1.0, partitions=3)
    assert due(held, 1.0, partitions=4)


def test_snapshot_is_due_after_its_time_in_any_case() -> None:
    assert not due(cadence(), LONGEST_S - 0.1)
    assert due(cadence(), LONGEST_S)


def test_snapshots_take_a_fiftieth_of_the_time_at_most() -> None:
    held, cost_s = cadence(), 1.0
    held.written(int(100.0 * NANOS), int(cost_s * NANOS))
    held.worked(1_000 * NANOS)
    assert not due(held, 100.0 + cost_s / SNAPSHOT_SHARE - 0.1)
    assert due(held, 100.0 + cost_s / SNAPSHOT_SHARE)


def test_what_was_worked_before_a_snapshot_is_no_longer_behind_it() -> None:
    held = cadence(behind_s=5.0)
    held.written(0, 1)
    assert not due(held, 1.0)
