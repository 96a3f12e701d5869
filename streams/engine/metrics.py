"""What an engine shows of itself. It reads what the engine counts anyway when somebody looks: nothing is done by row,
and two clocks are read for a transaction.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from streams.engine.recovery import Progress
from streams.members import Key
from tapewatch.clock import NANOS, WALL
from tapewatch.runtime.monitoring import Monitor, counter, counters, gauge, histogram
from tapewatch.runtime.monitoring import metric as figures

ROWS = counter("tapewatch_engine_rows_total", "Rows taken, by type.", "type")
COUNTS = counters(
    "engine",
    frames="Frames taken.",
    features="Rows of features written.",
    scores="Scores written.",
    alerts="Alert revisions written.",
    signals="Signals written.",
    decisions="Decisions that the policy made.",
    snapshots="Snapshots written.",
)
LOG_TO_COMMIT = histogram(
    "tapewatch_engine_log_to_commit_seconds",
    "From a batch's first record, as it was sent to the market log, to the commit of what came of it.",
)
SNAPSHOT_AGE = gauge(
    "tapewatch_engine_snapshot_age_seconds",
    "Since a partition's newest snapshot, or since it was taken up.",
    "topic",
    "partition",
)
SINCE_SNAPSHOT = gauge(
    "tapewatch_engine_records_since_snapshot",
    "Records that a recovery would have to replay.",
    "topic",
    "partition",
)
STATE_BYTES = gauge(
    "tapewatch_engine_state_bytes", "Size of a partition's newest snapshot of this process.", "topic", "partition"
)
RECOVERING = gauge("tapewatch_engine_recovering_partitions", "Partitions whose state is being rebuilt.")
RECOVERY_LEFT = gauge(
    "tapewatch_engine_recovery_left_records", "Records that are left to replay.", "topic", "partition"
)

Place = tuple[int, int]
"""What a task takes next, and where the log goes on behind its newest snapshot (0 without one)."""
Readings = dict[tuple[str, ...], float]


class RowCounts(Protocol):
    """An engine's totals, as far as they are read by name here."""

    by_type: dict[str, int]
    by_reason: dict[str, int]


class EngineMetrics:
    """Fills an engine's monitor. places : of the partitions in its hands; recovering : those that are not there yet"""

    def __init__(
        self,
        monitor: Monitor,
        totals: RowCounts,
        places: Callable[[], Mapping[Key, Place]],
        recovering: Callable[[], Sequence[Progress]],
    ) -> None:
        self._places, self._recovering = places, recovering
        self._transaction = monitor.distribution(figures.TRANSACTION_SECONDS)
        self._log_to_commit = monitor.distribution(LOG_TO_COMMIT)
        self._since: dict[Key, int] = {}
        self._bytes: dict[Key, int] = {}
        monitor.show(ROWS, lambda: figures.labelled(totals.by_type))
        monitor.show(figures.REFUSED, lambda: figures.labelled(totals.by_reason))
        monitor.show_counts(COUNTS | figures.ENDINGS | {"duplicates": figures.DUPLICATES}, totals)
        monitor.show(figures.PARTITIONS, lambda: {(): len(places())})
        monitor.show(SNAPSHOT_AGE, self._ages)
        monitor.show(SINCE_SNAPSHOT, lambda: {_labels(key): next_ - kept for key, (next_, kept) in places().items()})
        monitor.show(STATE_BYTES, lambda: {_labels(key): size for key, size in dict(self._bytes).items()})
        monitor.show(RECOVERING, lambda: {(): len(recovering())})
        monitor.show(RECOVERY_LEFT, self._left)
        monitor.asks(self._lacks)

    def committed(self, begun_ns: int, sent_ms: int) -> None:
        """A transaction is committed. begun_ns : by `elapsed`; sent_ms : of the batch's first record, UTC ms"""
        self._transaction.observe((WALL.elapsed() - begun_ns) / NANOS)
        # What the consumer says instead of a record has no time.
        if sent_ms > 0:
            self._log_to_commit.observe(max(WALL.now() / NANOS - sent_ms / 1000, 0.0))

    def snapshot(self, key: Key, size: int) -> None:
        """A snapshot was written. size : bytes"""
        self._since[key], self._bytes[key] = WALL.elapsed(), size

    def taken_up(self, keys: Iterable[Key]) -> None:
        """These partitions, and no others, are in the engine's hands or being rebuilt: what was known of them stays."""
        now = WALL.elapsed()
        self._since = {key: self._since.get(key, now) for key in keys}
        self._bytes = {key: size for key, size in self._bytes.items() if key in self._since}

    def _ages(self) -> Readings:
        now = WALL.elapsed()
        return {_labels(key): (now - since) / NANOS for key, since in dict(self._since).items()}

    def _left(self) -> Readings:
        return {(each.topic, str(each.partition)): each.target - each.offset for each in self._recovering()}

    def _lacks(self) -> dict[str, str]:
        """Why the engine does not do all its work."""
        rebuilt = list(self._recovering())
        if rebuilt:
            left = sum(each.target - each.offset for each in rebuilt)
            return {"recovery": f"the state of {len(rebuilt)} partitions, {left:,} records to replay"}
        return {} if self._places() else {"partitions": "none is assigned"}


def _labels(key: Key) -> tuple[str, ...]:
    return key[0], str(key[1])
