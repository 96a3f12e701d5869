"""Progress of a first start: a bar on stderr where a person looks on, nothing else."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console, RenderableType
from rich.progress import (
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text


class Report(Protocol):
    """Takes what is going on."""

    def __call__(self, stage: str, done: int = 0, total: int = 0) -> None:
        """Say that `stage` has come to `done` of `total` bytes; total 0 where the end is not known."""
        ...


def silent(stage: str, done: int = 0, total: int = 0) -> None:
    """Report nothing."""


@contextmanager
def shown() -> Iterator[Report]:
    """A bar on stderr for as long as the block lasts; plain lines where stderr is no terminal."""
    console = Console(stderr=True)
    if console.is_terminal:
        with _bars(console) as bars:
            yield bars
    else:
        yield _lines(console)


@contextmanager
def _bars(console: Console) -> Iterator[Report]:
    """One line a stage: a spinner, and a bar with bytes where these are known."""
    columns = (SpinnerColumn(finished_text="✓"), TextColumn("{task.description}"), _Amount(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        tasks: dict[str, TaskID] = {}

        def report(stage: str, done: int = 0, total: int = 0) -> None:
            if stage not in tasks:
                for task in tasks.values():
                    progress.update(task, total=1, completed=1)
                tasks[stage] = progress.add_task(stage, total=total or None)
            progress.update(tasks[stage], completed=done)

        yield report


class _Amount(ProgressColumn):
    """A bar with bytes, for a stage that is counted in bytes."""

    def render(self, task: Task) -> RenderableType:
        """Draw it."""
        if task.total is None or task.total <= 1:
            return Text()
        bar = ProgressBar(total=task.total, completed=task.completed, width=40)
        row = Table.grid(padding=(0, 1))
        row.add_row(bar, Text(f"{task.completed / 1e6:.1f}/{task.total / 1e6:.1f} MB"))
        return row


def _lines(console: Console) -> Report:
    """One line when a stage begins."""
    seen: set[str] = set()

    def report(stage: str, done: int = 0, total: int = 0) -> None:
        if stage not in seen:
            seen.add(stage)
            console.print(f"{stage} ...", highlight=False)

    return report
