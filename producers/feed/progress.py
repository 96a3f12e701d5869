"""A replay's progress on stderr: a bar on a terminal, a line every few seconds elsewhere."""

from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from producers.feed.rate import Rate
from producers.feed.writer import FeedWriter
from tapewatch.clock import NANOS, WALL, Clock
from tapewatch.rfc3339 import to_rfc3339

_REFRESH_NS = NANOS // 5


class ReplayProgress:
    """Shows how far a replay has come; give it as `watch`.

    total : rows of the recording where they are known (then the bar has an end and a remaining time), else None
    """

    def __init__(self, total: int | None = None, clock: Clock = WALL, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, soft_wrap=True, highlight=False)
        self._clock = clock
        self._rate: Rate | None = None
        self._next = 0
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        rates = (TextColumn("{task.fields[rate]}"), TimeElapsedColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, *rates, console=self._console, transient=True)
        self._task = self._bar.add_task("replay", total=total, rate="")
        self._begun = clock.elapsed()

    def __enter__(self) -> "ReplayProgress":
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._bar.stop()

    def __call__(self, writer: FeedWriter, newest_ns: int) -> None:
        """Take note of a frame."""
        now = self._clock.elapsed()
        if now < self._next:
            return
        self._next = now + _REFRESH_NS
        if not self._console.is_terminal:
            self._rate = self._rate or Rate(writer, self._clock, self._console)
            self._rate.tick(newest_ns)
            return
        rows = writer.sent.rows.total()
        speed = rows / max((now - self._begun) / NANOS, 1e-9)
        text = f"{speed:,.0f} rows/s, at {to_rfc3339(newest_ns)[:19]}Z"
        self._bar.update(self._task, completed=rows, rate=text, description=writer.feed)
