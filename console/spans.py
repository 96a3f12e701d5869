"""A stretch of one instrument's time, as the charts ask for it, and rows as columns."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from console.filters import When, nanoseconds
from console.refusal import RefusedError
from console.routing import Call
from tapewatch.clock import NANOS
from tapewatch.contract.instruments import is_instrument_id

MILLI = 1_000_000
_FIRST = 1
_LAST = 4_102_444_800 * NANOS  # the year 2100

Numbers = list[float | None]


class Span(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From when to when: start is inclusive, end exclusive. Without an end: up to the newest bar or book.

    Without a start: a stretch before the end, whose length is the operation's own.
    """

    start: When = ""
    end: When = ""


class Stretch(msgspec.Struct, frozen=True):
    """A stretch of an instrument, UTC nanoseconds. number : the instrument's in the tables"""

    number: int
    start: int
    end: int

    @property
    def bound(self) -> dict[str, Any]:
        """Parameters of a statement."""
        return {"number": self.number, "start": self.start, "end": self.end}

    def step(self, points: int, least_s: float = 1.0) -> int:
        """Nanoseconds between points, so that there are at most so many; whole multiples of `least_s`."""
        least = int(least_s * NANOS)
        return max(-(-(self.end - self.start) // (points * least)), 1) * least


_NUMBER = "SELECT id FROM instruments WHERE name = :name AND id > 0"
_NEWEST = {
    "bars": """SELECT coalesce((SELECT max(ts_ns) FROM bars WHERE instrument_id = :number),
(SELECT max(ts_recv_ns) FROM trades WHERE instrument_id = :number),
(SELECT max(ts_recv_ns) FROM quotes WHERE instrument_id = :number))""",
    "books": """SELECT greatest((SELECT max(ts_recv_ns) FROM books WHERE instrument_id = :number),
(SELECT max(ts_recv_ns) FROM quotes WHERE instrument_id = :number),
(SELECT max(ts_recv_ns) FROM trades WHERE instrument_id = :number))""",
    "alerts": """SELECT greatest((SELECT max(ts_ns) FROM bars WHERE instrument_id = :number),
(SELECT max(onset_ns) FROM alerts WHERE instrument_id = :number))""",
}


async def numbered(call: Call) -> int:
    """The number of the path's instrument; RefusedError 404 where there is none that the account may see."""
    name = call.path["id"]
    if not is_instrument_id(name):
        raise RefusedError(404, "there is no such instrument")
    rows = await call.services.database.rows(_NUMBER, {"name": call.see(name)})
    if not rows:
        raise RefusedError(404, "there is no such instrument")
    return int(rows[0][0])


async def stretch(call: Call, usual_s: float, longest_s: float, of: str = "bars") -> Stretch:
    """The stretch that a call wants: at most `longest_s` (the newest part), `usual_s` where no start is given.

    of : where the newest time is looked up: bars, books or alerts. RefusedError 404, 422
    """
    number = await numbered(call)
    wanted: Any = call.query
    end = nanoseconds(wanted.end, 0)
    if not end:
        rows = await call.services.database.rows(_NEWEST[of], {"number": number})
        end = (rows[0][0] or call.services.clock.now()) + 1
    end = min(max(end, _FIRST + 1), _LAST)
    start = nanoseconds(wanted.start, end - int(usual_s * NANOS))
    start = max(start, end - int(longest_s * NANOS), _FIRST)
    if start >= end:
        raise RefusedError(422, "parameters: the start must lie before the end")
    return Stretch(number, start, end)


def columns(names: str, rows: Sequence[Any]) -> dict[str, Any]:
    """Rows as columns by name; `t` and `decided` from nanoseconds to milliseconds."""
    listed = names.split()
    found: dict[str, Any] = (
        dict(zip(listed, zip(*rows, strict=True), strict=True)) if rows else dict.fromkeys(listed, ())
    )
    times = {name: millis(found[name]) for name in ("t", "decided") if name in found}
    return {name: list(column) for name, column in found.items()} | times


def millis(times: Sequence[int]) -> list[float]:
    """Nanoseconds as milliseconds since 1970."""
    return [int(each) / MILLI for each in times]


Points = Annotated[int, Meta(ge=10, le=5000)]
