"""What a producer says on stderr while it runs: rows, frames and bytes a second, and how far it is behind."""

from rich.console import Console

from producers.feed.writer import FeedWriter
from tapewatch.clock import NANOS, WALL, Clock
from tapewatch.rfc3339 import to_rfc3339

EVERY_S = 5.0
"""Seconds between two lines."""


class Rate:
    """Says every few seconds how a writer gets on."""

    def __init__(self, writer: FeedWriter, clock: Clock = WALL, console: Console | None = None) -> None:
        self._writer = writer
        self._clock = clock
        self._console = console or Console(stderr=True, soft_wrap=True, highlight=False)
        self._at = clock.elapsed()
        self._before = (0, 0, 0)

    def tick(self, newest_ns: int, behind_ns: int = 0) -> None:
        """Say a line if it is time.

        newest_ns : newest ts_recv sent, UTC nanoseconds; behind_ns : how far the clock is ahead of it
        """
        now = self._clock.elapsed()
        seconds = (now - self._at) / NANOS
        if seconds < EVERY_S:
            return
        sent = self._writer.sent
        counts = (sent.rows.total(), sent.frames, sent.bytes)
        rows, frames, size = ((count - before) / seconds for count, before in zip(counts, self._before, strict=True))
        self._at, self._before = now, counts
        behind = f", {behind_ns / NANOS:.1f} s behind" if behind_ns > NANOS else ""
        self.say(
            f"{rows:,.0f} rows/s, {frames:,.0f} frames/s, {size / 1e6:.1f} MB/s, {self._writer.partitions} partitions, "
            f"{self._writer.unacknowledged:,} frames unacknowledged, at {to_rfc3339(newest_ns)[:19]}Z{behind}"
        )

    def say(self, text: str) -> None:
        """Say a line now."""
        self._console.print(f"{self._writer.feed}: {text}", markup=False)
