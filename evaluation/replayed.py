"""Alerts that a stored history gives under several configurations at once: each record is read once and fed to a task
for each. Nothing is written anywhere.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from evaluation.history_features import Partition, Span
from streams.engine.models import ActiveModels
from streams.engine.task import Task
from tapewatch.clock import NANOS, WALL
from tapewatch.contract import messages, topics
from tapewatch.contract.messages import Alert, from_rfc3339, to_rfc3339
from tapewatch.market_log.admission import CONTROL_SOURCE

_DRAIN_RECORDS = 500
_SAY_EVERY_NS = 2 * NANOS
_BEHIND_NS = 5 * NANOS
"""The log is read this far beyond the span's end: its last second is closed by what comes after."""


@dataclass(slots=True)
class Episode:
    """An alert through its revisions: the first one, the newest one, and when it closed (UTC ns; 0 while open)."""

    first: Alert
    last: Alert
    closed_ns: int = 0

    @property
    def decided_ns(self) -> int:
        """When it was first decided, UTC ns."""
        return from_rfc3339(self.first.decided)


@dataclass(slots=True)
class Replay:
    """What came out. episodes : one list a configuration; rows : accepted market rows, heartbeats included

    instruments : those with any row; watched_s : seconds of log time within the span, times the partition's instruments
    """

    episodes: list[list[Episode]]
    rows: int = 0
    instruments: list[str] = field(default_factory=list)
    watched_s: float = 0.0
    seconds: float = 0.0
    begins: dict[str, str] = field(default_factory=dict)


def silent(_: int, __: int) -> None:
    """Progress to nobody."""


def on_stderr() -> Callable[[int, int], None]:
    """Progress in rows and log time, a line every two seconds."""
    said = [WALL.elapsed()]

    def say(rows: int, clock_ns: int) -> None:
        if WALL.elapsed() - said[0] >= _SAY_EVERY_NS:
            said[0] = WALL.elapsed()
            print(f"{rows:,} rows, {to_rfc3339(clock_ns)[:19]}Z", file=sys.stderr, flush=True)

    return say


def replay(
    partitions: Sequence[Partition],
    forces: Sequence[Callable[[], ActiveModels]],
    span: Span,
    say: Callable[[int, int], None] = silent,
) -> Replay:
    """Run every partition under each of `forces`, which holds from first to last: control rows of the log are passed
    over.
    """
    found = Replay([[] for _ in forces])
    began = WALL.elapsed()
    for partition in partitions:
        tasks = [partition.task(force()) for force in forces]
        _run(partition, tasks, span, found, say)
        found.begins[partition.name] = partition.begin
    found.seconds = (WALL.elapsed() - began) / NANOS
    return found


def _run(
    partition: Partition, tasks: Sequence[Task], span: Span, found: Replay, say: Callable[[int, int], None]
) -> None:
    known: list[dict[str, Episode]] = [{} for _ in tasks]
    first_ns, before = -1, found.rows
    for number, record in enumerate(partition.records(), start=1):
        if dict(record.headers or ()).get("source") == CONTROL_SOURCE.encode():
            continue
        for task in tasks:
            task.feed(record.offset, record.value, record.headers, record.appended_ns)
        clock = tasks[0].clock_ns
        first_ns = clock if first_ns < 0 else first_ns
        if number % _DRAIN_RECORDS == 0:
            _take(tasks, known)
            found.rows = before + sum(tasks[0].tally.rows.values())
            say(found.rows, clock)
        if clock >= span.end_ns + _BEHIND_NS:
            break
    _take(tasks, known)
    found.rows = before + sum(tasks[0].tally.rows.values())
    if first_ns < 0:
        return
    instruments = tasks[0].admission.names
    watched = min(tasks[0].clock_ns, span.end_ns) - max(first_ns, span.start_ns)
    found.instruments += instruments
    found.watched_s += len(instruments) * max(watched, 0) / NANOS
    for episodes, mine in zip(found.episodes, known, strict=True):
        episodes += [each for each in mine.values() if span.start_ns <= each.decided_ns < span.end_ns]


def _take(tasks: Sequence[Task], known: Sequence[dict[str, Episode]]) -> None:
    """Gather the alerts that the tasks wrote since the last time."""
    for task, mine in zip(tasks, known, strict=True):
        for record in task.take():
            if record.topic != topics.ALERTS:
                continue
            alert = messages.decode(Alert, record.value)
            episode = mine.setdefault(alert.id, Episode(alert, alert))
            episode.last = alert
            if alert.state == "closed":
                episode.closed_ns = from_rfc3339(alert.updated)
