"""The tape on the wire: a JSON head that names instruments and columns, then frames of what moved, little-endian."""

import struct
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy.typing as npt

from console.live.market import ACTIONS, SEVERITIES, Market, Slots

COLUMNS = (
    ("last", "f8"), ("volume", "f8"), ("bid", "f8"), ("ask", "f8"), ("time", "f8"), ("change", "f4"), ("score", "f4"),
    ("action", "u1"), ("alerts", "u1"), ("severity", "u1"),
)  # fmt: skip
"""Columns of a frame in their order, widest first so that each is aligned; docs/console-live.md describes them."""

_HEAD = struct.Struct("<IId")
FRAME = 1


class Head(msgspec.Struct, frozen=True):
    """What frames speak of. first : number of the first instrument listed here; more heads follow as more are met

    columns : name and type (f8, f4, u1) in the order of a frame; actions, severities : what those columns number
    """

    first: int
    instruments: list[str]
    columns: tuple[tuple[str, str], ...] = COLUMNS
    actions: tuple[str, ...] = ACTIONS
    severities: tuple[str, ...] = SEVERITIES
    change_since: str = "the first price of the UTC day"


def values(market: Market, slots: Slots) -> dict[str, npt.NDArray[Any]]:
    """The columns of some instruments, of the types that frames have."""
    found = {"change": market.change(slots)}
    return {
        name: (found[name] if name in found else getattr(market, name)[slots]).astype(f"<{kind}", copy=False)
        for name, kind in COLUMNS
    }


def frame(market: Market, slots: Slots, numbers: Slots, now_ms: float) -> bytes:
    """A frame: uint32 1, uint32 rows, float64 time of sending in ms; uint32 instrument of each row, filled up to eight
    bytes; then each column whole.

    slots : of the instruments in the market; numbers : theirs in the heads
    """
    parts = [_HEAD.pack(FRAME, len(slots), now_ms), numbers.astype("<u4").tobytes()]
    if len(slots) % 2:
        parts.append(b"\0\0\0\0")
    parts += [column.tobytes() for column in values(market, slots).values()]
    return b"".join(parts)


def head(names: Sequence[str], first: int) -> bytes:
    """A head for the instruments from number `first` on."""
    return msgspec.json.encode(Head(first, list(names[first:])))
