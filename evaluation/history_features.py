"""Feature rows of a stored history: each partition through a brokerless engine without models and scenarios.

Stored history as the engine reads it: partitions of records in log order, and where each may be taken up.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from streams.driver import table
from streams.engine.detector_config import DetectorConfig
from streams.engine.models import ActiveModels, ModelStore
from streams.engine.task import Task
from tapewatch.clock import NANOS
from tapewatch.contract import topics
from tapewatch.contract.frames import Headers


@dataclass(frozen=True, slots=True)
class Span:
    """Alerts decided from `start_ns` to before `end_ns` count; UTC nanoseconds of the log's time.

    warm_up_s : how long before the start the log is read on, so that windows are warm, s
    """

    start_ns: int
    end_ns: int
    warm_up_s: float


@dataclass(frozen=True, slots=True)
class Record:
    """One record of the log. appended_ns : when it was appended, UTC nanoseconds"""

    offset: int
    value: bytes | None
    headers: Headers | None
    appended_ns: int


class Partition(Protocol):
    """One partition's log over a span.

    name : for the result; begin : how its state begins, in words
    """

    name: str
    begin: str

    def task(self, force: ActiveModels) -> Task:
        """A task as it stands before the first of `records`, under the given models and thresholds."""
        ...

    def records(self) -> Iterator[Record]:
        """The log from there to the span's end."""
        ...


class History(Protocol):
    """A stored market.

    where : what it is, in words
    """

    where: str

    def partitions(self, span: Span) -> Sequence[Partition]:
        """Its partitions that reach into the span; TapewatchError where there is none."""
        ...

    def kind(self, instrument: str) -> str:
        """The class of an instrument, by its reference data; empty where there is none."""
        ...

    def close(self) -> None:
        """Give back what is held."""
        ...


_TAKE_RECORDS = 500
_BEHIND_NS = 5 * NANOS
"""The log is read this far beyond the span's end: its last second is closed by what comes after."""


def tables(partition: Partition, span: Span, say: Callable[[int, int], None]) -> Iterator[dict[str, Any]]:
    """Columns of feature rows, some hundred records at a time, warm-up included; `ts` is the end of a row's second.

    say : told of the market rows read so far, and the log's time (UTC ns)
    """
    task = partition.task(ActiveModels(ModelStore(), {}, DetectorConfig(watch=False)))

    def taken() -> dict[str, Any]:
        return table((one for one in task.take() if one.topic == topics.FEATURES), "features")

    for number, record in enumerate(partition.records(), start=1):
        task.feed(record.offset, record.value, record.headers, record.appended_ns)
        if number % _TAKE_RECORDS == 0:
            if columns := taken():
                yield columns
            say(sum(task.tally.rows.values()), task.clock_ns)
        if task.clock_ns >= span.end_ns + _BEHIND_NS:
            break
    if columns := taken():
        yield columns
    say(sum(task.tally.rows.values()), task.clock_ns)
