"""A synthetic market that keeps a record of what it sends, and goes on from it after its writer was killed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from producers.feed.splitter import Splitter
from tapewatch.contract.rows import EVERY_INSTRUMENT, Column, Rows, RowType, StatusKind
from tapewatch.errors import TapewatchError
from tapewatch.market_log import sent_record
from tapewatch.market_log.sent_record import RecordedRun, SentRecord


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """What earlier runs of a market have done, by their record.

    started_ns : the market's start; done_ns : rows up to that receipt time are theirs; begun_ns : where their last
    flush, which may be cut short, began; since : rows of it that were handed over, by partition and type
    epoch : the newest of them
    """

    started_ns: int
    begun_ns: int
    done_ns: int
    since: dict[tuple[int, str], int]
    epoch: int


def before(path: Path, feed: str, market: dict[str, Any], resume: bool) -> ResumePoint | None:
    """What a record tells; None where there is none yet. TapewatchError where it is another market's."""
    runs = sent_record.read(path)
    if not runs:
        return None
    if not resume:
        raise TapewatchError(f"{path} is a record already", "Go on from it with --resume, or name another file.")
    last = runs[-1]
    if (last.run.feed, last.run.market) != (feed, market):
        raise TapewatchError(
            f"{path} is the record of another market", "Give the feed, seed and settings that it was begun with."
        )
    return _told(last)


def _told(last: RecordedRun) -> ResumePoint:
    begun, done = (max(each, last.run.started_ns - 1) for each in last.flushes)
    return ResumePoint(last.run.started_ns, begun, done, dict(last.since_flush), last.run.epoch)


def note_left_out(record: SentRecord, before: ResumePoint, chunk: Sequence[Rows], splitter: Splitter) -> None:
    """Write down which rows of a second the last flush of the run before did not come to: nobody sends them."""
    for rows in chunk:
        inside = (rows.ts_recv > before.begun_ns) & (rows.ts_recv <= before.done_ns)
        for partition, own in splitter.split(rows.take(np.flatnonzero(inside))):
            left = len(own) - before.since.get((partition, rows.type.label), 0)
            if left > 0:
                record.left_out(partition, rows.type.label, left)


def gap_row(at_ns: int) -> Rows:
    """Says to every partition that its writer was away, so that rows may be missing. at_ns : UTC nanoseconds"""
    columns: dict[str, Column] = {
        "instrument": np.zeros(1, dtype=np.int32),
        "ts_event": np.full(1, at_ns, dtype=np.int64),
        "ts_recv": np.full(1, at_ns, dtype=np.int64),
        "kind": np.full(1, int(StatusKind.GAP), dtype=np.int8),
        "detail": np.array(["the writer died and was started again"], dtype=object),
    }
    return Rows(RowType.STATUS, (EVERY_INSTRUMENT,), columns)
