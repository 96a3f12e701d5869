"""The order book of one instrument as a kernel sees it: two ladders of price levels on the tick grid, never crossed.

`book` is int64[2 sides, 3 fields, DEPTH]: price as an index into the tick grid, natural lots, and pinned lots (those of
an injected order, which natural cancellations leave alone). Level 0 is the touch; prices are strictly sorted; a level
is never empty.
`name` is one record of `NAME`, `rng` the market's generator. Kernels change `book` and `name` in place.

Record layouts that the kernels share: an instrument's state, what drives it, what is done to it, its rows.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from tapewatch.kernels import allocating_kernel

VISIBLE = 10
PLACE, CANCEL, TRADE, HIT, REFRESH, UNCROSS = 0, 1, 2, 3, 4, 5

NAME = np.dtype(
    [
        ("impact", np.float64),  # log price move that this second's trades have caused
        ("excitation", np.float64),  # Hawkes intensity above the base, events/s
        ("flow", np.float64),  # slow lean of the order flow, about -1..1
        ("order_lots", np.float64),
        ("spread_bp", np.float64),
        ("gap_bp", np.float64),
        ("spread", np.int64),  # spread wanted now, ticks
        ("gap", np.float64),  # distance wanted between levels now, ticks
        ("depth", np.float64),  # lots wanted a level now
        ("lot", np.int64),
        ("grid_low", np.int64),
        ("grid_high", np.int64),
        ("last", np.int64),  # last trade's grid index, -1 before the first
        ("volume", np.int64),  # traded lots since the start
        ("sequence", np.int64),  # of the last book row
    ]
)

ACTION = np.dtype(
    [
        ("instrument", np.int64),
        ("at", np.float64),  # part of the second, 0..1
        ("code", np.int64),
        ("side", np.int64),  # PLACE, CANCEL, HIT, REFRESH: side of the book; TRADE: aggressor side 1 or -1
        ("level", np.int64),
        ("lots", np.int64),
    ]
)
DRIVE = np.dtype(
    [
        ("target", np.float64),  # log fair price at the end of the second, events included
        ("origin", np.float64),  # the same at its start
        ("begin", np.float64),  # part of the second before which the fields below do not apply
        ("rate", np.float64),  # background events/s, before excitation
        ("scale", np.float64),  # multiplies `rate`
        ("impact", np.float64),  # log price move of a usual market order of the background
        ("orders", np.float64),  # further market orders/s
        ("buy", np.float64),  # share of buys among them
        ("size", np.float64),  # their mean size, multiple of the usual
        ("flicker", np.float64),  # further quote updates/s without trades
        ("stress", np.float64),  # >= 1: wider spread, thinner and sparser book
        ("eaten", np.int64),  # side that takers eat while makers stand still, -1 for none
        ("evade", np.int64),  # 1: injected orders are cancelled rather than filled
        ("mute", np.int64),  # 1: nothing happens
        ("rebuild", np.int64),  # 1: the book is made anew first
    ]
)
_STAMP = [("instrument", np.int32), ("ts", np.int64)]
TRADE_ROW = np.dtype(
    [*_STAMP, ("price", np.int64), ("lots", np.int64), ("side", np.int8), ("condition", np.int8)], align=True
)
_TOUCH = [("bid", np.int64), ("bid_lots", np.int64), ("ask", np.int64), ("ask_lots", np.int64)]
QUOTE_ROW = np.dtype([*_STAMP, *_TOUCH, ("last", np.int64), ("volume", np.int64)], align=True)
BOOK_ROW = np.dtype([*_STAMP, ("sequence", np.int64), ("ladder", np.int64, (2, 2, VISIBLE))], align=True)


DEPTH = 14
BID, ASK = 0, 1
PRICE, QTY, PIN = 0, 1, 2

Book = npt.NDArray[np.int64]


@allocating_kernel
def locate(grid: Any, name: Any, price: float) -> int:
    """Index of the highest price of the instrument's grid that is at most `price` (the lowest one where none is)."""
    low: int = name.grid_low
    high: int = name.grid_high
    while high - low > 1:
        middle = (low + high) // 2
        if grid[middle] <= price:
            low = middle
        else:
            high = middle
    return low


@allocating_kernel
def draw_lots(rng: Any, mean: float, sigma: float) -> int:
    """A log-normal size with this mean, in whole lots, at least 1."""
    lots: int = round(mean * np.exp(sigma * rng.standard_normal() - 0.5 * sigma * sigma))
    return max(1, lots)


@allocating_kernel
def level_lots(rng: Any, name: Any, level: int) -> int:
    """Lots of a new level: deeper levels hold more."""
    return draw_lots(rng, name.depth * (0.7 + 0.06 * level), 0.6)


