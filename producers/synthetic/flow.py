"""Market orders against a synthetic book, from the background flow and from injected events, and the rows they give."""

from typing import Any

import numpy as np

from producers.synthetic.book import (
    ASK,
    BID,
    DEPTH,
    PIN,
    PRICE,
    QTY,
    VISIBLE,
    Book,
    append,
    draw_lots,
    level_lots,
    locate,
    rebuild,
    remove,
)
from tapewatch.kernels import allocating_kernel

_MAX_SWEEP = 8
_NEAR = 8
_REGULAR, _AUCTION = 0, 1
_EATEN_PER_S = 30.0

Order = tuple[int, int, int]
"""Aggressor side (1 or -1), lots, and the grid index of the worst price it takes."""


@allocating_kernel
def adapt(name: Any, grid: Any, fair: float, stress: float, speed: float) -> int:
    """Set the wanted spread, gap and depth for this price and stress; return the grid index of the wanted bid.

    speed : how fast an event moves the log price, 1/s; gaps grow so that takers eat about 30 levels a second
    """
    price = np.exp(fair)
    bid = locate(grid, name, price)
    tick = grid[min(bid + 1, name.grid_high - 1)] - grid[bid - 1]
    unit = price / (0.5 * tick)
    name.spread = max(1, round(name.spread_bp * 1e-4 * unit * stress))
    name.gap = max(1.0, (name.gap_bp * 1e-4 * stress + speed / _EATEN_PER_S) * unit)
    name.depth = max(2.0, 3.0 * name.order_lots / np.sqrt(stress))
    wanted: int = bid - (name.spread - 1) // 2
    return wanted


@allocating_kernel
def match(book: Book, name: Any, rng: Any, i: int, order: Order, evade: int, ns: int, trades: Any, n: int) -> int:
    """A market order eats levels up to its limit; returns the number of trade rows so far.

    order : aggressor side (1 or -1), lots, limit as a grid index
    Every fill has a nanosecond of its own. With `evade`, injected orders are cancelled before they would be hit.
    """
    side, lots, limit = order
    resting = ASK if side > 0 else BID
    for _ in range(_MAX_SWEEP):
        if lots <= 0 or side * (book[resting, PRICE, 0] - limit) > 0:
            break
        if evade == 1 and book[resting, PIN, 0] > 0:
            book[resting, PIN, 0] = 0
        filled = min(lots, book[resting, QTY, 0] + book[resting, PIN, 0])
        if filled > 0:
            natural = min(filled, book[resting, QTY, 0])
            book[resting, QTY, 0] -= natural
            book[resting, PIN, 0] -= filled - natural
            lots -= filled
            n = write_trade(name, i, ns, book[resting, PRICE, 0], filled, side, _REGULAR, trades, n)
            ns += 200 + int(rng.random() * 2000)
        if book[resting, QTY, 0] + book[resting, PIN, 0] == 0:
            remove(book, name, rng, resting, 0)
    return n


@allocating_kernel
def natural_order(book: Book, name: Any, rng: Any, bid: int, ask: int, impact: float) -> Order:
    """A market order of the background flow: side, lots, limit.

    bid, ask : what makers want; impact : log price move that a usual order leaves behind
    """
    off = 0.5 * (bid + ask - book[BID, PRICE, 0] - book[ASK, PRICE, 0]) / name.spread
    deep = float(book[BID, QTY, 0] + book[BID, PIN, 0])
    thin = float(book[ASK, QTY, 0] + book[ASK, PIN, 0])
    lean = 0.5 + 0.25 * np.tanh(off) + 0.12 * (deep - thin) / (deep + thin) + 0.08 * name.flow
    side = 1 if rng.random() < lean else -1
    resting = ASK if side > 0 else BID
    lots = draw_lots(rng, 0.7 * name.order_lots, 0.9)
    if rng.random() < 0.9:
        lots = min(lots, book[resting, QTY, 0] + book[resting, PIN, 0])
    name.impact += side * impact * np.sqrt(lots / name.order_lots)
    return side, lots, book[resting, PRICE, 0] + 3 * side * int(name.gap + 1)


@allocating_kernel
def driven_order(book: Book, name: Any, rng: Any, bid: int, ask: int, drive: Any) -> Order:
    """A market order of an injected event; one that pushes the price eats everything up to the driven price."""
    side = 1 if rng.random() < drive.buy else -1
    resting = ASK if side > 0 else BID
    lots = draw_lots(rng, drive.size * 0.7 * name.order_lots, 0.9)
    limit = book[resting, PRICE, 0]
    if resting == drive.eaten:
        goal = ask - 1 if side > 0 else bid + 1
        if side * (goal - limit) > 0:
            limit = goal
            lots = max(lots, int(6 * name.depth))
    return side, lots, limit


@allocating_kernel
def hitting_order(book: Book, side: int, lots: int) -> Order:
    """A market order for `lots` of the injected order on `side` and all that lies before it; none if it is far off."""
    before = 0
    for level in range(_NEAR):
        before += book[side, QTY, level]
        if book[side, PIN, level] > 0:
            aggressor = -1 if side == BID else 1
            return aggressor, before + min(lots, book[side, PIN, level]), book[side, PRICE, level]
    return 1, 0, 0


@allocating_kernel
def write_trade(
    name: Any, i: int, ns: int, price: int, lots: int, side: int, condition: int, trades: Any, n: int
) -> int:
    """Append a trade row and count its volume; returns the number of trade rows."""
    trades[n].instrument = i
    trades[n].ts = ns
    trades[n].price = price
    trades[n].lots = lots
    trades[n].side = side
    trades[n].condition = condition
    name.last = price
    name.volume += lots
    return n + 1


@allocating_kernel
def write_quote(book: Book, name: Any, i: int, ns: int, quotes: Any, n: int) -> int:
    """Append the touch as a quote row; returns the number of quote rows."""
    row = quotes[n]
    row.instrument = i
    row.ts = ns
    row.bid = book[BID, PRICE, 0]
    row.bid_lots = book[BID, QTY, 0] + book[BID, PIN, 0]
    row.ask = book[ASK, PRICE, 0]
    row.ask_lots = book[ASK, QTY, 0] + book[ASK, PIN, 0]
    row.last = name.last
    row.volume = name.volume
    return n + 1


@allocating_kernel
def write_book(book: Book, name: Any, i: int, ns: int, books: Any, n: int) -> int:
    """Append the visible levels as a book row; returns the number of book rows."""
    name.sequence += 1
    books[n].instrument = i
    books[n].ts = ns
    books[n].sequence = name.sequence
    for side in range(2):
        for level in range(VISIBLE):
            books[n].ladder[side, 0, level] = book[side, PRICE, level]
            books[n].ladder[side, 1, level] = book[side, QTY, level] + book[side, PIN, level]
    return n + 1


@allocating_kernel
def uncross(book: Book, name: Any, rng: Any, i: int, bid: int, lots: int, ns: int, trades: Any, n: int) -> int:
    """An auction ends: the book is made anew and `lots` trade at one price, inside or at the touch."""
    rebuild(book, name, rng, bid, bid + name.spread)
    price = bid + int(rng.random() * (name.spread + 1))
    return write_trade(name, i, ns, price, lots, 0, _AUCTION, trades, n)


@allocating_kernel
def refresh(book: Book, name: Any, rng: Any, side: int) -> None:
    """A market maker quotes a whole side anew at and behind its touch; for books without injected orders."""
    book[side, QTY, 0] = level_lots(rng, name, 0)
    for level in range(1, DEPTH):
        append(book, name, rng, side, level)
