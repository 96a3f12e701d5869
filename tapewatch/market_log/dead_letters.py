"""Dead letters: what was refused, kept with where it came from and why. Bad rows as frames, a bad record as its first
64 KiB.

A letter's value is never larger than 64 KiB, whatever was refused, and a header has at most 500 letters.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tapewatch.contract import frames, topics
from tapewatch.contract.checks import Reason
from tapewatch.contract.rows import Rows, RowType
from tapewatch.runtime import batches
from tapewatch.runtime.batches import KEPT_BYTES, UnreadableBatch

HEADER_LETTERS = 500
"""Letters of a header's text that are kept."""
SINGLE_ROWS = 4
"""Up to so many rows of a frame that are refused for one reason have a letter each; more have as few as hold them."""
NOWHERE = -1
"""Origin partition and offset of what never became a record."""

ENGINE, PRODUCER, POSTGRES, ELASTICSEARCH, CASES, NEWS = (
    "engine",
    "producer",
    "postgres",
    "elasticsearch",
    "cases",
    "news",
)
"""Who refuses: what a replay can do depends on it."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record of a dead-letter topic."""

    topic: str
    value: bytes
    headers: list[tuple[str, bytes]]

    @property
    def reason(self) -> str:
        """Why it was refused."""
        return next(value.decode() for name, value in self.headers if name == "reason")


def _headers(origin: tuple[str, int, int], reason: str, by: str, **more: str) -> list[tuple[str, bytes]]:
    topic, partition, offset = origin
    named = {
        "reason": reason,
        "origin_topic": topic,
        "origin_partition": str(partition),
        "origin_offset": str(offset),
        "refused_by": by,
        **more,
    }
    return [_header(name, text) for name, text in named.items()]


def _header(name: str, text: str) -> tuple[str, bytes]:
    return name, text[:HEADER_LETTERS].encode("utf-8", "replace")


def of_record(origin: tuple[str, int, int], reason: str, detail: str, value: bytes | None, by: str) -> DeadLetter:
    """A whole record that was refused. origin : topic, partition, offset; by : who refused it"""
    data = value or b""
    headers = _headers(
        origin,
        reason,
        by,
        kind="record",
        detail=detail,
        bytes=str(len(data)),
        sha256=hashlib.sha256(data).hexdigest(),
    )
    return DeadLetter(topics.dead_letters(origin[0]), data[:KEPT_BYTES], headers)


def of_batch(batch: UnreadableBatch, by: str) -> DeadLetter:
    """The records of a batch that cannot be unpacked, as what lies in the log. by : who refused it"""
    headers = _headers(
        (*batch.log, batch.first),
        batches.REASON,
        by,
        kind="record",
        detail=batch.detail,
        last_offset=str(batch.last),
        codec=batch.codec,
        bytes=str(batch.size),
        sha256=batch.sha256,
    )
    return DeadLetter(topics.dead_letters(batch.log[0]), batch.head, headers)


def of_input(topic: str, reason: str, where: str, raw: bytes, named: Mapping[str, str]) -> DeadLetter:
    """What a producer refused on its way into a topic. where : it came from; named : further headers"""
    letter = of_record((topic, NOWHERE, NOWHERE), reason, where, raw, PRODUCER)
    more = [_header(name, text) for name, text in named.items()]
    return DeadLetter(letter.topic, letter.value, letter.headers + more)


def of_refused(
    origin: tuple[str, int, int], rows: Rows, reasons: npt.NDArray[np.uint8], size: int
) -> Iterator[DeadLetter]:
    """The rows of a frame that the engine refused, letters in the order of their first rows.

    Together they take twice the record's bytes, or 128 KiB, and what one more letter takes: of rows beyond that, number
    and hash are kept.
    reasons : uint8[rows], 0 for a row that was not refused; size : bytes of the frame's record
    """
    groups: list[npt.NDArray[np.intp]] = []
    for reason in np.unique(reasons[reasons > 0]):
        which = np.flatnonzero(reasons == reason)
        groups += [which] if len(which) > SINGLE_ROWS else np.split(which, len(which))
    left = 2 * max(size, KEPT_BYTES)
    for which in sorted(groups, key=lambda each: int(each[0])):
        label = Reason(int(reasons[which[0]])).label
        for part, frame in _parts(rows, which):
            if left <= 0:
                rest = which[which >= part[0]]
                yield of_rows(origin, label, rows.type, rest.tolist(), frames.encode(rows.take(rest)), 0)
                break
            letter = of_rows(origin, label, rows.type, part.tolist(), frame)
            left -= len(letter.value)
            yield letter


def _parts(rows: Rows, which: npt.NDArray[np.intp]) -> Iterator[tuple[npt.NDArray[np.intp], bytes]]:
    """Rows as frames that each fit into a letter, as far as single rows do."""
    frame = frames.encode(rows.take(which))
    if len(frame) <= KEPT_BYTES or len(which) == 1:
        yield which, frame
        return
    for part in np.array_split(which, min(len(which), 1 + len(frame) // KEPT_BYTES)):
        yield from _parts(rows, part)


def of_rows(
    origin: tuple[str, int, int], reason: str, row_type: RowType, which: Sequence[int], frame: bytes,
    most: int = KEPT_BYTES,
) -> DeadLetter:  # fmt: skip
    """Rows of a frame that the engine refused for one reason.

    which : their places; frame : of these rows alone; most : how many of its bytes are kept
    """
    told = {"kind": "row", "row": str(which[0]), "type": row_type.label}
    if len(which) > 1:
        told |= {"kind": "rows", "rows": str(len(which))}
    if len(frame) > most:
        told |= {"bytes": str(len(frame)), "sha256": hashlib.sha256(frame).hexdigest()}
    return DeadLetter(topics.dead_letters(origin[0]), frame[:most], _headers(origin, reason, ENGINE, **told))
