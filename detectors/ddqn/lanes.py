"""Kernels of the trading environment: lanes opened, run between decisions, acted in and looked at."""

import numpy as np
import numpy.typing as npt

from detectors.ddqn.sessions import Tracks
from detectors.trading import state as fields
from detectors.trading.account import equity, unrealised
from detectors.trading.orders import cancel, flatten, floor_price, moved_price, outstanding, place, tick_at
from detectors.trading.queue import first_slot, place_of, take_book, take_quote
from detectors.trading.tape import BOOK, QUOTE, run_lane
from detectors.trading.units import LOT, SHORTING
from tapewatch.kernels import inlined, kernel

F4 = npt.NDArray[np.float32]
I8 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

HOLD, BUY, SELL, CANCEL_BUY, CANCEL_SELL = range(5)
ACTIONS = ("hold", "buy", "sell", "cancel_buy", "cancel_sell")
"""In the order of their numbers, named as in the messages of the topic `signals`."""

PRIVATE = (
    "position",
    "unrealised",
    "buy_left",
    "buy_queue",
    "buy_distance",
    "sell_left",
    "sell_queue",
    "sell_distance",
    "time_left",
)
"""What the policy sees beside the market: position over its limit, unrealised change since entry in reward units, of
each side's order what is left (over a unit), its place in the queue (0 first, 1 last, 1 where unknown) and its distance
from the touch in ticks over 10, and the share of the session that is left.
"""


@kernel
def open_lanes(state: I8, tracks: Tracks, session: I8, row: I8, which: Bools, capital: I8) -> None:
    """Begin anew in the lanes `which`: no position, no orders, the book as it stands at the row's time."""
    for lane in range(len(state)):
        if which[lane]:
            p = state[lane]
            p[:] = 0
            p[fields.CASH] = capital[lane]
            _show_book(p, tracks, tracks.begin_row[session[lane]], tracks.next_row[row[lane]])


@inlined
def _show_book(p: I8, tracks: Tracks, begin: int, until: int) -> None:
    """Apply the last book before a row of the tape, and the quotes after it; without books the last quote."""
    tape = tracks.tape
    at = until - 1
    wanted = QUOTE if len(tape.books) == 0 else BOOK
    while at > begin and tape.kind[at] != wanted:
        at -= 1
    for row in range(max(at, begin), until):
        v = tape.values[row]
        if tape.kind[row] == BOOK:
            take_book(p, tape.books[v[0]])
        elif tape.kind[row] == QUOTE:
            take_quote(p, v[0], v[1], v[2], v[3])


@kernel
def run_lanes(state: I8, tracks: Tracks, session: I8, row: I8, end: Bools, events: I8, counts: I8) -> None:
    """From the time of each lane's row to that of its next one; at the session's end, through it and flat.

    end : bool[lanes], where the session ends; events : scratch, its content is of no use
    """
    for lane in range(len(state)):
        which = session[lane]
        until = tracks.end_row[which] if end[lane] else tracks.next_row[row[lane] + 1]
        counts[0] = len(events)
        run_lane(state[lane], tracks.terms[which], tracks.tape, tracks.next_row[row[lane]], until, lane, events, counts)
        if end[lane]:
            flatten(state[lane], tracks.terms[which], lane, until, events, counts)


