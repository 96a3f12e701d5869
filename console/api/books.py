"""The order book of an instrument: as it stands, moment by moment, and as a heat map. The best five levels are kept.

The book as a grid of price and time: how much waited where.
"""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta

from console.filters import When, nanoseconds
from console.routing import Call, Route
from console.spans import MILLI, Numbers, Span, Stretch, millis, numbered, stretch
from tapewatch.clock import NANOS

Floats = npt.NDArray[np.float64]


class Heat(msgspec.Struct, frozen=True):
    """A heat map. t : begin of each column, ms; quantity : column after column, lowest price first

    low : lower edge of the lowest row; step : height of a row; bid, ask : best prices, null where a side is empty
    most : largest quantity of a cell. Only the best five levels are kept, so what lies beyond them shows as empty.
    """

    t: list[float]
    low: float
    step: float
    rows: int
    quantity: list[float]
    bid: list[float | None]
    ask: list[float | None]
    most: float


EMPTY = Heat([], 0.0, 1.0, 0, [], [], [], 0.0)


def heat(places: Sequence[int], levels: Floats, times: Sequence[float], rows: int) -> Heat:
    """The grid of books, each in force until the next.

    places : column of each book, rising; levels : float64[books, 4, depth], bid price, bid quantity, ask price, ask
    quantity, best first, NaN where a level is empty; times : begin of each column, ms; rows : of the grid
    """
    if not len(places):
        return EMPTY
    prices = levels[:, (0, 2), :]
    known = prices[np.isfinite(prices)]
    if not known.size:
        return EMPTY
    # A few absurd levels must not flatten the rest: rows span the middle 98 % of the prices.
    low = float(np.quantile(known, 0.01, method="lower"))
    high = float(np.quantile(known, 0.99, method="higher"))
    step = _height(low, high, known, rows)
    low -= step / 2
    rows = min(rows, int(np.ceil((high + step / 2 - low) / step)) or 1)
    # The book in force at each column: the last one at or before it.
    newest = np.searchsorted(np.asarray(places), np.arange(len(times)), side="right") - 1
    first = int(places[0])
    grid = np.zeros((len(times), rows))
    for column in range(first, len(times)):
        book = levels[newest[column]]
        _add(grid[column], book[0], book[1], low, step)
        _add(grid[column], book[2], book[3], low, step)
    bid, ask = (_best(levels[:, side, 0], newest, first) for side in (0, 2))
    quantity = [float(f"{value:.5g}") for value in grid.ravel()]
    return Heat(list(times), float(low), float(step), rows, quantity, bid, ask, float(grid.max()))


def _height(low: float, high: float, prices: Floats, rows: int) -> float:
    """The height of a row: the instrument's own price step where all rows fit, more otherwise."""
    distinct = np.unique(prices)
    gaps = np.diff(distinct)
    # Prices that differ by rounding alone are one.
    gaps = gaps[gaps > 1e-9 * max(abs(high), 1e-12)]
    tick = float(np.quantile(gaps, 0.05)) if gaps.size else max(abs(high), 1e-9) * 1e-4
    return max(tick, (high - low) / max(rows - 1, 1))


def _add(cells: Floats, prices: Floats, quantities: Floats, low: float, step: float) -> None:
    """Add the quantity of each level to its cell."""
    place = np.floor((prices - low) / step)
    fits = (place >= 0) & (place < len(cells)) & np.isfinite(quantities)
    np.add.at(cells, place[fits].astype(np.int64), quantities[fits])


def _best(prices: Floats, newest: npt.NDArray[Any], first: int) -> list[float | None]:
    """The best price of one side at each column."""
    taken = prices[np.maximum(newest, 0)]
    return [
        float(value) if column >= first and np.isfinite(value) else None for column, value in enumerate(taken.tolist())
    ]


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
