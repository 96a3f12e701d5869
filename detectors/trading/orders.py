"""Orders as a trader sends them: placed, cancelled, replaced, and a position closed at any price.

Prices on the tick: a limit price is rounded to the side that never trades worse than asked for.
"""

import numpy as np
import numpy.typing as npt

from detectors.trading import state as fields
from detectors.trading.account import mark
from detectors.trading.queue import end, first_slot, place_of, prices_at, side_of, trade_qty, walk
from detectors.trading.units import LEAST_VALUE, LOT, SHORTING
from tapewatch.kernels import inlined, kernel

I8 = npt.NDArray[np.int64]


@inlined
def tick_at(table: I8, price: int) -> int:
    """Tick size at a price. table : int64[bands, 2], all in price steps"""
    band = 0
    while band + 1 < len(table) and table[band + 1, 0] <= price:
        band += 1
    return int(table[band, 1])


@kernel
def floor_price(table: I8, price: int) -> int:
    """The highest legal price that is not above `price`: a buyer's limit; 0 below the first tick."""
    tick = tick_at(table, price)
    return price // tick * tick


@kernel
def ceil_price(table: I8, price: int) -> int:
    """The lowest legal price that is not below `price`: a seller's limit."""
    tick = tick_at(table, price)
    # Rounding up may enter the next band, at whose edge every table has a price.
    return -(-price // tick) * tick


@kernel
def moved_price(table: I8, price: int, ticks: int) -> int:
    """A legal price moved by a number of ticks, band by band; never below the first tick."""
    for _ in range(abs(ticks)):
        if ticks > 0:
            price += tick_at(table, price)
        else:
            lower = price - tick_at(table, price - 1)
            price = lower if lower > 0 else price
    return price


OFF_TICK, OFF_LOT, TOO_SMALL, NOT_HELD, NO_SLOT = -1, -2, -3, -4, -5
REFUSALS = {
    OFF_TICK: "price is not on the tick",
    OFF_LOT: "quantity is not a whole number of lots",
    TOO_SMALL: "value is below the venue's least",
    NOT_HELD: "more than is held, and shorting is off",
    NO_SLOT: "a replacement is already under way",
}
"""What `place` answers where it does not take an order."""


@kernel
def outstanding(p: I8, side: int) -> int:
    """Quantity that the side's orders may still trade: of an order and its replacement, the larger."""
    total = 0
    first = first_slot(side)
    largest, replaced = 0, False
    for slot in (first, first + 1):
        at = place_of(slot)
        if p[at + fields.STATUS] != fields.FREE:
            left = p[at + fields.QTY] - p[at + fields.FILLED]
            total += left
            largest = max(largest, left)
            replaced = replaced or p[at + fields.REPLACES] == 1
    return largest if replaced else total


@kernel
def held_for_buys(state: I8, out: I8) -> None:
    """What each lane's buy orders may still cost at the ask, money steps. out : int64[lanes]"""
    for lane in range(len(state)):
        out[lane] = outstanding(state[lane], fields.BUY) * state[lane, fields.MARK_ASK]


@inlined
def _free_slot(p: I8, side: int) -> int:
    first = first_slot(side)
    for slot in (first, first + 1):
        if p[place_of(slot) + fields.STATUS] == fields.FREE:
            return slot
    return -1


@inlined
def _refusal(p: I8, table: I8, terms: I8, side: int, price: int, qty: int, committed: int) -> int:
    """Why an order is refused; 0 where it is not. committed : quantity that the side's other orders may still sell"""
    if price < 0 or (price != fields.MARKET and floor_price(table, price) != price):
        return OFF_TICK
    if qty <= 0 or qty % terms[LOT] != 0:
        return OFF_LOT
    reference = price if price != fields.MARKET else p[fields.MARK_ASK if side == fields.BUY else fields.MARK_BID]
    if reference * qty < terms[LEAST_VALUE]:
        return TOO_SMALL
    if side == fields.SELL and terms[SHORTING] == 0 and committed + qty > p[fields.POSITION]:
        return NOT_HELD
    return 0


@kernel
def place(p: I8, table: I8, terms: I8, side: int, price: int, qty: int, arrives: int, replaces: int) -> int:
    """Send an order; gives its number, or a negative code of REFUSALS.

    p : int64[WIDTH]; table : int64[BANDS, 2]; terms : int64[TERMS]; price : MARKET or a legal price
    arrives : when it reaches the market at the earliest, UTC ns; it does at the first quote or book from then on
    replaces : 1 where the side's standing order is cancelled as this one arrives; what that one still gets is taken off
    """
    slot = _free_slot(p, side)
    if slot < 0:
        return NO_SLOT
    other = place_of(slot ^ 1)
    replacing = replaces == 1 and p[other + fields.STATUS] != fields.FREE
    refused = _refusal(p, table, terms, side, price, qty, 0 if replacing else outstanding(p, side))
    if refused < 0:
        return refused
    at = place_of(slot)
    p[at : at + fields.STRIDE] = 0
    p[fields.NEXT_ORDER] += 1
    p[at + fields.STATUS], p[at + fields.PRICE], p[at + fields.QTY] = fields.UNDER_WAY, price, qty
    p[at + fields.AHEAD] = p[at + fields.LEVEL] = fields.UNKNOWN
    p[at + fields.ARRIVES], p[at + fields.CANCELS], p[at + fields.NUMBER] = arrives, fields.NEVER, p[fields.NEXT_ORDER]
    if replacing:
        p[at + fields.REPLACES] = 1
        p[other + fields.CANCELS] = min(p[other + fields.CANCELS], arrives)
    return int(p[fields.NEXT_ORDER])


@kernel
def cancel(p: I8, side: int, takes_effect: int) -> int:
    """Ask for the side's orders to be cancelled, from a time on (UTC ns); gives how many were asked for."""
    asked = 0
    for slot in range(fields.SLOTS):
        at = place_of(slot)
        if side_of(slot) == side and p[at + fields.STATUS] != fields.FREE and p[at + fields.CANCELS] == fields.NEVER:
            p[at + fields.CANCELS] = takes_effect
            asked += 1
    return asked


@kernel
def flatten(p: I8, terms: I8, lane: int, row: int, events: I8, counts: I8) -> None:
    """Close the position now, as at the end of a session: every order is cancelled, the visible book is walked, and
    what it does not hold trades at its deepest price (at the mark where a side is empty).
    """
    for slot in range(fields.SLOTS):
        if p[place_of(slot) + fields.STATUS] != fields.FREE:
            end(p, slot, lane, row, events, counts)
    held = p[fields.POSITION]
    if held == 0:
        return
    side = fields.SELL if held > 0 else fields.BUY
    slot = first_slot(side)
    at = place_of(slot)
    p[at : at + fields.STRIDE] = 0
    p[fields.NEXT_ORDER] += 1
    p[at + fields.STATUS], p[at + fields.QTY], p[at + fields.NUMBER] = fields.RESTING, abs(held), p[fields.NEXT_ORDER]
    walk(p, slot, terms, fields.MARKET, lane, row, events, counts)
    deepest = mark(p)
    levels = prices_at(1 - side)
    for k in range(fields.LEVELS):
        if p[levels + k] > 0:
            deepest = p[levels + k]
    if p[at + fields.STATUS] != fields.FREE:
        trade_qty(p, slot, terms, deepest, abs(held), 0, lane, row, events, counts)
