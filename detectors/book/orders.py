"""Large orders followed from book to book: placed, filled, moved to another price, or withdrawn.

A book shows quantities at prices, not orders. A growth that is unusual for its place is taken for an order; it is gone
when the level shrinks by about as much without trades that explain it. One that comes back at another price within a
moment has moved and keeps its age.
"""

import numpy as np
import numpy.typing as npt

from detectors.book import state
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
    unfilled = max(0.0, 1.0 - p[at + state.FILLED] / p[at + state.FIRST])
    return float((p[at + state.WEIGHT] - LEAST) * unfilled)


@inlined
def fill(p: F8, key: float, qty: float) -> None:
    """Trades took `qty` at this price."""
    for slot in range(state.FOLLOWED):
        at = state.ORDERS + slot * state.STRIDE
        if p[at + state.KEY] == key and p[at + state.GONE] == 0.0:
            taken = min(qty, p[at + state.QTY])
            p[at + state.QTY] -= taken
            p[at + state.FILLED] += taken
            qty -= taken
            if p[at + state.QTY] < 0.1 * p[at + state.FIRST]:
                p[at + state.KEY] = 0.0


@inlined
def _nearest(p: F8, key: float, qty: float) -> int:
    """Place of the standing order at this price whose quantity is nearest; -1 for none."""
    best, least = -1, np.inf
    for slot in range(state.FOLLOWED):
        at = state.ORDERS + slot * state.STRIDE
        if p[at + state.KEY] == key and p[at + state.GONE] == 0.0:
            apart = abs(qty - p[at + state.QTY]) / p[at + state.QTY]
            if apart < least:
                best, least = at, apart
    return best


@inlined
def _leave(p: F8, at: int, level: int, apart: float, now: float) -> None:
    """The order is gone, unless it comes back within a moment."""
    p[at + state.GONE], p[at + state.LEVEL], p[at + state.APART] = now, level, min(1.0, apart)


@inlined
def withdraw(p: F8, key: float, qty: float, left: float, level: int, now: float) -> None:
    """The level shrank by `qty` that no trade explains, to `left`: orders at it are gone, or smaller.

    What an order may still have there is charged to others: levels breathe.
    """
    for _ in range(3):
        at = _nearest(p, key, qty)
        if at < 0 or qty < 0.2 * p[state.USUAL_ADD]:
            return
        own = p[at + state.QTY]
        if qty >= 0.7 * own:
            _leave(p, at, level, abs(qty - own) / p[at + state.FIRST], now)
            qty -= own
            continue
        p[at + state.CUT] += qty
        p[at + state.CUTS] += 1.0 if qty >= 0.15 * p[at + state.FIRST] else 0.0
        if left < own:
            p[at + state.QTY] = max(left, 1e-9)
        first = p[at + state.FIRST]
        in_parts = p[at + state.CUT] >= 0.7 * first and left <= p[at + state.BASE] + LEFT * first
        if in_parts or left < LEFT * first:
            _leave(p, at, level, abs(p[at + state.CUT] - first) / first, now)
        return


@inlined
def _came_back(p: F8, key: float, qty: float, weight: float, now: float) -> bool:
    """Whether the growth is an order of this side that has just left another price."""
    for slot in range(state.FOLLOWED):
        at = state.ORDERS + slot * state.STRIDE
        was = p[at + state.QTY]
        recent = p[at + state.GONE] > 0.0 and now - p[at + state.GONE] <= MOVE_S
        if recent and p[at + state.KEY] * key > 0.0 and abs(qty - was) <= ALIKE * was:
            p[at + state.MOVES] += 1.0 if p[at + state.KEY] != key else 0.0
            p[at + state.KEY], p[at + state.QTY], p[at + state.GONE] = key, qty, 0.0
            p[at + state.WEIGHT] = max(p[at + state.WEIGHT], weight)
            return True
    return False


