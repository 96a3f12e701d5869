"""Simple per-second features of a market, straight from its rows: what a baseline of the shelf is trained on.

Counts, volumes, sizes at the touch and over the visible levels, spread and returns, each also against its own mean of
the last minute, so that a model learnt on one recording means the same on another.
"""

import numpy as np
import numpy.typing as npt

from tapewatch.clock import NANOS
from tapewatch.contract.rows import Column, Rows, RowType

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]

HISTORY_S = 60
SHARES = ("lean", "book_lean", "spread", "change", "range")
"""Features that are signed or scaled already; all others are also given as a ratio to their own past."""


def second_features(rows: list[Rows], second: I8) -> tuple[tuple[str, ...], F8]:
    """Names and float64[seconds, features] of one instrument's rows.

    second : int64[seconds], ascending UTC seconds; one without rows has counts of 0 and otherwise the value before it
    """
    by_type = {part.type: part.columns for part in rows}
    found = _quoted(by_type[RowType.QUOTE], second) | _traded(by_type[RowType.TRADE], second)
    found |= _booked(by_type[RowType.BOOK], second)
    ratios = {
        f"{name}_ratio": _ratio(values) for name, values in found.items() if name.rpartition(".")[2] not in SHARES
    }
    whole = found | ratios
    return tuple(whole), np.column_stack(list(whole.values()))


def _bounds(columns: dict[str, Column], second: I8) -> tuple[I8, I8]:
    times = columns["ts_recv"]
    return np.searchsorted(times, second * NANOS), np.searchsorted(times, (second + 1) * NANOS)


def _reduced(ufunc: np.ufunc, values: F8, low: I8, high: I8) -> F8:
    """Each second's rows reduced; a second without rows has the value of the last row before it."""
    found = np.empty(len(low))
    filled = high > low
    found[~filled] = values[np.maximum(low[~filled] - 1, 0)]
    if filled.any():
        edges = np.ravel(np.column_stack([low[filled], high[filled]]))
        found[filled] = ufunc.reduceat(np.append(values, 0.0), edges)[::2]
    return found


def _mean(values: F8, low: I8, high: I8) -> F8:
    found: F8 = _reduced(np.add, values, low, high) / np.maximum(1, high - low)
    return found


def _quoted(quotes: dict[str, Column], second: I8) -> dict[str, F8]:
    low, high = _bounds(quotes, second)
    bid, ask = quotes["bid_price"], quotes["ask_price"]
    bid_qty, ask_qty = quotes["bid_qty"], quotes["ask_qty"]
    middle = 0.5 * (bid + ask)
    last = np.log(middle[np.maximum(high - 1, 0)])
    return {
        "quote.count": (high - low).astype(float),
        "quote.bid_qty": _mean(bid_qty, low, high),
        "quote.ask_qty": _mean(ask_qty, low, high),
        "quote.bid_qty_max": _reduced(np.maximum, bid_qty, low, high),
        "quote.ask_qty_max": _reduced(np.maximum, ask_qty, low, high),
        "quote.lean": _mean((bid_qty - ask_qty) / (bid_qty + ask_qty), low, high),
        "quote.spread": _mean((ask - bid) / middle, low, high),
        "quote.change": np.diff(last, prepend=last[:1]),
        "quote.range": np.log(_reduced(np.maximum, middle, low, high) / _reduced(np.minimum, middle, low, high)),
    }


def _traded(trades: dict[str, Column], second: I8) -> dict[str, F8]:
    low, high = _bounds(trades, second)
    volume = np.concatenate([[0.0], np.cumsum(trades["qty"])])
    signed = np.concatenate([[0.0], np.cumsum(trades["qty"] * trades["aggressor_side"])])
    traded = volume[high] - volume[low]
    return {
        "trade.count": (high - low).astype(float),
        "trade.volume": traded,
        "trade.lean": (signed[high] - signed[low]) / np.maximum(traded, 1e-12),
    }


def _booked(books: dict[str, Column], second: I8) -> dict[str, F8]:
    low, high = _bounds(books, second)
    found: dict[str, F8] = {"book.count": (high - low).astype(float)}
    depth = {side: np.nansum(books[f"{side}_qty"], axis=1) for side in ("bid", "ask")}
    for side, total in depth.items():
        largest = np.nanmax(books[f"{side}_qty"], axis=1)
        found[f"book.{side}_depth"] = _mean(total, low, high)
        found[f"book.{side}_depth_max"] = _reduced(np.maximum, total, low, high)
        found[f"book.{side}_depth_min"] = _reduced(np.minimum, total, low, high)
        found[f"book.{side}_largest"] = _reduced(np.maximum, largest, low, high)
        moved = np.abs(np.diff(total, prepend=total[:1]))
        found[f"book.{side}_moved"] = _reduced(np.add, moved, low, high)
    lean = (depth["bid"] - depth["ask"]) / (depth["bid"] + depth["ask"])
    found["book.book_lean"] = _mean(lean, low, high)
    return found


def _ratio(values: F8) -> F8:
    """Logarithm against the mean of up to a minute before, NaN for the first second."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    row = np.arange(len(values))
    since = np.maximum(0, row - HISTORY_S)
    past = (total[row] - total[since]) / np.maximum(1, row - since)
    found: F8 = np.where(row > 0, np.log1p(values) - np.log1p(past), np.nan)
    return found
