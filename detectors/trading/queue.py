"""Fills of orders against a recorded market, with the queue at a price followed: docs/trading.md has the rules.

The visible book of a lane: what quotes and books say, best level first.
"""

import numpy as np
import numpy.typing as npt

from detectors.trading import state
from detectors.trading.account import portion, settle_fill
from tapewatch.kernels import inlined, kernel

I8 = npt.NDArray[np.int64]


@inlined
def prices_at(side: int) -> int:
    """Place of a side's prices; its quantities follow LEVELS later. side : BUY for bids, SELL for asks"""
    return state.BIDS if side == state.BUY else state.ASKS


@inlined
def better(side: int, price: int, than: int) -> bool:
    """Whether an order of this side at `price` comes before one at `than`."""
    return price > than if side == state.BUY else price < than


@kernel
def take_book(p: I8, levels: I8) -> None:
    """A whole book. levels : int64[4 * LEVELS], bid prices, bid quantities, ask prices, ask quantities; 0 is absent"""
    for k in range(4 * state.LEVELS):
        p[state.BIDS + k] = levels[k]
    p[state.HAS_BOOK] = 1
    _keep_marks(p)


@kernel
def take_quote(p: I8, bid: int, bid_qty: int, ask: int, ask_qty: int) -> None:
    """The touch. Where books come too, deeper levels stay as the last book had them; prices of 0 are absent sides."""
    _touch(p, state.BUY, bid, bid_qty)
    _touch(p, state.SELL, ask, ask_qty)
    _keep_marks(p)


@inlined
def _keep_marks(p: I8) -> None:
    if p[state.BIDS] > 0:
        p[state.MARK_BID] = p[state.BIDS]
    if p[state.ASKS] > 0:
        p[state.MARK_ASK] = p[state.ASKS]


@inlined
def _touch(p: I8, side: int, price: int, qty: int) -> None:
    """Put a side's best level in its place; levels better than it are gone."""
    at = prices_at(side)
    first = 0
    while first < state.LEVELS and p[at + first] > 0 and better(side, p[at + first], price):
        first += 1
    same = first < state.LEVELS and p[at + first] == price
    shift = first - (0 if same else 1)
    if price == 0 or p[state.HAS_BOOK] == 0:
        p[at : at + 2 * state.LEVELS] = 0
    elif shift > 0:
        for k in range(state.LEVELS):
            p[at + k] = p[at + k + shift] if k + shift < state.LEVELS else 0
            p[at + state.LEVELS + k] = p[at + state.LEVELS + k + shift] if k + shift < state.LEVELS else 0
    elif shift < 0:
        for k in range(state.LEVELS - 1, 0, -1):
            p[at + k], p[at + state.LEVELS + k] = p[at + k - 1], p[at + state.LEVELS + k - 1]
    p[at] = price
    p[at + state.LEVELS] = qty if price > 0 else 0


@kernel
def visible_qty(p: I8, side: int, price: int) -> int:
    """What stands at a price of a side: 0 where nothing does, UNKNOWN beyond the deepest level shown."""
    at = prices_at(side)
    for k in range(state.LEVELS):
        if p[at + k] == 0:
            break
        if p[at + k] == price:
            return int(p[at + state.LEVELS + k])
        if better(side, price, p[at + k]):
            return 0
    return state.UNKNOWN


@inlined
def side_of(slot: int) -> int:
    """BUY for the first two slots, SELL for the others."""
    return state.BUY if slot < state.SLOTS // 2 else state.SELL


@inlined
def first_slot(side: int) -> int:
    """The first of a side's slots; the other one follows."""
    return 0 if side == state.BUY else state.SLOTS // 2


@inlined
def place_of(slot: int) -> int:
    """Where a slot begins in a lane's row."""
    return state.ORDERS + slot * state.STRIDE


@inlined
def emit(events: I8, counts: I8, row: tuple[int, int, int, int, int, int], amounts: tuple[int, ...]) -> None:
    """Write an event, and count it even where there is no room left. row : kind to row number; amounts : the rest."""
    k = counts[0]
    counts[0] += 1
    if k < len(events):
        for column in range(6):
            events[k, column] = row[column]
        for column in range(5):
            events[k, 6 + column] = amounts[column]


@inlined
def end(p: I8, slot: int, lane: int, row: int, events: I8, counts: I8) -> None:
    """What is left of an order is gone; its slot is free."""
    at = place_of(slot)
    left = p[at + state.QTY] - p[at + state.FILLED]
    header = (state.CANCELLED, lane, side_of(slot), p[at + state.NUMBER], p[state.CLOCK], row)
    emit(events, counts, header, (p[at + state.PRICE], left, 0, 0, 0))
    p[at + state.STATUS] = state.FREE


