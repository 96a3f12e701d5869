"""Large orders followed from book to book: placed, filled, moved to another price, or withdrawn.

A book shows quantities at prices, not orders. A growth that is large for the instrument is taken for an order; it
is gone when the level shrinks by about as much without trades that explain it. One that comes back at another price
within a moment has moved and keeps its age.
"""

import numpy as np
import numpy.typing as npt

from detectors.book import state as s
from tapewatch.kernels import inlined, kernel

F8 = npt.NDArray[np.float64]

LARGE = 0.7
"""Smallest order that is followed, in usual growths, or at the touch in usual quantities of the touch."""
MOVE_S = 0.35
"""Time in which an order that is gone may come back elsewhere."""
JOIN_S = 1.3
"""Time in which further growth at the price belongs to the same order."""
KEEP_S = 30.0
"""An order that has stood longer is no longer followed."""
ALIKE = 0.12
"""Share by which the quantity of an order that moved may differ."""
TOGETHER_S = 1.5
FLEETING_S = 0.2
"""An order that lived shorter counts as fleeting, not as withdrawn."""


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
def withdraw(p: F8, key: float, qty: float, left: float, now: float) -> None:
    """The level shrank by `qty` that no trade explains, to `left`: orders at it are gone, or smaller.

    What an order may still have there is charged to others: levels breathe.
    """
    for _ in range(3):
        at = _nearest(p, key, qty)
        if at < 0 or qty < 0.2 * p[s.USUAL_ADD]:
            return
        own = p[at + s.QTY]
        if qty >= 0.7 * own:
            p[at + s.GONE] = now
            qty -= own
            continue
        if left < own:
            p[at + s.QTY] = max(left, 1e-9)
            if left < 0.35 * p[at + s.FIRST]:
                p[at + s.GONE] = now
        return


@inlined
def _came_back(p: F8, key: float, qty: float, now: float) -> bool:
    """Whether the growth is an order of this side that has just left another price."""
    for slot in range(s.FOLLOWED):
        at = s.ORDERS + slot * s.STRIDE
        was = p[at + s.QTY]
        recent = p[at + s.GONE] > 0.0 and now - p[at + s.GONE] <= MOVE_S
        if recent and p[at + s.KEY] * key > 0.0 and abs(qty - was) <= ALIKE * was:
            p[at + s.MOVES] += 1.0 if p[at + s.KEY] != key else 0.0
            p[at + s.KEY], p[at + s.QTY], p[at + s.GONE] = key, qty, 0.0
            return True
    return False


@inlined
def _joined(p: F8, key: float, qty: float, now: float) -> bool:
    """Whether the growth is a further part of an order that is being placed at this price."""
    for slot in range(s.FOLLOWED):
        at = s.ORDERS + slot * s.STRIDE
        if p[at + s.KEY] == key and p[at + s.GONE] == 0.0 and now - p[at + s.BORN] <= JOIN_S:
            p[at + s.QTY] += qty
            p[at + s.SIZE] *= 1.0 + qty / p[at + s.FIRST]
            p[at + s.FIRST] += qty
            return True
    return False


@inlined
def visible(p: F8, key: float) -> bool:
    """Whether a price lies within the ten levels."""
    return bool(-key >= p[s.EDGE_BID]) if key < 0.0 else bool(key <= p[s.EDGE_ASK] or p[s.EDGE_ASK] == 0.0)


@kernel
def place(p: F8, key: float, qty: float, size: float, now: float) -> None:
    """Follow a growth, if it is large enough and there is room, something out of sight or something smaller.

    size : of the growth over what is usual there
    """
    if size < LARGE or _came_back(p, key, qty, now) or _joined(p, key, qty, now):
        return
    least, chosen = size, -1
    for slot in range(s.FOLLOWED):
        at = s.ORDERS + slot * s.STRIDE
        if p[at + s.KEY] == 0.0:
            chosen = at
            break
        held = p[at + s.SIZE] if visible(p, p[at + s.KEY]) else 0.0
        if p[at + s.GONE] == 0.0 and held < least:
            least, chosen = held, at
    if chosen < 0:
        return
    p[chosen + s.KEY], p[chosen + s.QTY], p[chosen + s.FIRST] = key, qty, qty
    p[chosen + s.BORN], p[chosen + s.GONE], p[chosen + s.SIZE] = now, 0.0, size
    p[chosen + s.OPPOSITE] = p[s.BOUGHT] if key < 0.0 else p[s.SOLD]
    p[chosen + s.MOVES] = p[chosen + s.FILLED] = 0.0


@inlined
def companions(p: F8, place_of: int) -> int:
    """Orders of the same side placed about when this one was, and, if it is gone, gone when it was; itself too."""
    count = 0
    key, born, gone = p[place_of + s.KEY], p[place_of + s.BORN], p[place_of + s.GONE]
    for slot in range(s.FOLLOWED):
        at = s.ORDERS + slot * s.STRIDE
        same = p[at + s.KEY] * key > 0.0 and abs(p[at + s.BORN] - born) <= TOGETHER_S
        if same and (gone == 0.0) == (p[at + s.GONE] == 0.0):
            count += 1
    return count


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
def _withdrawn(p: F8, at: int) -> None:
    """Count an order that was placed and withdrawn."""
    side = 0 if p[at + s.KEY] < 0.0 else 1
    placed, size, life = p[at + s.FIRST], p[at + s.SIZE], p[at + s.GONE] - p[at + s.BORN]
    if life < FLEETING_S:
        p[s.FLEETING] += 1.0
        return
    unfilled = max(0.0, 1.0 - p[at + s.FILLED] / placed)
    p[s.WITHDRAWN + side] += size * unfilled
    p[s.WITHDRAWALS + side] += 1.0
    p[s.LARGEST_WITHDRAWN + side] = max(p[s.LARGEST_WITHDRAWN + side], size * unfilled)
    weight = size * unfilled
    if weight >= p[s.HELD]:
        traded = (p[s.BOUGHT] if side == 0 else p[s.SOLD]) - p[at + s.OPPOSITE]
        p[s.HELD], p[s.HELD_LIFE], p[s.HELD_OPPOSITE] = weight, life, traded
        p[s.HELD_TOGETHER], p[s.HELD_MOVES] = companions(p, at), p[at + s.MOVES]
        p[s.HELD_AGE], p[s.HELD_FILLED] = 0.0, p[at + s.FILLED] / placed
