"""Book, trades and quotes taken into an instrument's state, row by row and in fixed memory."""

import numpy as np
import numpy.typing as npt

from detectors.book import state
from detectors.book.features import NAMES, close_second
from detectors.book.orders import LEVELS, fill, place, run_over, seen_again, settle, withdraw
from detectors.book.state import FIELDS
from tapewatch.kernels import inlined, kernel

F8 = npt.NDArray[np.float64]

__all__ = ["FIELDS", "NAMES", "close_second", "create", "on_book", "on_quote", "on_trade"]

ADD_MEMORY = 2000.0
"""Growths over which their mean is taken."""
LEAST_ADDS = 50.0
"""Growths after which orders are followed."""
CAP = 5.0
"""No growth counts as more than so many usual ones in the mean."""
BARS = (1.1, 2.7, 3.2, 3.7)
"""Log of the size, in usual growths, that a few growths a minute exceed: behind the touch at a price where others
stand, at a price of its own; at the touch where others stand, at a new touch. Rounded from two recorded venues."""
STALE_S = 10.0
"""After so long without a book, the next one is not compared with the last."""


def create(instruments: int) -> F8:
    """Empty states, float64[instruments, FIELDS]."""
    return np.zeros((instruments, FIELDS))


@kernel
def on_trade(p: F8, price: float, qty: float, side: int, ts_ns: int) -> None:
    """A trade. p : float64[FIELDS]; side : 1 buyer the aggressor, -1 seller, 0 unknown; ts_ns : of receipt"""
    p[state.TRADES] += 1.0
    p[state.VOLUME] += qty
    if side > 0:
        p[state.HIGHEST_BUY] = max(p[state.HIGHEST_BUY], price) if p[state.BOUGHT_SINCE] > 0.0 else price
        p[state.BOUGHT] += qty
        p[state.BOUGHT_SINCE] += qty
    elif side < 0:
        p[state.LOWEST_SELL] = min(p[state.LOWEST_SELL], price) if p[state.SOLD_SINCE] > 0.0 else price
        p[state.SOLD] += qty
        p[state.SOLD_SINCE] += qty


@inlined
def _touch_side(p: F8, side: int, price: float, qty: float, now: float) -> None:
    """One side of a quote: a new size at the same price, or a new price."""
    if price == p[state.QUOTE_BID + side]:
        change = qty - p[state.QUOTE_BID_QTY + side]
        if change > 0.0:
            p[state.RESIZED] += 1.0
            p[state.GROWN_BID + side], p[state.GROWN_BID_AT + side] = change, now
        elif change < 0.0:
            p[state.RESIZED] += 1.0
            grown = p[state.GROWN_BID + side]
            if abs(change + grown) <= 1e-6 * grown and now - p[state.GROWN_BID_AT + side] <= 1.0:
                p[state.REVERTED] += 1.0
    else:
        if price == p[state.BEFORE_BID + side] and now - p[state.TURN_BID + side] <= 1.0:
            p[state.RETURNED] += 1.0
        p[state.BEFORE_BID + side], p[state.TURN_BID + side] = p[state.QUOTE_BID + side], now
        p[state.GROWN_BID + side] = 0.0
    p[state.QUOTE_BID + side], p[state.QUOTE_BID_QTY + side] = price, qty


@kernel
def on_quote(p: F8, bid: float, bid_qty: float, ask: float, ask_qty: float, ts_ns: int) -> None:
    """A quote: best prices with their quantities. p : float64[FIELDS]; ts_ns : receipt"""
    now = ts_ns * 1e-9
    p[state.QUOTES] += 1.0
    _touch_side(p, 0, bid, bid_qty, now)
    _touch_side(p, 1, ask, ask_qty, now)


@inlined
def _shrunk(p: F8, side: int, level: int, price: float, qty: float, left: float, now: float) -> None:
    """A level lost `qty` and has `left`: trades at or through its price explain it as far as their volume reaches."""
    p[state.CHANGES] += 1.0
    key = -price if side == 0 else price
    # Sells hit bids, buys hit asks.
    since = state.SOLD_SINCE if side == 0 else state.BOUGHT_SINCE
    reached = p[state.LOWEST_SELL] <= price if side == 0 else p[state.HIGHEST_BUY] >= price
    if p[since] > 0.0 and reached:
        taken = min(qty, p[since])
        p[since] -= taken
        p[state.TAKEN + side] += taken
        qty -= taken
        fill(p, key, taken)
    if qty > 1e-9:
        p[state.REMOVED + side] += qty
        p[state.LARGEST_REMOVED + side] = max(p[state.LARGEST_REMOVED + side], qty)
        withdraw(p, key, qty, left, level, now)


