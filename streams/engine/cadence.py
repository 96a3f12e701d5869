"""When a partition's next snapshot is due: before the log behind the last one takes too long to replay."""

from tapewatch.clock import NANOS

SNAPSHOT_SHARE = 0.02
"""At most this share of the wall time goes into snapshots."""


class Cadence:
    """The next snapshot of one partition.

    longest_s : wall time from one to the next at most, while there is work
    replay_s : what a process's partitions together may take to replay, by the engine's own measure of their rows
    now : UTC nanoseconds; behind_ns : what the log behind the last snapshot took to compute
    """

    def __init__(self, longest_s: float, replay_s: float, now: int, behind_ns: int = 0) -> None:
        self._longest_ns, self._replay_ns = int(longest_s * NANOS), int(replay_s * NANOS)
        self.behind_ns = behind_ns
        self._latest, self._earliest = now + self._longest_ns, now

    def worked(self, took_ns: int) -> None:
        """Count what a record took."""
        self.behind_ns += took_ns

    def overdue_ns(self, now: int, partitions: int) -> int:
        """How far its time has passed, ns; negative where it is not due. partitions : that share the budget"""
        if now < self._earliest:
            return now - self._earliest
        return max(now - self._latest, self.behind_ns - self._replay_ns // max(partitions, 1))

    def written(self, now: int, cost_ns: int) -> None:
        """A snapshot was written by now, and took so long."""
        pause = int(cost_ns / SNAPSHOT_SHARE)
        self._earliest = now + pause
        self._latest = now + max(self._longest_ns, pause)
        self.behind_ns = 0
