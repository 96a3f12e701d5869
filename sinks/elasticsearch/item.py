"""One document on its way: what it asks of the server, and where it came from."""

from dataclasses import dataclass
from typing import Any

import msgspec

VERSION_STEP = 1000
"""External versions of two revisions lie this far apart: a hand that edits a document, which raises its version by one,
does not outdo the next revision.
"""

_encoder = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Item:
    """A bulk item. action, source : its two lines without line ends

    origin : topic, partition, offset of the record; letter : what goes into a dead letter; kind : of the index
    """

    kind: str
    action: bytes
    source: bytes
    origin: tuple[str, int, int]
    letter: bytes

    @property
    def size(self) -> int:
        """Bytes in a bulk body."""
        return len(self.action) + len(self.source) + 2


def encode(document: Any) -> bytes:
    """A document as one line of JSON; NaN and infinity become null."""
    return _encoder.encode(document)


def action(index: str, id_: str, version: int | None = None, create: bool = False) -> bytes:
    """The action line. version : external; of two documents of one id the higher one stays, an equal one replaces

    create : only where there is no such document
    """
    meta: dict[str, Any] = {"_index": index, "_id": id_}
    if version is not None:
        meta |= {"version": version, "version_type": "external_gte"}
    return _encoder.encode({"create" if create else "index": meta})


def revision_version(revision: int) -> int:
    """The external version of a revision."""
    return (revision + 1) * VERSION_STEP


def daily(prefix: str, kind: str, ts: str) -> str:
    """The index of a day. ts : RFC 3339, UTC"""
    return f"{prefix}-{kind}-{ts[:4]}.{ts[5:7]}.{ts[8:10]}"
