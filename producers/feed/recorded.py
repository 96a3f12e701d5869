"""How a recording is cut into frames: a function of its rows and the partition count, so that replays are the same."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from producers.feed.splitter import Splitter
from producers.feed.writer import MAX_FRAME_ROWS
from producers.recordings import merged_order
from tapewatch.clock import NANOS
from tapewatch.contract.rows import Chunk, Rows

IDLE_SECONDS = 60
"""Heartbeats of one frame at most, and so the longest stretch of recorded time in one frame, s."""


@dataclass(frozen=True, slots=True)
class ScheduledFrame:
    """A frame to be sent.

    due_ns : ts_recv of its last row, UTC nanoseconds
    rows : the rows; None for a frame of heartbeats, whose UTC seconds are `beats`
    """

    due_ns: int
    partition: int
    rows: Rows | None
    beats: range = range(0)


class RecordedFrames:
    """Cuts chunks into frames, partition by partition.

    A heartbeat stands before the rows of every whole second of recorded time, in every partition, from the first row's
    second to the second after the last row's. A frame is a run of rows of one type between two heartbeats, or a run of
    heartbeats with no row between them; a chunk's end cuts it too, as do 1024 rows and 60 s.
    """

    def __init__(self, partitions: int) -> None:
        self._splitter = Splitter(partitions)
        self._next: list[int] = []
        self._last = 0

    def cut(self, chunk: Chunk) -> Iterator[ScheduledFrame]:
        """The frames of the next chunk in the order of `due_ns`."""
        present = [rows for rows in chunk.rows if len(rows)]
        if not present:
            return
        if not self._next:
            first = min(int(rows.ts_recv[0]) for rows in present) // NANOS
            self._next = [first] * self._splitter.partitions
        self._last = max(int(rows.ts_recv[-1]) for rows in present) // NANOS
        parts: list[list[Rows]] = [[] for _ in self._next]
        for rows in present:
            for partition, own in self._splitter.split(rows):
                parts[partition].append(own)
        yield from self._merged([self._partition(partition, own) for partition, own in enumerate(parts)])

    def end(self) -> Iterator[ScheduledFrame]:
        """The heartbeat that closes the last second, in every partition."""
        for partition in range(len(self._next)):
            yield from self._idle(partition, self._last + 1)

    @staticmethod
    def _merged(streams: list[Iterator[ScheduledFrame]]) -> Iterator[ScheduledFrame]:
        return streams[0] if len(streams) == 1 else heapq.merge(*streams, key=lambda frame: frame.due_ns)

    def _partition(self, partition: int, parts: list[Rows]) -> Iterator[ScheduledFrame]:
        """One partition's frames of a chunk; ends with a heartbeat in the chunk's last second."""
        last = self._last
        for run in merged_order(parts):
            times = run.ts_recv
            first_second, last_second = int(times[0]) // NANOS, int(times[-1]) // NANOS
            if first_second == last_second:
                yield from self._idle(partition, first_second)
                yield from _rows(partition, run)
                continue
            seconds = times // NANOS
            starts = np.flatnonzero(np.diff(seconds, prepend=-1))
            stops = np.append(starts[1:], len(run))
            for second, start, stop in zip(seconds[starts].tolist(), starts.tolist(), stops.tolist(), strict=True):
                yield from self._idle(partition, second)
                yield from _rows(partition, run.take(slice(start, stop)))
        yield from self._idle(partition, last)

    def _idle(self, partition: int, second: int) -> Iterator[ScheduledFrame]:
        """The heartbeats that are missing up to `second`."""
        start = self._next[partition]
        while start <= second:
            stop = min(start + IDLE_SECONDS, second + 1)
            self._next[partition] = stop
            yield ScheduledFrame((stop - 1) * NANOS, partition, None, range(start, stop))
            start = stop


def _rows(partition: int, rows: Rows) -> Iterator[ScheduledFrame]:
    """Rows of one type and second in frames of at most 1024."""
    if len(rows) <= MAX_FRAME_ROWS:
        yield ScheduledFrame(int(rows.ts_recv[-1]), partition, rows)
        return
    for start in range(0, len(rows), MAX_FRAME_ROWS):
        part = rows.take(slice(start, start + MAX_FRAME_ROWS))
        yield ScheduledFrame(int(part.ts_recv[-1]), partition, part)
