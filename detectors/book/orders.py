"""Large orders followed from book to book: placed, filled, moved to another price, or withdrawn.

A book shows quantities at prices, not orders. A growth that is unusual for its place is taken for an order; it is gone
when the level shrinks by about as much without trades that explain it. One that comes back at another price within a
moment has moved and keeps its age.
"""

import numpy as np
import numpy.typing as npt

from detectors.book import state as s
from tapewatch.kernels import inlined, kernel

F8 = npt.NDArray[np.float64]

LEVELS = 10
"""Levels of a book."""
LEAST = -1.6
"""Weight from which a growth is followed: log of its size over the bar of its place, see flow.BARS."""
PART = 1.0
"""How much less a growth may weigh that comes back or joins an order."""
MOVE_S = 0.35
"""Time in which an order that is gone may come back elsewhere."""
JOIN_S = 1.3
"""Time in which further growth at the price belongs to the same order."""
KEEP_S = 30.0
"""An order that has stood longer is no longer followed."""
ALIKE = 0.12
"""Share by which the quantity of an order that moved may differ."""
SIMILAR = 2.0
"""Factor by which an order may differ from one that it replaces."""
LEFT = 0.35
"""Share of an order below which what is left of it counts as nothing."""
TOGETHER_S = 1.5
FLEETING_S = 0.2
"""An order that lived shorter counts as fleeting, not as withdrawn."""


@inlined
def strength(p: F8, at: int) -> float:
    """How much an order says: its weight beyond the least one, for the part of it that was not filled."""
    unfilled = max(0.0, 1.0 - p[at + s.FILLED] / p[at + s.FIRST])
    return float((p[at + s.WEIGHT] - LEAST) * unfilled)


@inlined
def fill(p: F8, key: float, qty: float) -> None:
    """Trades took `qty` at this price."""
    for slot in range(s.FOLLOWED):
        at = s.ORDERS + slot * s.STRIDE
        if p[at + s.KEY] == key and p[at + s.GONE] == 0.0:
            taken = min(qty, p[at + s.QTY])
            p[at + s.QTY] -= taken
            p[at + s.FILLED] += taken
            qty -= taken
            if p[at + s.QTY] < 0.1 * p[at + s.FIRST]:
                p[at + s.KEY] = 0.0


@inlined
def _nearest(p: F8, key: float, qty: float) -> int:
    """Place of the standing order at this price whose quantity is nearest; -1 for none."""
    best, least = -1, np.inf
    for slot in range(s.FOLLOWED):
        at = s.ORDERS + slot * s.STRIDE
        if p[at + s.KEY] == key and p[at + s.GONE] == 0.0:
            apart = abs(qty - p[at + s.QTY]) / p[at + s.QTY]
            if apart < least:
                best, least = at, apart
    return best


@inlined
def _leave(p: F8, at: int, level: int, apart: float, now: float) -> None:
    """The order is gone, unless it comes back within a moment."""
    p[at + s.GONE], p[at + s.LEVEL], p[at + s.APART] = now, level, min(1.0, apart)


@inlined
def withdraw(p: F8, key: float, qty: float, left: float, level: int, now: float) -> None:
    """The level shrank by `qty` that no trade explains, to `left`: orders at it are gone, or smaller.

    What an order may still have there is charged to others: levels breathe.
    """
    for _ in range(3):
        at = _nearest(p, key, qty)
        if at < 0 or qty < 0.2 * p[s.USUAL_ADD]:
            return
        own = p[at + s.QTY]
        if qty >= 0.7 * own:
            _leave(p, at, level, abs(qty - own) / p[at + s.FIRST], now)
            qty -= own
            continue
        p[at + s.CUT] += qty
        p[at + s.CUTS] += 1.0 if qty >= 0.15 * p[at + s.FIRST] else 0.0
        if left < own:
            p[at + s.QTY] = max(left, 1e-9)
        first = p[at + s.FIRST]
        in_parts = p[at + s.CUT] >= 0.7 * first and left <= p[at + s.BASE] + LEFT * first
        if in_parts or left < LEFT * first:
            _leave(p, at, level, abs(p[at + s.CUT] - first) / first, now)
        return


@inlined
def _came_back(p: F8, key: float, qty: float, weight: float, now: float) -> bool:
    """Whether the growth is an order of this side that has just left another price."""
    for slot in range(s.FOLLOWED):
        at = s.ORDERS + slot * s.STRIDE
        was = p[at + s.QTY]
        recent = p[at + s.GONE] > 0.0 and now - p[at + s.GONE] <= MOVE_S
        if recent and p[at + s.KEY] * key > 0.0 and abs(qty - was) <= ALIKE * was:
            p[at + s.MOVES] += 1.0 if p[at + s.KEY] != key else 0.0
            p[at + s.KEY], p[at + s.QTY], p[at + s.GONE] = key, qty, 0.0
            p[at + s.WEIGHT] = max(p[at + s.WEIGHT], weight)
            return True
    return False