@inlined
def _grown(p: F8, side: int, level: int, alone: bool, price: float, had: float, qty: float, now: float) -> None:
    """A level that had `had` gained `qty`. alone : the side has no other level, so that the touch counts as one"""
    p[state.CHANGES] += 1.0
    p[state.ADDED + side] += qty
    p[state.LARGEST_ADDED + side] = max(p[state.LARGEST_ADDED + side], qty)
    behind = level > 0 or alone
    if p[state.ADDS] >= LEAST_ADDS:
        bar = BARS[(0 if behind else 2) + (0 if had > 0.0 else 1)]
        place(p, -price if side == 0 else price, qty, had, qty / p[state.USUAL_ADD], bar, level, now)
        qty = min(qty, CAP * p[state.USUAL_ADD])
    if behind:
        p[state.ADDS] = min(ADD_MEMORY, p[state.ADDS] + 1.0)
        p[state.USUAL_ADD] += (qty - p[state.USUAL_ADD]) / p[state.ADDS]


@kernel
def _losses(p: F8, old: F8, prices: F8, qtys: F8, first: int, side: int, now: float) -> None:
    """Levels that shrank or are gone, from the best on; what lies beyond the new book's last level is unknown."""
    start, sign = side * 2 * LEVELS, (1.0 if side == 0 else -1.0)
    j = 0
    for i in range(LEVELS):
        was = old[start + i]
        if np.isnan(was):
            return
        while j < LEVELS and sign * (prices[first + j] - was) > 0.0:
            j += 1
        if j == LEVELS:
            return
        left = qtys[first + j] if prices[first + j] == was else 0.0
        lost = old[start + LEVELS + i] - left
        if lost > 1e-9:
            _shrunk(p, side, i, was, lost, left, now)


@kernel
def _gains(p: F8, old: F8, prices: F8, qtys: F8, first: int, side: int, now: float) -> None:
    """Levels that grew or are new; one beyond the old book's last level was there before for all that is known."""
    start, sign = side * 2 * LEVELS, (1.0 if side == 0 else -1.0)
    i = 0
    for j in range(LEVELS):
        price = prices[first + j]
        if np.isnan(price):
            return
        while i < LEVELS and sign * (old[start + i] - price) > 0.0:
            i += 1
        if i == LEVELS:
            return
        had = old[start + LEVELS + i] if old[start + i] == price else 0.0
        gained = qtys[first + j] - had
        if gained > 1e-9:
            _grown(p, side, j, np.isnan(prices[first + 1]), price, had, gained, now)


@inlined
def _elsewhere(old: F8, bids: F8, asks: F8, first: int) -> bool:
    """Whether a side has ten levels, none of which lies where the side was before: the price jumped."""
    last = LEVELS - 1
    up = bids[first + last] > old[0] or asks[first] > old[2 * LEVELS + last]
    return bool(up or bids[first] < old[last] or asks[first + last] < old[2 * LEVELS])


@inlined
def _look(p: F8, bids: F8, bid_qtys: F8, asks: F8, ask_qtys: F8, first: int) -> None:
    """Depth, mid and farthest prices of a book."""
    bid_depth = ask_depth = 0.0
    for level in range(LEVELS):
        if bids[first + level] > 0.0:
            bid_depth += bid_qtys[first + level]
        if asks[first + level] > 0.0:
            ask_depth += ask_qtys[first + level]
    p[state.DEPTH], p[state.DEPTH_ASK] = bid_depth, ask_depth
    if bids[first] > 0.0 and asks[first] > 0.0:
        p[state.MID] = 0.5 * (bids[first] + asks[first])
        if p[state.MID_BEFORE] == 0.0:
            p[state.MID_BEFORE] = p[state.MID]
    last = first + LEVELS - 1
    p[state.EDGE_BID] = bids[last] if bids[last] > 0.0 else 0.0
    p[state.EDGE_ASK] = asks[last] if asks[last] > 0.0 else 0.0


@kernel
def on_book(p: F8, old_book: F8, bids: F8, bid_qtys: F8, asks: F8, ask_qtys: F8, first: int, ts_ns: int) -> None:
    """A book row.

    p : float64[FIELDS]; old_book : float64[40], the book before: bid prices, bid quantities, ask prices, ask
    quantities, from the best on, NaN where absent
    bids .. ask_qtys : float64[..], ten levels from `first` on; ts_ns : receipt, UTC ns
    """
    now = ts_ns * 1e-9
    settle(p, now)
    if p[state.ROWS] > 0.0 and now - p[state.NEWEST] <= STALE_S:
        if _elsewhere(old_book, bids, asks, first):
            run_over(p, bids[first], asks[first], now)
        else:
            _losses(p, old_book, bids, bid_qtys, first, 0, now)
            _losses(p, old_book, asks, ask_qtys, first, 1, now)
            _gains(p, old_book, bids, bid_qtys, first, 0, now)
            _gains(p, old_book, asks, ask_qtys, first, 1, now)
        seen_again(p, bids, bid_qtys, asks, ask_qtys, first, now)
    p[state.BOUGHT_SINCE] = p[state.SOLD_SINCE] = 0.0
    _look(p, bids, bid_qtys, asks, ask_qtys, first)
    p[state.ROWS] += 1.0
    p[state.NEWEST] = now
