"""Live writing: rows as they come, flushed every few milliseconds, with a heartbeat in every partition each second."""

from collections.abc import Iterable

import numpy as np

from producers.feed.writer import FeedWriter
from producers.recordings.order import joined
from tapewatch.clock import NANOS
from tapewatch.contract.rows import Rows, RowType


class LiveWriter:
    """Buffers rows and writes them in flushes that never cross a second of ts_recv.

    Within a flush and partition the order is status, trades, orders, quotes, books, bars. From flush to flush ts_recv
    never goes back: a row that is older than the newest one written is raised to it (`raised` counts them; its ts_event
    stays). The first flush of a second begins with a heartbeat in every partition. Frames are never sent again.
    Once a row was written, heartbeats are owed until its minute is over, whether or not the session still runs: the
    last second and the last minute of a session close as every other.

    newest_ns : newest ts_recv that lies in the log already, UTC nanoseconds
    flush_rows : waiting rows that ask for a flush (`full`)
    clock_error_ns : what the writer's clock is off by, 0 but where that is tried (producers.feed.fault_injection)
    """

    def __init__(self, writer: FeedWriter, newest_ns: int = 0, flush_rows: int = 4096) -> None:
        self.writer = writer
        self.newest_ns = newest_ns
        self.raised = 0
        self.clock_error_ns = 0
        self._flush_rows = flush_rows
        self._pending: list[Rows] = []
        self._count = 0
        self._beaten = newest_ns // NANOS
        self._closed_by = 0

    def add(self, rows: Rows) -> None:
        """Take rows of one type in receipt order; they leave with the next flush."""
        if len(rows):
            if self.clock_error_ns:
                times = rows.ts_recv + self.clock_error_ns
                rows = Rows(rows.type, rows.instruments, {**rows.columns, "ts_recv": times})
            self._pending.append(rows)
            self._count += len(rows)

    @property
    def pending(self) -> int:
        """Rows that wait for the next flush."""
        return self._count

    def owes(self, now_ns: int) -> bool:
        """Whether a heartbeat is due, though nothing waits, to close what rows have begun. now_ns : UTC nanoseconds"""
        return self._beaten < min(now_ns // NANOS, self._closed_by)

    @property
    def full(self) -> bool:
        """Whether enough rows wait to be flushed at once."""
        return self._count >= self._flush_rows

    def flush(self, now_ns: int) -> None:
        """Write what waits, second by second, then the heartbeat of the present second where it is still due.

        now_ns : the clock's time, UTC nanoseconds, or simulated time; no row that is added later has an earlier ts_recv
        """
        pending, self._pending, self._count = self._pending, [], 0
        seconds: dict[int, list[Rows]] = {}
        for rows in pending:
            for second, part in _by_second(self._not_back(rows)):
                seconds.setdefault(second, []).append(part)
        for second in sorted(seconds):
            self._beat(second)
            self._write(seconds[second])
        self._beat((now_ns + self.clock_error_ns) // NANOS)
        self.writer.poll()

    def close(self, now_ns: int) -> None:
        """Write what waits, close the last second, and wait until all is acknowledged: no row of it follows.

        now_ns : as for `flush`; the log's clock may end up to a second ahead of it
        """
        self.flush(now_ns)
        if self._closed_by:
            self._beat(self.newest_ns // NANOS + 1)
        self.writer.flush()

    def _not_back(self, rows: Rows) -> Rows:
        """The rows with ts_recv at least the newest one written before this flush."""
        early = int(np.count_nonzero(rows.ts_recv < self.newest_ns))
        if not early:
            return rows
        self.raised += early
        times = np.maximum(rows.ts_recv, self.newest_ns)
        return Rows(rows.type, rows.instruments, {**rows.columns, "ts_recv": times})

    def _beat(self, second: int) -> None:
        """The heartbeat of a second, once, in every partition; seconds that were missed are not made up for."""
        if second <= self._beaten:
            return
        self._beaten = second
        self.newest_ns = max(self.newest_ns, second * NANOS)
        times = np.array([self.newest_ns], dtype=np.int64)
        for partition in range(self.writer.partitions):
            self.writer.heartbeats(partition, times)

    def _write(self, parts: Iterable[Rows]) -> None:
        """One flush: rows of one second, by partition and type."""
        groups: dict[tuple[int, RowType], list[Rows]] = {}
        for rows in parts:
            self.newest_ns = max(self.newest_ns, int(rows.ts_recv.max()))
            self._closed_by = (self.newest_ns // NANOS // 60 + 1) * 60
            for partition, own in self.writer.splitter.split(rows):
                groups.setdefault((partition, rows.type), []).append(own)
        for partition, row_type in sorted(groups):
            own_parts = groups[partition, row_type]
            self.writer.send(partition, own_parts[0] if len(own_parts) == 1 else joined(own_parts))


def _by_second(rows: Rows) -> list[tuple[int, Rows]]:
    """The rows by second of ts_recv, as they were received within each."""
    seconds = rows.ts_recv // NANOS
    first = int(seconds[0])
    if first == int(seconds[-1]) and (seconds == first).all():
        return [(first, rows)]
    return [(second, rows.take(seconds == second)) for second in np.unique(seconds).tolist()]