@inlined
def _joined(p: F8, key: float, qty: float, now: float) -> bool:
    """Whether the growth is a further part of an order that is being placed at this price."""
    for slot in range(s.FOLLOWED):
        at = s.ORDERS + slot * s.STRIDE
        if p[at + s.KEY] == key and p[at + s.GONE] == 0.0 and now - p[at + s.BORN] <= JOIN_S:
            p[at + s.QTY] += qty
            more = 1.0 + qty / p[at + s.FIRST]
            p[at + s.SIZE] *= more
            p[at + s.WEIGHT] += np.log(more)
            p[at + s.FIRST] += qty
            p[at + s.PARTS] += 1.0
            return True
    return False


@inlined
def visible(p: F8, key: float) -> bool:
    """Whether a price lies within the ten levels."""
    return bool(-key >= p[s.EDGE_BID]) if key < 0.0 else bool(key <= p[s.EDGE_ASK] or p[s.EDGE_ASK] == 0.0)


@inlined
def _free(p: F8, weight: float) -> int:
    """Place for an order of this weight: an empty one, else that of something out of sight or lighter; -1 for none."""
    least, chosen = weight, -1
    for slot in range(s.FOLLOWED):
        at = s.ORDERS + slot * s.STRIDE
        if p[at + s.KEY] == 0.0:
            return at
        held = p[at + s.WEIGHT] if visible(p, p[at + s.KEY]) else -np.inf
        if p[at + s.GONE] == 0.0 and held < least:
            least, chosen = held, at
    return chosen


@inlined
def _replaces(p: F8, key: float, qty: float) -> bool:
    """Whether a similar order of this side has just gone."""
    for slot in range(s.FOLLOWED):
        at = s.ORDERS + slot * s.STRIDE
        gone = p[at + s.GONE] > 0.0 and p[at + s.KEY] * key > 0.0
        if gone and qty <= SIMILAR * p[at + s.FIRST] and p[at + s.FIRST] <= SIMILAR * qty:
            return True
    return False


@kernel
def place(p: F8, key: float, qty: float, had: float, size: float, bar: float, level: int, now: float) -> None:
    """Follow a growth, if it is unusual enough for its place and there is room.

    had : what stood there before; size : of the growth over usual ones; bar : log of the size that is unusual at
    such a place
    """
    weight = np.log(size) - bar
    if weight < LEAST - PART or _came_back(p, key, qty, weight, now) or _joined(p, key, qty, now) or weight < LEAST:
        return
    chosen = _free(p, weight)
    if chosen < 0:
        return
    replaces = _replaces(p, key, qty)
    p[chosen + s.KEY], p[chosen + s.QTY], p[chosen + s.FIRST], p[chosen + s.BASE] = key, qty, qty, had
    p[chosen + s.BORN], p[chosen + s.GONE], p[chosen + s.SIZE], p[chosen + s.WEIGHT] = now, 0.0, size, weight
    p[chosen + s.PLACE], p[chosen + s.LEVEL], p[chosen + s.CUT], p[chosen + s.APART] = bar, level, 0.0, 1.0
    p[chosen + s.PARTS], p[chosen + s.CUTS] = 1.0, 0.0
    p[chosen + s.REPLACES] = 1.0 if replaces else 0.0
    p[chosen + s.OPPOSITE] = p[s.BOUGHT] if key < 0.0 else p[s.SOLD]
    p[chosen + s.MOVES] = p[chosen + s.FILLED] = 0.0
    if replaces and p[s.HELD_KEY] * key > 0.0 and size <= SIMILAR * p[s.HELD_SIZE] <= SIMILAR * SIMILAR * size:
        p[s.HELD_REPLACED] += 1.0


@inlined
def companions(p: F8, place_of: int) -> int:
    """Orders of the same side placed about when this one was, and, if it is gone, gone when it was; itself too."""
    count = 0
    key, born, gone = p[place_of + s.KEY], p[place_of + s.BORN], p[place_of + s.GONE]
    for slot in range(s.FOLLOWED):
        at = s.ORDERS + slot * s.STRIDE
        same = p[at + s.KEY] * key > 0.0 and abs(p[at + s.BORN] - born) <= TOGETHER_S
        if same and (gone == 0.0 or p[at + s.GONE] > 0.0):
            count += 1
    return count


@inlined
def mirrored(p: F8, place_of: int) -> float:
    """What the other side's orders say that were placed about when this one was."""
    total = 0.0
    key, born = p[place_of + s.KEY], p[place_of + s.BORN]
    for slot in range(s.FOLLOWED):
        at = s.ORDERS + slot * s.STRIDE
        if p[at + s.KEY] * key < 0.0 and abs(p[at + s.BORN] - born) <= TOGETHER_S:
            total += strength(p, at)
    return total


