"""The book as a grid of price and time: how much waited where."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

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
