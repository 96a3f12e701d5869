"""The watcher's figures for Prometheus."""

from collections.abc import Callable, Iterable

from tapewatch.canaries import Canary, figures, silent_s, since
from tapewatch.clock import NANOS, WALL
from tapewatch.monitoring import Monitor, counter, gauge, histogram
from tapewatch.rfc3339 import from_rfc3339

HOUR_NS = 3600 * NANOS

INJECTED = counter("tapewatch_canary_injected_total", "Canaries announced, since the watcher's start.", "scenario")
FOUND = counter("tapewatch_canary_found_total", "Canaries found in time.", "scenario")
LATE = counter("tapewatch_canary_late_total", "Canaries found after they were due.", "scenario")
MISSED = counter("tapewatch_canary_missed_total", "Canaries not found in time.", "scenario")
ABSENT = counter("tapewatch_canary_absent_total", "Canaries whose alert a store did not show in time.", "stage")
RECALL = gauge("tapewatch_canary_recall", "Found in time, of the canaries of the last hour that are judged.")
IN_A_ROW = gauge("tapewatch_canary_missed_in_a_row", "Canaries missed one after the other, up to the newest verdict.")
OVERDUE = gauge("tapewatch_canary_overdue_seconds", "Since when the next canary ought to have been injected; 0 if not.")
DECISION = histogram(
    "tapewatch_canary_decision_seconds",
    "From the first injected row to the alert's decision, market time.",
    buckets=(1, 2, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300),
)
STAGE = histogram(
    "tapewatch_canary_stage_seconds", "From the alert's decision until it can be read there, wall time.", "stage"
)


class CanaryMetrics:
    """Counts verdicts. canaries : everything that is known, newest revisions; in_a_row : missed up to now"""

    def __init__(self, monitor: Monitor, canaries: Callable[[], Iterable[Canary]], in_a_row: Callable[[], int]) -> None:
        self._monitor, self._canaries = monitor, canaries
        monitor.show(IN_A_ROW, lambda: {(): in_a_row()})
        monitor.show(RECALL, self._recall)
        monitor.show(OVERDUE, self._overdue)

    def take(self, canary: Canary) -> None:
        """A revision that is new."""
        monitor, scenario = self._monitor, canary.scenario
        if canary.state == "injected":
            monitor.add(INJECTED, 1, scenario)
            return
        monitor.add({"found": FOUND, "late": LATE, "missed": MISSED}[canary.state], 1, scenario)
        if canary.state == "late":
            return
        for stage in canary.absent:
            monitor.add(ABSENT, 1, stage)
        if canary.decision_s is not None:
            monitor.distribution(DECISION).observe(canary.decision_s)
        for stage, seconds in canary.stages.items():
            if seconds is not None:
                monitor.distribution(STAGE, stage).observe(seconds)

    def _recall(self) -> dict[tuple[str, ...], float]:
        found = figures(since(list(self._canaries()), WALL.now() - HOUR_NS)).recall
        return {} if found is None else {(): found}

    def _overdue(self) -> dict[tuple[str, ...], float]:
        newest = max(list(self._canaries()), key=lambda each: from_rfc3339(each.start), default=None)
        return {} if newest is None else {(): silent_s(newest, WALL.now())}
