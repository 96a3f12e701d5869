"""The order book of an instrument: as it stands, moment by moment, and as a heat map. The best five levels are kept."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta

from console.filters import When, nanoseconds
from console.heat import EMPTY, Heat, heat
from console.routing import Call, Route
from console.spans import MILLI, Numbers, Span, Stretch, millis, numbered, stretch
from tapewatch.clock import NANOS

DEPTH = 5
_USUAL_S, _LONGEST_S = 900, 6 * 3600
_SIDES = ("bid_price", "bid_qty", "ask_price", "ask_qty")


class BookQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """at : the book that was in force then; without it the newest"""

    at: When = ""


class Book(msgspec.Struct, frozen=True):
    """One book, best levels first; levels that are empty are left out. t : ms; null where there is no book"""

    t: float | None
    bid_price: list[float]
    bid_qty: list[float]
    ask_price: list[float]
    ask_qty: list[float]


class BookSeriesQuery(Span, frozen=True, forbid_unknown_fields=True):
    """points : at most so many"""

    points: Annotated[int, Meta(ge=10, le=2000)] = 600


class BookSeries(msgspec.Struct, frozen=True):
    """Books moment by moment: the last one of each step. null where a level is empty"""

    t: list[float]
    bid_price: list[Numbers]
    bid_qty: list[Numbers]
    ask_price: list[Numbers]
    ask_qty: list[Numbers]
    step_s: float


class HeatmapQuery(Span, frozen=True, forbid_unknown_fields=True):
    """columns, rows : of the grid, at most"""

    columns: Annotated[int, Meta(ge=10, le=600)] = 240
    rows: Annotated[int, Meta(ge=10, le=200)] = 80


_LEVELS = ", ".join(f"{side}_{level}" for side in _SIDES for level in range(1, DEPTH + 1))
_TOUCH = ", ".join(f"{side}, " + ", ".join(["cast('NaN' AS float8)"] * (DEPTH - 1)) for side in _SIDES)
_TABLES = (("books", _LEVELS), ("quotes", _TOUCH))
"""Where there are no books the quotes' touch stands for one."""

_ONE = """
SELECT ts_recv_ns, {columns} FROM {table} WHERE instrument_id = :number AND ts_recv_ns >= :start AND ts_recv_ns <= :at
ORDER BY ts_recv_ns DESC, log_offset DESC LIMIT 1
"""
_MANY = """
SELECT DISTINCT ON ((ts_recv_ns - :start) / :step) ts_recv_ns, {columns}
FROM {table} WHERE instrument_id = :number AND ts_recv_ns >= :start AND ts_recv_ns < :end
ORDER BY (ts_recv_ns - :start) / :step, ts_recv_ns DESC, log_offset DESC
"""
_NEWEST = 4_102_444_800 * NANOS


async def book(call: Call) -> Book:
    """The book in force, of the day before at most; of quotes where the feed has no books."""
    number = await numbered(call)
    at = min(nanoseconds(call.query.at, _NEWEST), _NEWEST)
    # Without a time the newest one counts, however old: a replay's clock may lie years back.
    start = max(at - 86_400 * NANOS, 0) if call.query.at else 0
    for table, chosen in _TABLES:
        rows = await call.services.database.rows(
            _ONE.format(table=table, columns=chosen), {"number": number, "at": at, "start": start}
        )
        if rows:
            sides = _sides(rows)[0]
            bid, ask = np.isfinite(sides[0]), np.isfinite(sides[2])
            filled = zip(_SIDES, sides, (bid, bid, ask, ask), strict=True)
            levels: dict[str, Any] = {name: np.nan_to_num(side[kept]).tolist() for name, side, kept in filled}
            return Book(rows[0][0] / MILLI, **levels)
    return Book(None, [], [], [], [])


async def books(call: Call) -> BookSeries:
    """Books moment by moment."""
    wanted: BookSeriesQuery = call.query
    span = await stretch(call, _USUAL_S, _LONGEST_S, of="books")
    step = span.step(wanted.points, 0.001)
    rows = await _many(call, span, step)
    sides = _sides(rows)
    filled: dict[str, Any] = {
        name: [[_null(value) for value in level] for level in sides[:, side].tolist()]
        for side, name in enumerate(_SIDES)
    }
    return BookSeries(millis([row[0] for row in rows]), **filled, step_s=step / NANOS)


async def heatmap(call: Call) -> Heat:
    """Quantity by price and time."""
    wanted: HeatmapQuery = call.query
    span = await stretch(call, _USUAL_S, _LONGEST_S, of="books")
    step = span.step(wanted.columns, 0.001)
    rows = await _many(call, span, step)
    if not rows:
        return EMPTY
    times = millis(range(span.start, span.end, step))
    return heat([(row[0] - span.start) // step for row in rows], _sides(rows), times, wanted.rows)


async def _many(call: Call, span: Stretch, step: int) -> Sequence[Any]:
    """The last book of each step; the touch where there are no books."""
    for table, chosen in _TABLES:
        statement = _MANY.format(table=table, columns=chosen)
        rows = await call.services.database.rows(statement, span.bound | {"step": step})
        if rows:
            return rows
    return []


def _sides(rows: Sequence[Any]) -> Any:
    """Levels as float64[books, 4, 5]: bid price, bid quantity, ask price, ask quantity."""
    return np.array([row[1:] for row in rows], dtype=np.float64).reshape(len(rows), 4, DEPTH)


def _null(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _route(name: str, handler: Any, summary: str, query: type[msgspec.Struct], answer: Any) -> Route:
    path = f"/api/v1/instruments/{{id}}/{name}"
    return Route("GET", path, handler, summary, page="instrument", query=query, answer=answer)


ROUTES = [
    _route("book", book, "The order book as it stands, or stood", BookQuery, Book),
    _route("books", books, "Order books moment by moment", BookSeriesQuery, BookSeries),
    _route("heatmap", heatmap, "The order book as a grid of price and time", HeatmapQuery, Heat),
]
