"""When a partition's next snapshot is due: before the log behind the last one takes too long to replay."""

from tapewatch.clock import NANOS

SNAPSHOT_SHARE = 0.02
"""At most this share of the time goes into snapshots."""


class Cadence:
    """The next snapshot of one partition.

    longest_s : time from one to the next at most, while there is work
    replay_s : what a process's partitions together may take to replay, by the engine's own measure of their rows
    elapsed : by the clock; behind_ns : what the log behind the last snapshot took to compute
    """

    def __init__(self, longest_s: float, replay_s: float, elapsed: int, behind_ns: int = 0) -> None:
        self._longest_ns, self._replay_ns = int(longest_s * NANOS), int(replay_s * NANOS)
        self.behind_ns = behind_ns
        self._latest, self._earliest = elapsed + self._longest_ns, elapsed

    def worked(self, took_ns: int) -> None:
        """Count what a record took."""
        self.behind_ns += took_ns

    def overdue_ns(self, elapsed: int, partitions: int) -> int:
        """How far its time has passed, ns; negative where it is not due. partitions : that share the budget"""
        if elapsed < self._earliest:
            return elapsed - self._earliest
        return max(elapsed - self._latest, self.behind_ns - self._replay_ns // max(partitions, 1))

    def written(self, elapsed: int, cost_ns: int) -> None:
        """A snapshot was written by now, and took so long."""
        pause = int(cost_ns / SNAPSHOT_SHARE)
        self._earliest = elapsed + pause
        self._latest = elapsed + max(self._longest_ns, pause)
        self.behind_ns = 0