@allocating_kernel
def append(book: Book, name: Any, rng: Any, side: int, level: int) -> None:
    """Set `level` to a new one behind level - 1; steps shrink near an end of the grid, so that none run out."""
    step = 1 + int(rng.standard_exponential() * (name.gap - 1.0)) if name.gap > 1.0 else 1
    before = book[side, PRICE, level - 1]
    if side == BID:
        book[side, PRICE, level] = before - min(step, max(1, (before - name.grid_low) // 4))
    else:
        book[side, PRICE, level] = before + min(step, max(1, (name.grid_high - 1 - before) // 4))
    book[side, QTY, level] = level_lots(rng, name, level)
    book[side, PIN, level] = 0


@allocating_kernel
def remove(book: Book, name: Any, rng: Any, side: int, level: int) -> None:
    """Take a level out; those behind move up and a new one appears at the far end."""
    for k in range(level, DEPTH - 1):
        for part in range(3):
            book[side, part, k] = book[side, part, k + 1]
    append(book, name, rng, side, DEPTH - 1)


@allocating_kernel
def insert(book: Book, side: int, level: int, price: int, lots: int) -> None:
    """Put a new level before `level`; the last one leaves the book."""
    for k in range(DEPTH - 1, level, -1):
        for part in range(3):
            book[side, part, k] = book[side, part, k - 1]
    book[side, PRICE, level] = price
    book[side, QTY, level] = lots
    book[side, PIN, level] = 0


@allocating_kernel
def rebuild(book: Book, name: Any, rng: Any, bid: int, ask: int) -> None:
    """A fresh book with this touch."""
    for side in range(2):
        book[side, PRICE, 0] = bid if side == BID else ask
        book[side, QTY, 0] = level_lots(rng, name, 0)
        book[side, PIN, 0] = 0
        for level in range(1, DEPTH):
            append(book, name, rng, side, level)


@allocating_kernel
def cancel_pins(book: Book, name: Any, rng: Any, side: int) -> None:
    """Cancel the injected orders of a side."""
    for level in range(DEPTH - 1, -1, -1):
        if book[side, PIN, level] > 0:
            book[side, PIN, level] = 0
            if book[side, QTY, level] == 0:
                remove(book, name, rng, side, level)


@allocating_kernel
def pull(book: Book, name: Any, rng: Any, side: int, limit: int) -> None:
    """Makers cancel what they quote better than `limit`; an injected order stays and holds its level."""
    sign = 1 if side == BID else -1
    for _ in range(DEPTH):
        if sign * (book[side, PRICE, 0] - limit) <= 0:
            break
        if book[side, PIN, 0] > 0:
            book[side, QTY, 0] = 0
            break
        remove(book, name, rng, side, 0)


@allocating_kernel
def improve(book: Book, name: Any, rng: Any, side: int, price: int) -> None:
    """A maker quotes inside the spread at `price`, or as near to it as leaves the book uncrossed."""
    if side == BID:
        price = min(price, book[ASK, PRICE, 0] - 1)
        better = price > book[BID, PRICE, 0]
    else:
        price = max(price, book[BID, PRICE, 0] + 1)
        better = price < book[ASK, PRICE, 0]
    if better:
        insert(book, side, 0, price, level_lots(rng, name, 0))


@allocating_kernel
def align(book: Book, name: Any, rng: Any, bid: int, ask: int, keep: int) -> None:
    """Makers move the touch towards the wanted bid and ask, beyond a tolerance of half a spread.

    keep : a side on which nothing is pulled, because takers shall eat it; -1 for none
    """
    slack = name.spread // 2
    for side in range(2):
        sign = 1 if side == BID else -1
        wanted = bid if side == BID else ask
        if side != keep:
            pull(book, name, rng, side, wanted + sign * slack)
        if sign * (wanted - book[side, PRICE, 0]) > slack:
            improve(book, name, rng, side, wanted)


@allocating_kernel
def add_or_cancel(book: Book, name: Any, rng: Any) -> None:
    """One limit order comes or goes near the touch; sizes revert to the wanted depth, holes are filled."""
    side = BID if rng.random() < 0.5 else ASK
    level = min(int(rng.standard_exponential() * 2.5), VISIBLE - 1)
    apart = abs(book[side, PRICE, level + 1] - book[side, PRICE, level])
    if apart > 4.0 * name.gap and apart > 1:
        step = max(1, min(apart - 1, int(name.gap)))
        price = book[side, PRICE, level] + (step if side == ASK else -step)
        insert(book, side, level + 1, price, level_lots(rng, name, level + 1))
        return
    wanted = name.depth * (0.7 + 0.06 * level)
    have = book[side, QTY, level]
    lots = draw_lots(rng, name.order_lots, 0.8)
    if rng.random() * (wanted + have) < wanted:
        book[side, QTY, level] = have + lots
    elif have > lots:
        book[side, QTY, level] = have - lots
    elif book[side, PIN, level] > 0:
        book[side, QTY, level] = 0
    elif level > 0:
        remove(book, name, rng, side, level)