@inlined
def _order_qty(p: I8, terms: I8, side: int, unit: int, limit: int) -> int:
    """What a decision to trade on this side asks for; 0 where it may not.

    It closes what is held the other way first, at most a unit at a time.
    """
    if outstanding(p, side) > 0 or p[fields.BIDS] == 0 or p[fields.ASKS] == 0:
        return 0
    held = p[fields.POSITION] if side == fields.BUY else -p[fields.POSITION]
    if held < 0:
        return int(min(unit, -held))
    if side == fields.SELL and terms[SHORTING] == 0:
        return 0
    return int(min(unit, limit - held) // terms[LOT] * terms[LOT])


@inlined
def _may_cancel(p: I8, side: int) -> bool:
    first = first_slot(side)
    for slot in (first, first + 1):
        at = place_of(slot)
        if p[at + fields.STATUS] != fields.FREE and p[at + fields.CANCELS] == fields.NEVER:
            return True
    return False


@kernel
def mask_lanes(state: I8, tracks: Tracks, session: I8, limits: int, masks: Bools) -> None:
    """What each lane may do, bool[lanes, actions]. limits : largest position in units"""
    for lane in range(len(state)):
        p, terms, unit = state[lane], tracks.terms[session[lane]], tracks.unit[session[lane]]
        masks[lane, HOLD] = True
        masks[lane, BUY] = _order_qty(p, terms, fields.BUY, unit, limits * unit) > 0
        masks[lane, SELL] = _order_qty(p, terms, fields.SELL, unit, limits * unit) > 0
        masks[lane, CANCEL_BUY] = _may_cancel(p, fields.BUY)
        masks[lane, CANCEL_SELL] = _may_cancel(p, fields.SELL)


@kernel
def act_lanes(
    state: I8,
    tracks: Tracks,
    session: I8,
    row: I8,
    actions: I8,
    limits: int,
    latency: int,
    at_market: int,
    offset: int,
    refused: I8,
) -> None:
    """Send what each lane decided; it reaches the market `latency` ns after the row's time.

    at_market : 1 for market orders, 0 for limit orders at the own side's best price, moved by `offset` ticks towards
    the other side; refused : int64[1], counts what the venue's rules refuse
    """
    for lane in range(len(state)):
        p, which = state[lane], session[lane]
        when = tracks.ts[row[lane]] + latency
        action = actions[lane]
        if action in (CANCEL_BUY, CANCEL_SELL):
            cancel(p, fields.BUY if action == CANCEL_BUY else fields.SELL, when)
        elif action != HOLD:
            side = fields.BUY if action == BUY else fields.SELL
            table, terms, unit = tracks.tables[which], tracks.terms[which], tracks.unit[which]
            qty = _order_qty(p, terms, side, unit, limits * unit)
            price = fields.MARKET
            if at_market == 0:
                best = floor_price(table, p[fields.BIDS] if side == fields.BUY else p[fields.ASKS])
                price = moved_price(table, best, offset if side == fields.BUY else -offset)
            if place(p, table, terms, side, price, qty, when, 0) < 0:
                refused[0] += 1


@inlined
def _show_order(p: I8, side: int, tick: int, unit: int, out: F4, at: int) -> None:
    """What is left of the side's order, its place in the queue and its distance from the touch."""
    first = first_slot(side)
    for slot in (first, first + 1):
        order = place_of(slot)
        if p[order + fields.STATUS] == fields.FREE:
            continue
        out[at] += (p[order + fields.QTY] - p[order + fields.FILLED]) / unit
        out[at + 1] = 1.0
        if p[order + fields.STATUS] == fields.RESTING and p[order + fields.AHEAD] != fields.UNKNOWN:
            ahead = p[order + fields.AHEAD]
            out[at + 1] = ahead / max(1, max(ahead, p[order + fields.LEVEL]))
        if p[order + fields.PRICE] != fields.MARKET:
            touch = p[fields.MARK_BID] if side == fields.BUY else p[fields.MARK_ASK]
            away = touch - p[order + fields.PRICE] if side == fields.BUY else p[order + fields.PRICE] - touch
            out[at + 2] = min(3.0, max(-3.0, 0.1 * (away / tick)))


@kernel
def show_lanes(state: I8, tracks: Tracks, session: I8, row: I8, limits: int, unit_reward: I8, out: F4) -> None:
    """PRIVATE of each lane, float32[lanes, 9]. unit_reward : int64[lanes], money steps of a reward of 1"""
    for lane in range(len(state)):
        p, which = state[lane], session[lane]
        unit = tracks.unit[which]
        out[lane, :] = 0.0
        out[lane, 0] = p[fields.POSITION] / (limits * unit)
        out[lane, 1] = min(10.0, max(-10.0, unrealised(p) / unit_reward[lane]))
        tick = tick_at(tracks.tables[which], max(1, p[fields.MARK_BID]))
        _show_order(p, fields.BUY, tick, unit, out[lane], 2)
        _show_order(p, fields.SELL, tick, unit, out[lane], 5)
        first, last = tracks.ts[tracks.first[which]], tracks.ts[tracks.last[which]]
        out[lane, 8] = (last - tracks.ts[row[lane]]) / (last - first)


@kernel
def equity_lanes(state: I8, out: I8) -> None:
    """Equity of each lane, int64[lanes], money steps."""
    for lane in range(len(state)):
        out[lane] = equity(state[lane])