@inlined
def _joined(p: F8, key: float, qty: float, now: float) -> bool:
    """Whether the growth is a further part of an order that is being placed at this price."""
    for slot in range(state.FOLLOWED):
        at = state.ORDERS + slot * state.STRIDE
        if p[at + state.KEY] == key and p[at + state.GONE] == 0.0 and now - p[at + state.BORN] <= JOIN_S:
            p[at + state.QTY] += qty
            more = 1.0 + qty / p[at + state.FIRST]
            p[at + state.SIZE] *= more
            p[at + state.WEIGHT] += np.log(more)
            p[at + state.FIRST] += qty
            p[at + state.PARTS] += 1.0
            return True
    return False


@inlined
def visible(p: F8, key: float) -> bool:
    """Whether a price lies within the ten levels."""
    return bool(-key >= p[state.EDGE_BID]) if key < 0.0 else bool(key <= p[state.EDGE_ASK] or p[state.EDGE_ASK] == 0.0)


@inlined
def _free(p: F8, weight: float) -> int:
    """Place for an order of this weight: an empty one, else that of something out of sight or lighter; -1 for none."""
    least, chosen = weight, -1
    for slot in range(state.FOLLOWED):
        at = state.ORDERS + slot * state.STRIDE
        if p[at + state.KEY] == 0.0:
            return at
        held = p[at + state.WEIGHT] if visible(p, p[at + state.KEY]) else -np.inf
        if p[at + state.GONE] == 0.0 and held < least:
            least, chosen = held, at
    return chosen


@inlined
def _replaces(p: F8, key: float, qty: float) -> bool:
    """Whether a similar order of this side has just gone."""
    for slot in range(state.FOLLOWED):
        at = state.ORDERS + slot * state.STRIDE
        gone = p[at + state.GONE] > 0.0 and p[at + state.KEY] * key > 0.0
        if gone and qty <= SIMILAR * p[at + state.FIRST] and p[at + state.FIRST] <= SIMILAR * qty:
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
    p[chosen + state.KEY], p[chosen + state.QTY], p[chosen + state.FIRST], p[chosen + state.BASE] = key, qty, qty, had
    p[chosen + state.BORN], p[chosen + state.GONE] = now, 0.0
    p[chosen + state.SIZE], p[chosen + state.WEIGHT] = size, weight
    p[chosen + state.PLACE], p[chosen + state.LEVEL], p[chosen + state.CUT] = bar, level, 0.0
    p[chosen + state.APART] = 1.0
    p[chosen + state.PARTS], p[chosen + state.CUTS] = 1.0, 0.0
    p[chosen + state.REPLACES] = 1.0 if replaces else 0.0
    p[chosen + state.OPPOSITE] = p[state.BOUGHT] if key < 0.0 else p[state.SOLD]
    p[chosen + state.MOVES] = p[chosen + state.FILLED] = 0.0
    if replaces and p[state.HELD_KEY] * key > 0.0 and size <= SIMILAR * p[state.HELD_SIZE] <= SIMILAR * SIMILAR * size:
        p[state.HELD_REPLACED] += 1.0


@inlined
def companions(p: F8, place_of: int) -> int:
    """Orders of the same side placed about when this one was, and, if it is gone, gone when it was; itself too."""
    count = 0
    key, born, gone = p[place_of + state.KEY], p[place_of + state.BORN], p[place_of + state.GONE]
    for slot in range(state.FOLLOWED):
        at = state.ORDERS + slot * state.STRIDE
        same = p[at + state.KEY] * key > 0.0 and abs(p[at + state.BORN] - born) <= TOGETHER_S
        if same and (gone == 0.0 or p[at + state.GONE] > 0.0):
            count += 1
    return count


@inlined
def mirrored(p: F8, place_of: int) -> float:
    """What the other side's orders say that were placed about when this one was."""
    total = 0.0
    key, born = p[place_of + state.KEY], p[place_of + state.BORN]
    for slot in range(state.FOLLOWED):
        at = state.ORDERS + slot * state.STRIDE
        if p[at + state.KEY] * key < 0.0 and abs(p[at + state.BORN] - born) <= TOGETHER_S:
            total += strength(p, at)
    return total


