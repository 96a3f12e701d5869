"""A simulator's own record of what it sent: a line before a frame is handed to Kafka, and how far Kafka has answered.

Lines are only ever appended, so that a record is whole up to its last line however its writer ended. A JSON object
begins or ends a run; arrays say what happened in it:
  ["b", upto]                                 a flush of the rows up to a receipt time (UTC ns) begins
  ["f", partition, sequence, type, rows, d]   this frame is about to be handed over; d : 16 hex digits, its digest
  ["a", [next, ...]]                          frames acknowledged, without a hole, by partition
  ["l", partition, type, rows]                rows of the market that the run before did not come to and nobody sends
"""

import os
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from sys import intern
from typing import Any

import msgspec

from tapewatch.errors import TapewatchError


class RunHeader(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One writer's life.

    market : whatever the rows are a function of (seed, settings and the like), the same in every run of a record
    started_ns : receipt time of the market's first row; resumed_ns : rows up to there were left to the runs before, 0
    in the first; both UTC nanoseconds
    """

    feed: str
    source: str
    epoch: int
    partitions: int
    market: dict[str, Any]
    started_ns: int
    resumed_ns: int = 0


class End(msgspec.Struct, frozen=True):
    """A run that ended in order: every frame was acknowledged. ended_ns : receipt time up to which rows were sent"""

    ended_ns: int


def digest(value: bytes) -> int:
    """64 bits of a frame's hash (BLAKE2b). Those of many frames are added up, modulo 2^64, in whatever order."""
    return int.from_bytes(blake2b(value, digest_size=8).digest(), "big")


class SentRecord:
    """Appends to a record. It is on disk after each `sync`; what is written is safe from the writer's own death."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._next: list[int] = []
        self._ahead: list[set[int]] = []
        self._said: list[int] = []

    def begin(self, run: RunHeader) -> None:
        """A run begins."""
        self._next, self._said = [0] * run.partitions, []
        self._ahead = [set() for _ in range(run.partitions)]
        # A line that a killed writer has not finished ends here.
        os.write(self._file, b"\n")
        self._write(run)
        self.sync()

    def flush(self, upto_ns: int) -> None:
        """A flush begins."""
        self._write(("b", upto_ns))

    def handed(self, partition: int, sequence: int, label: str, rows: int, value: bytes) -> None:
        """A frame is about to be handed over."""
        self._write(("f", partition, sequence, label, rows, f"{digest(value):016x}"))

    def left_out(self, partition: int, label: str, rows: int) -> None:
        """Rows that nobody sends."""
        self._write(("l", partition, label, rows))

    def acknowledged(self, partition: int, sequence: int) -> None:
        """Kafka has a frame. Called in any order."""
        ahead = self._ahead[partition]
        ahead.add(sequence)
        while self._next[partition] in ahead:
            ahead.discard(self._next[partition])
            self._next[partition] += 1

    def sync(self) -> None:
        """Say how far Kafka has answered, and wait for the disk."""
        if self._next != self._said:
            self._said = list(self._next)
            self._write(("a", self._said))
        os.fsync(self._file)

    def end(self, ended_ns: int) -> None:
        """The run ends in order."""
        self.sync()
        self._write(End(ended_ns))
        self.close()

    def close(self) -> None:
        """Give the file back."""
        if self._file >= 0:
            os.fsync(self._file)
            os.close(self._file)
            self._file = -1

    def _write(self, line: object) -> None:
        os.write(self._file, msgspec.json.encode(line) + b"\n")


@dataclass(slots=True)
class SentFrames:
    """Frames of one run to one partition, by sequence, 20 bytes each. acknowledged : the first so many"""

    labels: list[str] = field(default_factory=list)
    rows: "array[int]" = field(default_factory=lambda: array("I"))
    digests: "array[int]" = field(default_factory=lambda: array("Q"))
    acknowledged: int = 0


@dataclass(slots=True)
class RecordedRun:
    """A run as its record tells it.

    sent : by partition; left_out : rows by partition and type; ended : whether it ended in order
    flushes : the last two receipt times (UTC ns) that flushes went up to; since_flush : rows of the frames since the
    last of them, by partition and type
    """

    run: RunHeader
    sent: list[SentFrames]
    left_out: dict[tuple[int, str], int] = field(default_factory=dict)
    ended: bool = False
    flushes: tuple[int, int] = (0, 0)
    since_flush: dict[tuple[int, str], int] = field(default_factory=dict)


def read(path: Path) -> list[RecordedRun]:
    """The runs of a record, in order; none where there is no file. A line that was cut short is passed over."""
    runs: list[RecordedRun] = []
    for line in _lines(path):
        if isinstance(line, dict):
            _take_object(line, runs)
        elif runs:
            _take(line, runs[-1])
    return runs


def as_answered(runs: list[RecordedRun], before: list[RecordedRun]) -> list[RecordedRun]:
    """A record with the answers that an earlier reading of it knew of, and no later ones."""
    for place, each in enumerate(runs):
        known = before[place] if place < len(before) else None
        each.ended = known is not None and known.ended
        for partition, sent in enumerate(each.sent):
            sent.acknowledged = known.sent[partition].acknowledged if known is not None else 0
    return runs


def _lines(path: Path) -> Iterator[Any]:
    try:
        with path.open("rb") as file:
            decoder = msgspec.json.Decoder()
            for line in file:
                try:
                    yield decoder.decode(line)
                except msgspec.DecodeError:
                    continue
    except FileNotFoundError:
        return
    except OSError as error:
        raise TapewatchError(
            f"cannot read {path}: {error.strerror}", "Name a record of `produce synthetic`."
        ) from error


def _take_object(line: dict[str, Any], runs: list[RecordedRun]) -> None:
    if "ended_ns" in line and runs:
        runs[-1].ended = True
        return
    try:
        run = msgspec.convert(line, RunHeader)
    except msgspec.ValidationError as error:
        raise TapewatchError(
            f"not a record of what was sent: {error}", "Name a record of `produce synthetic`."
        ) from error
    runs.append(
        RecordedRun(run, [SentFrames() for _ in range(run.partitions)], flushes=(run.resumed_ns, run.resumed_ns))
    )


def _take(line: Iterable[Any], into: RecordedRun) -> None:
    match line:
        case ["f", int(partition), int(sequence), str(label), int(rows), str(digits)]:
            sent = into.sent[partition]
            if sequence == len(sent.rows):
                sent.labels.append(intern(label))
                sent.rows.append(rows)
                sent.digests.append(int(digits, 16))
            key = partition, label
            into.since_flush[key] = into.since_flush.get(key, 0) + rows
        case ["b", int(upto)]:
            into.flushes = into.flushes[1], upto
            into.since_flush = {}
        case ["a", [*counts]]:
            for sent, count in zip(into.sent, counts, strict=True):
                sent.acknowledged = count
        case ["l", int(partition), str(label), int(rows)]:
            into.left_out[partition, label] = into.left_out.get((partition, label), 0) + rows
        case _:
            return
