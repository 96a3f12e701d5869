"""The market log beside a simulator's own record of what it sent: was everything written, and once?"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np

from streams.verifying.aligning import Record
from tapewatch.contract.frames import FrameHeaders, Headers
from tapewatch.errors import ContractError
from tapewatch.market_log.sent_record import RecordedRun, digest

PLACES = 5
_BEATS = ("heartbeat", "status")
"""Rows that may say the same twice by right."""
_WRONG = ("lost", "duplicated", "different")


class SentPlace(msgspec.Struct, frozen=True):
    """Where something was found. offset : in the log, -1 where it is not there"""

    kind: str
    what: str
    epoch: int
    sequence: int
    offset: int


class SentTable(msgspec.Struct, frozen=True):
    """Rows of one type in one partition.

    handed : to Kafka, as the record says; acknowledged : of these, by Kafka; found : of these, in the log
    repeated : further copies under the same epoch and sequence, which every reader drops
    unanswered : handed over by a run that died, never acknowledged, and not in the log; left_out : rows of the market
    that nobody sent, as the record says
    digest : of all frames in the log that the record knows, 16 hex digits: their hashes' sum modulo 2^64
    """

    partition: int
    type: str
    handed: int
    acknowledged: int
    found: int
    lost: int
    duplicated: int
    different: int
    repeated: int
    unanswered: int
    left_out: int
    digest: str
    places: list[SentPlace]


class SentReport(msgspec.Struct, frozen=True):
    """A market log beside the record of its simulator, in rows.

    runs : writers, one after the other; open : whether the last one has not said that it ended
    unrecorded : frames of the source from before the record began; they are not judged
    """

    feed: str
    source: str
    runs: int
    open: bool
    handed: int
    acknowledged: int
    found: int
    lost: int
    duplicated: int
    different: int
    repeated: int
    unanswered: int
    left_out: int
    unrecorded: int
    tables: list[SentTable]

    @property
    def sound(self) -> bool:
        """Whether everything that was acknowledged lies there once, as it was sent."""
        return not (self.lost or self.duplicated or self.different)

    def lines(self) -> list[str]:
        """For people."""
        told = [
            f"record    {self.handed:,} rows handed over in {self.runs} runs, {self.acknowledged:,} acknowledged; "
            f"{self.found:,} in the log, {self.repeated:,} repeated, {self.unanswered:,} never answered for, "
            f"{self.left_out:,} left out"
        ]
        for table in self.tables:
            wrong = ", ".join(f"{getattr(table, name):,} {name}" for name in _WRONG if getattr(table, name))
            if wrong:
                told.append(f"WRONG     partition {table.partition}, {table.type}: {wrong} of {table.handed:,} rows")
                told += [
                    f"    {place.kind}: {place.what}: epoch {place.epoch}, sequence {place.sequence}"
                    + (f", offset {place.offset}" if place.offset >= 0 else "")
                    for place in table.places
                ]
        if self.unrecorded:
            told.append(f"          {self.unrecorded:,} frames from before the record began are not judged")
        told.append(
            f"{'complete' if self.sound else 'NOT complete'}: {self.lost:,} lost, {self.duplicated:,} duplicated, "
            f"{self.different:,} different of {self.acknowledged:,} rows that had to be written"
        )
        return told


@dataclass(slots=True)
class _Counts:
    rows: Counter[str] = field(default_factory=Counter)
    digest: int = 0
    places: list[SentPlace] = field(default_factory=list)

    def note(self, kind: str, what: str, rows: int, epoch: int, sequence: int, offset: int) -> None:
        """Count rows of something wrong, and keep the first places of its kind."""
        self.rows[kind] += rows
        if sum(place.kind == kind for place in self.places) < PLACES:
            self.places.append(SentPlace(kind, what, epoch, sequence, offset))


class SentCheck:
    """Holds one partition's log against the record. Memory: about 30 bytes a frame beside the record."""

    def __init__(self, runs: Sequence[RecordedRun], partition: int) -> None:
        self.partition, self.unrecorded = partition, 0
        self._source = runs[-1].run.source
        self._runs = {each.run.epoch: each for each in runs}
        self._first, self._last = min(self._runs), max(self._runs)
        self._seen = {
            epoch: np.zeros(len(each.sent[partition].rows), dtype=np.int32) for epoch, each in self._runs.items()
        }
        self.counts: dict[str, _Counts] = {}

    def take(self, record: Record) -> None:
        """Look at one record of the log."""
        raw: Headers | None = record.headers()  # type: ignore[assignment]
        try:
            headers = FrameHeaders.from_kafka(raw)
        except ContractError:
            return
        if headers.source != self._source:
            return
        value, offset = record.value() or b"", record.offset() or 0
        run = self._runs.get(headers.epoch)
        if run is None and headers.epoch < self._first:
            self.unrecorded += 1
            return
        sent = run.sent[self.partition] if run is not None else None
        place = headers.epoch, headers.sequence, offset
        if sent is None or headers.sequence >= len(sent.rows):
            self._of(headers.type).note("different", "the record does not know this frame", 1, *place)
            return
        label, rows = sent.labels[headers.sequence], sent.rows[headers.sequence]
        counts = self._of(label)
        if digest(value) != sent.digests[headers.sequence]:
            counts.note("different", "is not what was sent", rows, *place)
        elif self._seen[headers.epoch][headers.sequence]:
            counts.rows["repeated"] += rows
        else:
            counts.rows["found"] += rows
            counts.digest = (counts.digest + sent.digests[headers.sequence]) % 2**64
        self._seen[headers.epoch][headers.sequence] += 1

    def _of(self, label: str) -> _Counts:
        return self.counts.setdefault(label, _Counts())

    def finish(self) -> list[SentTable]:
        """Tell what is missing, and put everything together."""
        for epoch, run in self._runs.items():
            sent = run.sent[self.partition]
            for sequence, (label, rows) in enumerate(zip(sent.labels, sent.rows, strict=True)):
                counts = self._of(label)
                counts.rows["handed"] += rows
                acknowledged = run.ended or sequence < sent.acknowledged
                counts.rows["acknowledged"] += rows * acknowledged
                if self._seen[epoch][sequence]:
                    continue
                if acknowledged:
                    counts.note("lost", "is not in the log", rows, epoch, sequence, -1)
                else:
                    counts.rows["unanswered"] += rows
            for (partition, label), rows in run.left_out.items():
                if partition == self.partition:
                    self._of(label).rows["left_out"] += rows
        for label, epoch, sequence, rows in self._doubled():
            self._of(label).note("duplicated", "was sent before under another number", rows, epoch, sequence, -1)
        return [self._table(label, counts) for label, counts in sorted(self.counts.items())]

    def _doubled(self) -> Iterator[tuple[str, int, int, int]]:
        """Frames in the log whose bytes lie there under an earlier number too."""
        met: dict[int, None] = {}
        for epoch in sorted(self._runs):
            sent = self._runs[epoch].sent[self.partition]
            for sequence in np.flatnonzero(self._seen[epoch]).tolist():
                label, hashed = sent.labels[sequence], sent.digests[sequence]
                if label in _BEATS:
                    continue
                if hashed in met:
                    yield label, epoch, sequence, sent.rows[sequence]
                met[hashed] = None

    def _table(self, label: str, counts: _Counts) -> SentTable:
        names = ("handed", "acknowledged", "found", *_WRONG, "repeated", "unanswered", "left_out")
        figures = {name: counts.rows[name] for name in names}
        return SentTable(
            partition=self.partition, type=label, digest=f"{counts.digest:016x}", places=counts.places, **figures
        )


def check_sent(runs: Sequence[RecordedRun], logs: Iterable[tuple[int, Iterable[Record]]]) -> SentReport:
    """Hold a record's partitions against the log. logs : each partition with its records"""
    tables: list[SentTable] = []
    unrecorded = 0
    for partition, records in logs:
        check = SentCheck(runs, partition)
        for record in records:
            check.take(record)
        tables += check.finish()
        unrecorded += check.unrecorded
    names = ("handed", "acknowledged", "found", *_WRONG, "repeated", "unanswered", "left_out")
    return SentReport(
        feed=runs[-1].run.feed,
        source=runs[-1].run.source,
        runs=len(runs),
        open=not runs[-1].ended,
        unrecorded=unrecorded,
        tables=tables,
        **{name: sum(getattr(table, name) for table in tables) for name in names},
    )
