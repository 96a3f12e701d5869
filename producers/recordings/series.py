"""A series: the files of one kind and market that make one time-ordered stream of rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from producers.recordings.options import RecordingOptions
from producers.recordings.report import RecordingReport
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.rows import Chunk, Column, Rows

Blocks = Iterator[list[Rows]]
"""Rows in bounded lists: no ts_recv before one of an earlier list; within a list each `Rows` is in receipt order."""


@dataclass(frozen=True, slots=True)
class Head:
    """How a file begins: its path, its first raw bytes, and its first decompressed bytes (up to 1 MiB)."""

    path: Path
    magic: bytes
    text: bytes

    @property
    def first_line(self) -> str:
        """The first line without byte-order mark and line end."""
        return self.text.removeprefix(b"\xef\xbb\xbf").split(b"\n", 1)[0].rstrip(b"\r").decode("utf-8", "replace")


class Series(Protocol):
    """Files of one kind that continue or complete each other.

    identity : what the rows depend on beyond file contents and options (kind, market, what the file name told)
    """

    @property
    def paths(self) -> Sequence[Path]:
        """The files, in the order in which they are read."""
        ...

    @property
    def identity(self) -> str:
        """Kind and everything derived from file names; part of the fingerprint."""
        ...

    @property
    def instruments(self) -> Sequence[Instrument]:
        """Reference data of the instruments in the files."""
        ...

    def blocks(self, report: RecordingReport) -> Blocks:
        """The rows in time order, from the start; every refused line goes into `report`."""
        ...


class Kind(Protocol):
    """A format of recordings: a module that tells its files and opens them."""

    name: str

    def recognises(self, head: Head) -> bool:
        """Whether a file that begins so is of this kind."""
        ...

    def open(self, heads: Sequence[Head], options: RecordingOptions) -> list[Series]:
        """The series that these files of this kind make."""
        ...


def in_chunks(blocks: Blocks) -> Iterator[Chunk]:
    """Cut blocks into chunks so that no chunk ends between two rows of one receipt time.

    The rows of a block's newest receipt time wait for the next block, since it may hold more of them.
    """
    held: list[Rows] = []
    for block in blocks:
        rows = [part for part in (*held, *block) if len(part)]
        if not rows:
            continue
        newest = max(int(part.ts_recv[-1]) for part in rows)
        before, held = split(rows, newest)
        if before:
            yield Chunk(newest, before)
    if held:
        yield Chunk(max(int(part.ts_recv[-1]) for part in held) + 1, held)


def split(rows: Sequence[Rows], end_ns: int) -> tuple[list[Rows], list[Rows]]:
    """Rows received before `end_ns`, and the rest; order kept, empty parts left out."""
    before: list[Rows] = []
    after: list[Rows] = []
    for part in rows:
        cut = int(np.searchsorted(part.ts_recv, end_ns, side="left"))
        if cut:
            before.append(part if cut == len(part) else part.take(slice(None, cut)))
        if cut < len(part):
            after.append(part.take(slice(cut, None)) if cut else part)
    return before, after


def never_back(times: Column, newest: int, report: RecordingReport) -> Column:
    """Receipt times that never decrease: each at least `newest` and all before it; counts the ones raised."""
    raised = np.maximum(np.maximum.accumulate(times), newest)
    report.stepped_back += int(np.count_nonzero(raised != times))
    return raised