@kernel
def settle(p: F8, now: float) -> None:
    """Close the account of orders that are gone for good, and forget those that have stood long."""
    for slot in range(state.FOLLOWED):
        at = state.ORDERS + slot * state.STRIDE
        if p[at + state.KEY] == 0.0:
            continue
        if p[at + state.GONE] == 0.0:
            if now - p[at + state.BORN] > KEEP_S:
                p[at + state.KEY] = 0.0
        elif now - p[at + state.GONE] > MOVE_S:
            _withdrawn(p, at)
            p[at + state.KEY] = 0.0


@inlined
def _jumped_over(p: F8, at: int, now: float) -> None:
    """The price jumped over a standing order: what trades at or through its price do not explain was withdrawn."""
    key = p[at + state.KEY]
    since = state.SOLD_SINCE if key < 0.0 else state.BOUGHT_SINCE
    reached = p[state.LOWEST_SELL] <= -key if key < 0.0 else p[state.HIGHEST_BUY] >= key
    if p[since] > 0.0 and reached:
        taken = min(p[at + state.QTY], p[since])
        p[since] -= taken
        p[at + state.QTY] -= taken
        p[at + state.FILLED] += taken
    if p[at + state.QTY] < LEFT * p[at + state.FIRST]:
        p[at + state.KEY] = 0.0
    else:
        _leave(p, at, 0, 1.0, now)


@kernel
def run_over(p: F8, bid: float, ask: float, now: float) -> None:
    """Settle with the standing orders that the price jumped over. bid, ask : best prices now; NaN where empty"""
    for slot in range(state.FOLLOWED):
        at = state.ORDERS + slot * state.STRIDE
        key = p[at + state.KEY]
        if key != 0.0 and p[at + state.GONE] == 0.0 and (-key > bid if key < 0.0 else key < ask):
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
    for slot in range(state.FOLLOWED):
        at = state.ORDERS + slot * state.STRIDE
        key = p[at + state.KEY]
        if key == 0.0 or p[at + state.GONE] != 0.0 or visible(p, key):
            continue
        left = _shown(key, bids, bid_qtys, first) if key < 0.0 else _shown(key, asks, ask_qtys, first)
        if 0.0 <= left < LEFT * p[at + state.FIRST]:
            _leave(p, at, LEVELS - 1, 1.0, now)


@inlined
def _withdrawn(p: F8, at: int) -> None:
    """Count an order that was placed and withdrawn."""
    side = 0 if p[at + state.KEY] < 0.0 else 1
    life, says = p[at + state.GONE] - p[at + state.BORN], strength(p, at)
    if life < FLEETING_S:
        p[state.FLEETING] += 1.0
        return
    p[state.WITHDRAWN + side] += says
    p[state.WITHDRAWALS + side] += 1.0
    p[state.LARGEST_WITHDRAWN + side] = max(p[state.LARGEST_WITHDRAWN + side], says)
    if says >= p[state.HELD]:
        traded = (p[state.BOUGHT] if side == 0 else p[state.SOLD]) - p[at + state.OPPOSITE]
        p[state.HELD], p[state.HELD_LIFE], p[state.HELD_OPPOSITE] = says, life, traded
        p[state.HELD_TOGETHER], p[state.HELD_MOVES] = companions(p, at), p[at + state.MOVES]
        p[state.HELD_AGE], p[state.HELD_FILLED] = 0.0, p[at + state.FILLED] / p[at + state.FIRST]
        p[state.HELD_SIZE] = p[at + state.SIZE]
        p[state.HELD_APART], p[state.HELD_LEVEL] = p[at + state.APART], p[at + state.LEVEL]
        p[state.HELD_MIRRORED], p[state.HELD_REPLACED] = mirrored(p, at), p[at + state.REPLACES]
        p[state.HELD_KEY], p[state.HELD_PARTS] = p[at + state.KEY], p[at + state.PARTS]
        p[state.HELD_CUTS] = p[at + state.CUTS]