@kernel
def trade_qty(
    p: I8, slot: int, terms: I8, price: int, offered: int, maker: int, lane: int, row: int, events: I8, counts: I8
) -> int:
    """Fill an order with what is offered to it, as far as it goes; gives what it took."""
    at = place_of(slot)
    qty = int(min(offered, p[at + state.QTY] - p[at + state.FILLED]))
    if qty <= 0:
        return 0
    side = side_of(slot)
    fee, tax = settle_fill(p, at, terms, side, price, qty, maker)
    header = (state.FILL, lane, side, p[at + state.NUMBER], p[state.CLOCK], row)
    emit(events, counts, header, (price, qty, maker, fee, tax))
    if p[at + state.FILLED] == p[at + state.QTY]:
        p[at + state.STATUS] = state.FREE
    other = place_of(slot ^ 1)
    if p[other + state.STATUS] == state.UNDER_WAY and p[other + state.REPLACES] == 1:
        # What the replaced order still gets, its replacement no longer asks for.
        p[other + state.QTY] -= qty
        reduced = (state.AMENDED, lane, side, p[other + state.NUMBER], p[state.CLOCK], row)
        emit(events, counts, reduced, (p[other + state.PRICE], qty, 0, 0, 0))
        if p[other + state.QTY] <= 0:
            end(p, slot ^ 1, lane, row, events, counts)
    return qty


@kernel
def walk(p: I8, slot: int, terms: I8, limit: int, lane: int, row: int, events: I8, counts: I8) -> int:
    """Take what the other side shows, best first, up to a limit (MARKET: all of it); gives what was to be had."""
    side = side_of(slot)
    at = prices_at(1 - side)
    shown = 0
    for k in range(state.LEVELS):
        price, qty = p[at + k], p[at + state.LEVELS + k]
        if price == 0 or (limit != state.MARKET and better(side, price, limit)):
            break
        shown += qty
        if p[place_of(slot) + state.STATUS] != state.FREE:
            trade_qty(p, slot, terms, price, qty, 0, lane, row, events, counts)
    return shown


@kernel
def arrive(p: I8, slot: int, terms: I8, lane: int, row: int, events: I8, counts: I8) -> None:
    """An order reaches the market: it takes what its price allows; the rest of a limit order queues behind what is
    shown, the rest of a market order is gone.
    """
    at = place_of(slot)
    p[at + state.REPLACES] = 0
    crossed = walk(p, slot, terms, p[at + state.PRICE], lane, row, events, counts)
    if p[at + state.STATUS] == state.FREE:
        return
    if p[at + state.PRICE] == state.MARKET:
        end(p, slot, lane, row, events, counts)
        return
    side = side_of(slot)
    p[at + state.STATUS] = state.RESTING
    p[at + state.CROSSED] = crossed
    p[at + state.AHEAD] = p[at + state.LEVEL] = visible_qty(p, side, p[at + state.PRICE])
    p[at + state.TRADED] = 0
    header = (state.OPEN, lane, side, p[at + state.NUMBER], p[state.CLOCK], row)
    emit(events, counts, header, (p[at + state.PRICE], p[at + state.QTY] - p[at + state.FILLED], 0, 0, 0))


@kernel
def meet_trade(
    p: I8,
    slot: int,
    terms: I8,
    price: int,
    qty: int,
    aggressor: int,
    lane: int,
    row: int,
    events: I8,
    counts: I8,
) -> None:
    """A recorded trade meets a resting order: one at its price eats what stands ahead of it first, one beyond its price
    would have filled it first.

    aggressor : 1 buy, -1 sell, 0 unknown; who takes from our side of the book is of the other side
    """
    side, at = side_of(slot), place_of(slot)
    if aggressor == (1 if side == state.BUY else -1):
        return
    own = p[at + state.PRICE]
    if better(side, own, price):
        p[at + state.AHEAD] = 0
        trade_qty(p, slot, terms, own, qty, 1, lane, row, events, counts)
    elif own == price and p[at + state.AHEAD] != state.UNKNOWN:
        p[at + state.TRADED] += qty
        eaten = min(p[at + state.AHEAD], qty)
        p[at + state.AHEAD] -= eaten
        trade_qty(p, slot, terms, own, qty - eaten, 1, lane, row, events, counts)


@inlined
def _queue(p: I8, at: int, side: int) -> None:
    """Move a resting order forward by what left its price without a trade, in proportion to its place."""
    shown = visible_qty(p, side, p[at + state.PRICE])
    ahead = p[at + state.AHEAD]
    if shown != state.UNKNOWN:
        before = p[at + state.LEVEL] - p[at + state.TRADED]
        if ahead == state.UNKNOWN:
            ahead = shown
        elif p[at + state.LEVEL] != state.UNKNOWN and shown < before:
            ahead -= portion(min(ahead, before), before - shown, before)
        p[at + state.AHEAD] = min(ahead, shown)
    p[at + state.LEVEL] = shown
    p[at + state.TRADED] = 0


@kernel
def meet_book(p: I8, slot: int, terms: I8, lane: int, row: int, events: I8, counts: I8) -> None:
    """A new book or quote meets a resting order. Where the other side now stands at or beyond its price, what is newly
    there would have traded with it.
    """
    side, at = side_of(slot), place_of(slot)
    _queue(p, at, side)
    other = prices_at(1 - side)
    crossed = 0
    for k in range(state.LEVELS):
        price = p[other + k]
        if price == 0 or better(side, price, p[at + state.PRICE]):
            break
        crossed += p[other + state.LEVELS + k]
    fresh = crossed - p[at + state.CROSSED]
    p[at + state.CROSSED] = crossed
    if fresh > 0:
        p[at + state.AHEAD] = 0
        trade_qty(p, slot, terms, p[at + state.PRICE], fresh, 1, lane, row, events, counts)