@kernel
def settle(p: F8, now: float) -> None:
    """Close the account of orders that are gone for good, and forget those that have stood long."""
    for slot in range(s.FOLLOWED):
        at = s.ORDERS + slot * s.STRIDE
        if p[at + s.KEY] == 0.0:
            continue
        if p[at + s.GONE] == 0.0:
            if now - p[at + s.BORN] > KEEP_S:
                p[at + s.KEY] = 0.0
        elif now - p[at + s.GONE] > MOVE_S:
            _withdrawn(p, at)
            p[at + s.KEY] = 0.0


@inlined
def _jumped_over(p: F8, at: int, now: float) -> None:
    """The price jumped over a standing order: what trades at or through its price do not explain was withdrawn."""
    key = p[at + s.KEY]
    since = s.SOLD_SINCE if key < 0.0 else s.BOUGHT_SINCE
    reached = p[s.LOWEST_SELL] <= -key if key < 0.0 else p[s.HIGHEST_BUY] >= key
    if p[since] > 0.0 and reached:
        taken = min(p[at + s.QTY], p[since])
        p[since] -= taken
        p[at + s.QTY] -= taken
        p[at + s.FILLED] += taken
    if p[at + s.QTY] < LEFT * p[at + s.FIRST]:
        p[at + s.KEY] = 0.0
    else:
        _leave(p, at, 0, 1.0, now)


@kernel
def run_over(p: F8, bid: float, ask: float, now: float) -> None:
    """Settle with the standing orders that the price jumped over. bid, ask : best prices now; NaN where empty"""
    for slot in range(s.FOLLOWED):
        at = s.ORDERS + slot * s.STRIDE
        key = p[at + s.KEY]
        if key != 0.0 and p[at + s.GONE] == 0.0 and (-key > bid if key < 0.0 else key < ask):
            _jumped_over(p, at, now)


@inlined
def _shown(key: float, prices: F8, qtys: F8, first: int) -> float:
    """What a side shows at an order's price; -1 where the price lies beyond its last level."""
    for level in range(first, first + LEVELS):
        beyond = prices[level] + key if key < 0.0 else key - prices[level]
        if beyond <= 0.0:
            return float(qtys[level]) if beyond == 0.0 else 0.0
    return -1.0


@kernel
def seen_again(p: F8, bids: F8, bid_qtys: F8, asks: F8, ask_qtys: F8, first: int, now: float) -> None:
    """Orders whose prices come back into sight without them were withdrawn while nobody saw it.

    bids .. ask_qtys : the new book, as in `flow.on_book`; the state's edges are still those of the old one
    """
    for slot in range(s.FOLLOWED):
        at = s.ORDERS + slot * s.STRIDE
        key = p[at + s.KEY]
        if key == 0.0 or p[at + s.GONE] != 0.0 or visible(p, key):
            continue
        left = _shown(key, bids, bid_qtys, first) if key < 0.0 else _shown(key, asks, ask_qtys, first)
        if 0.0 <= left < LEFT * p[at + s.FIRST]:
            _leave(p, at, LEVELS - 1, 1.0, now)


@inlined
def _withdrawn(p: F8, at: int) -> None:
    """Count an order that was placed and withdrawn."""
    side = 0 if p[at + s.KEY] < 0.0 else 1
    life, says = p[at + s.GONE] - p[at + s.BORN], strength(p, at)
    if life < FLEETING_S:
        p[s.FLEETING] += 1.0
        return
    p[s.WITHDRAWN + side] += says
    p[s.WITHDRAWALS + side] += 1.0
    p[s.LARGEST_WITHDRAWN + side] = max(p[s.LARGEST_WITHDRAWN + side], says)
    if says >= p[s.HELD]:
        traded = (p[s.BOUGHT] if side == 0 else p[s.SOLD]) - p[at + s.OPPOSITE]
        p[s.HELD], p[s.HELD_LIFE], p[s.HELD_OPPOSITE] = says, life, traded
        p[s.HELD_TOGETHER], p[s.HELD_MOVES] = companions(p, at), p[at + s.MOVES]
        p[s.HELD_AGE], p[s.HELD_FILLED], p[s.HELD_SIZE] = 0.0, p[at + s.FILLED] / p[at + s.FIRST], p[at + s.SIZE]
        p[s.HELD_APART], p[s.HELD_LEVEL] = p[at + s.APART], p[at + s.LEVEL]
        p[s.HELD_MIRRORED], p[s.HELD_REPLACED] = mirrored(p, at), p[at + s.REPLACES]
        p[s.HELD_KEY], p[s.HELD_PARTS], p[s.HELD_CUTS] = p[at + s.KEY], p[at + s.PARTS], p[at + s.CUTS]
