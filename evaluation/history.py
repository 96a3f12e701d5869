"""Stored history as the engine reads it: partitions of records in log order, and where each may be taken up."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from streams.engine.models import ActiveModels
from streams.engine.task import Task
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
