"""Dead letters: what was refused, kept with where it came from and why. A bad row as a one-row frame, a bad record as
its first 64 KiB.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from tapewatch import frames, topics
from tapewatch.rows import Rows

KEPT_BYTES = 65_536
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
    return [(name, value.encode()) for name, value in named.items()]


def of_record(origin: tuple[str, int, int], reason: str, detail: str, value: bytes | None, by: str) -> DeadLetter:
    """A whole record that was refused. origin : topic, partition, offset; by : who refused it"""
    data = value or b""
    headers = _headers(
        origin,
        reason,
        by,
        kind="record",
        detail=detail[:500],
        bytes=str(len(data)),
        sha256=hashlib.sha256(data).hexdigest(),
    )
    return DeadLetter(topics.dead_letters(origin[0]), data[:KEPT_BYTES], headers)


def of_input(topic: str, reason: str, where: str, raw: bytes, named: Mapping[str, str]) -> DeadLetter:
    """What a producer refused on its way into a topic. where : it came from; named : further headers"""
    letter = of_record((topic, NOWHERE, NOWHERE), reason, where, raw, PRODUCER)
    more = [(name, text.encode("utf-8", "replace")) for name, text in named.items()]
    return DeadLetter(letter.topic, letter.value, letter.headers + more)


def of_row(origin: tuple[str, int, int], reason: str, rows: Rows, row: int) -> DeadLetter:
    """One row of a frame that the engine refused; the value is a one-row frame."""
    value = frames.encode(rows.take(slice(row, row + 1)))
    headers = _headers(origin, reason, ENGINE, kind="row", row=str(row), type=rows.type.label)
    return DeadLetter(topics.dead_letters(origin[0]), value, headers)
