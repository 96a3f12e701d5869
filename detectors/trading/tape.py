"""A recorded market as columns of whole steps, and the kernel that runs lanes of orders along it."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.trading import state as fields
from detectors.trading.queue import arrive, end, meet_book, meet_trade, place_of, take_book, take_quote
from detectors.trading.units import F8, Units
from tapewatch.kernels import kernel

I8 = npt.NDArray[np.int64]

TRADE, QUOTE, BOOK = range(3)


class Tape(NamedTuple):
    """Rows in the order in which they were received.

    ts : int64[rows], receipt, UTC ns; kind : int8[rows], TRADE, QUOTE or BOOK
    values : int64[rows, 4]; a trade's price, quantity, aggressor side (1, -1, 0) and 0; a quote's bid, its quantity,
    ask and its quantity; a book's row in `books` and zeros
    books : int64[books, 4 * LEVELS], bid prices, bid quantities, ask prices, ask quantities, 0 where a level is absent
    """

    ts: I8
    kind: npt.NDArray[np.int8]
    values: I8
    books: I8


def empty_tape() -> Tape:
    """A tape without rows."""
    return Tape(np.zeros(0, np.int64), np.zeros(0, np.int8), np.zeros((0, 4), np.int64), np.zeros((0, 40), np.int64))


def trades_part(units: Units, ts: I8, price: F8, qty: F8, aggressor: npt.NDArray[np.int8]) -> Tape:
    """Trades as a tape; only regular and auction trades belong on it."""
    values = np.stack([units.prices(price), units.quantities(qty), aggressor.astype(np.int64), 0 * ts], axis=1)
    return empty_tape()._replace(ts=ts, kind=np.full(len(ts), TRADE, np.int8), values=values)


def quotes_part(units: Units, ts: I8, bid: F8, bid_qty: F8, ask: F8, ask_qty: F8) -> Tape:
    """Quotes as a tape; a NaN price is an absent side."""
    sides = [units.prices(bid), units.quantities(bid_qty), units.prices(ask), units.quantities(ask_qty)]
    return empty_tape()._replace(ts=ts, kind=np.full(len(ts), QUOTE, np.int8), values=np.stack(sides, axis=1))


def books_part(units: Units, ts: I8, bid: F8, bid_qty: F8, ask: F8, ask_qty: F8) -> Tape:
    """Books as a tape. Prices and quantities are float64[rows, LEVELS], NaN where a level is absent."""
    levels = [units.prices(bid), units.quantities(bid_qty), units.prices(ask), units.quantities(ask_qty)]
    values = np.zeros((len(ts), 4), dtype=np.int64)
    values[:, 0] = np.arange(len(ts))
    return Tape(ts, np.full(len(ts), BOOK, np.int8), values, np.concatenate(levels, axis=1))


def merged(*parts: Tape) -> Tape:
    """Parts of one instrument as one tape: by time, and within an instant trades, quotes, books, as in the log."""
    starts = np.cumsum([0] + [len(part.books) for part in parts])
    shifted = []
    for part, start in zip(parts, starts, strict=False):
        values = part.values.copy()
        values[part.kind == BOOK, 0] += start
        shifted.append(values)
    ts, kind = np.concatenate([part.ts for part in parts]), np.concatenate([part.kind for part in parts])
    order = np.lexsort((kind, ts))
    books = np.concatenate([part.books for part in parts])
    return Tape(ts[order], kind[order], np.concatenate(shifted)[order], books)


@kernel
def step_row(p: I8, terms: I8, tape: Tape, row: int, lane: int, events: I8, counts: I8) -> None:
    """Let one row of the market happen to a lane: cancels due, the row itself, orders that arrive."""
    p[fields.CLOCK] = now = tape.ts[row]
    for slot in range(fields.SLOTS):
        at = place_of(slot)
        if p[at + fields.STATUS] != fields.FREE and p[at + fields.CANCELS] <= now:
            end(p, slot, lane, row, events, counts)
    v = tape.values[row]
    if tape.kind[row] == TRADE:
        for slot in range(fields.SLOTS):
            if p[place_of(slot) + fields.STATUS] == fields.RESTING:
                meet_trade(p, slot, terms, v[0], v[1], v[2], lane, row, events, counts)
        return
    if tape.kind[row] == QUOTE:
        take_quote(p, v[0], v[1], v[2], v[3])
    else:
        take_book(p, tape.books[v[0]])
    for slot in range(fields.SLOTS):
        at = place_of(slot)
        if p[at + fields.STATUS] == fields.RESTING:
            meet_book(p, slot, terms, lane, row, events, counts)
        elif p[at + fields.STATUS] == fields.UNDER_WAY and p[at + fields.ARRIVES] <= now:
            arrive(p, slot, terms, lane, row, events, counts)


@kernel
def run_lane(p: I8, terms: I8, tape: Tape, first: int, last: int, lane: int, events: I8, counts: I8) -> None:
    """Rows first..last-1 of a tape of one instrument, on one lane."""
    for row in range(first, last):
        step_row(p, terms, tape, row, lane, events, counts)


@kernel
def run_log(state: I8, terms: I8, tape: Tape, lanes: I8, first: int, events: I8, counts: I8) -> int:
    """Rows of several instruments from `first` on, until the events' room may not do; gives the row where it stopped.

    state : int64[lanes, WIDTH]; terms : int64[lanes, TERMS]; lanes : int64[rows], the instrument of each row
    """
    for row in range(first, len(tape.ts)):
        if counts[0] + fields.EVENTS_A_ROW > len(events):
            return row
        lane = lanes[row]
        step_row(state[lane], terms[lane], tape, row, lane, events, counts)
    return len(tape.ts)
