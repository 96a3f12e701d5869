"""One simulated second: clustered order events hit the books of all instruments, and a feed's rows come of it.

Arrivals are a Hawkes process with an exponential kernel, drawn by thinning (Ogata 1981). Each event is a market
order, a limit order or a cancellation; market orders lean towards the fair price, the heavier side of the book and a
slow state of the flow.
"""

from typing import Any, NamedTuple

import numpy as np

from producers.synthetic.book import (
    ASK,
    BID,
    CANCEL,
    HIT,
    PIN,
    PLACE,
    PRICE,
    QTY,
    REFRESH,
    TRADE,
    UNCROSS,
    Book,
    add_or_cancel,
    align,
    cancel_pins,
    improve,
    level_lots,
    rebuild,
    remove,
)
from producers.synthetic.flow import (
    Order,
    adapt,
    driven_order,
    hitting_order,
    match,
    natural_order,
    refresh,
    uncross,
    write_book,
    write_quote,
)
from tapewatch.kernels import allocating_kernel

BACKGROUND, DRIVEN, FLICKER, SCRIPTED = 0, 1, 2, 3
TRADE_SHARE = 0.15
BOOK_SHARE = 0.45
MAX_EVENTS = 3000
"""Order events an instrument can have in a second, as a venue's throttle would have it."""
_LAST_NS = 998_000_000


class Tape(NamedTuple):
    """Room for rows, and `counts`, int64[3]: trades, quotes and books written so far."""

    trades: Any
    quotes: Any
    books: Any
    counts: Any


@allocating_kernel
def flicker(book: Book, name: Any, rng: Any, bid: int, ask: int) -> None:
    """A quote update that means nothing: a new size at the touch, or a price better than wanted that comes and goes."""
    side = BID if rng.random() < 0.5 else ASK
    sign = 1 if side == BID else -1
    wanted = bid if side == BID else ask
    if rng.random() < 0.5:
        book[side, QTY, 0] = level_lots(rng, name, 0)
    elif sign * (book[side, PRICE, 0] - wanted) <= 0:
        improve(book, name, rng, side, book[side, PRICE, 0] + sign)
    elif book[side, PIN, 0] == 0:
        remove(book, name, rng, side, 0)


@allocating_kernel
def scripted(book: Book, name: Any, rng: Any, i: int, bid: int, action: Any, ns: int, tape: Tape) -> Order:
    """One scripted step of an injected event; returns the market order it asks for, or one of 0 lots."""
    if action.code == TRADE:
        limit = name.grid_high if action.side > 0 else name.grid_low
        return action.side, action.lots, limit
    if action.code == HIT:
        return hitting_order(book, action.side, action.lots)
    if action.code == PLACE:
        book[action.side, PIN, action.level] += action.lots
    elif action.code == CANCEL:
        cancel_pins(book, name, rng, action.side)
    elif action.code == REFRESH:
        refresh(book, name, rng, action.side)
    elif action.code == UNCROSS:
        tape.counts[0] = uncross(book, name, rng, i, bid, action.lots, ns, tape.trades, tape.counts[0])
    return 1, 0, 0


@allocating_kernel
def happen(
    kind: int,
    i: int,
    bid: int,
    book: Book,
    name: Any,
    drive: Any,
    actions: Any,
    step: int,
    rng: Any,
    ns: int,
    tape: Tape,
) -> None:
    """One event of this kind changes the book; trades go to the tape. `actions[step]` is read where it is scripted."""
    ask = bid + name.spread
    order = (1, 0, 0)
    if kind == SCRIPTED:
        order = scripted(book, name, rng, i, bid, actions[step], ns, tape)
    elif kind == DRIVEN:
        order = driven_order(book, name, rng, bid, ask, drive)
    elif kind == FLICKER:
        flicker(book, name, rng, bid, ask)
    elif rng.random() < TRADE_SHARE:
        order = natural_order(book, name, rng, bid, ask, drive.impact)
    if order[1] > 0:
        tape.counts[0] = match(book, name, rng, i, order, drive.evade, ns, tape.trades, tape.counts[0])
    if kind == DRIVEN or (kind == BACKGROUND and order[1] == 0):
        before = book[BID, PRICE, 0] + book[ASK, PRICE, 0]
        if kind == DRIVEN or rng.random() < 0.6:
            align(book, name, rng, bid, ask, drive.eaten)
        if kind == BACKGROUND and book[BID, PRICE, 0] + book[ASK, PRICE, 0] == before:
            add_or_cancel(book, name, rng)
    if drive.evade == 1:
        for side in range(2):
            # A spoofer cancels before his order is next to be filled.
            if book[side, PIN, 0] > 0:
                cancel_pins(book, name, rng, side)


@allocating_kernel
def publish(book: Book, name: Any, rng: Any, i: int, ns: int, before: Any, show_book: bool, tape: Tape) -> int:
    """Write a quote if touch or volume changed since `before`, and a book if asked; returns the last time used."""
    counts = tape.counts
    if counts[0] > before[4]:
        ns = tape.trades[counts[0] - 1].ts
    if touch(book, tape) != before:
        ns += 50 + int(rng.random() * 500)
        counts[1] = write_quote(book, name, i, ns, tape.quotes, counts[1])
    if show_book:
        ns += 50 + int(rng.random() * 500)
        counts[2] = write_book(book, name, i, ns, tape.books, counts[2])
    return ns


@allocating_kernel
def touch(book: Book, tape: Tape) -> Any:
    """Best prices, their lots, and the number of trades: what a quote row shows."""
    bid_lots = book[BID, QTY, 0] + book[BID, PIN, 0]
    ask_lots = book[ASK, QTY, 0] + book[ASK, PIN, 0]
    return book[BID, PRICE, 0], bid_lots, book[ASK, PRICE, 0], ask_lots, tape.counts[0]


@allocating_kernel
def kind_of(draw: float, orders: float, flickers: float) -> int:
    """Kind of an event drawn from the total rate: driven orders come first, then flickers, then the background."""
    if draw < orders:
        return DRIVEN
    if draw < orders + flickers:
        return FLICKER
    return BACKGROUND


@allocating_kernel
def one_second(
    i: int,
    start_ns: int,
    grid: Any,
    book: Book,
    name: Any,
    drive: Any,
    actions: Any,
    step: int,
    last: int,
    branching: float,
    decay: float,
    rng: Any,
    tape: Tape,
) -> None:
    """Simulate one instrument; `actions[step:last]` are its scripted steps in time order."""
    # Nothing happens before an uncrossing or resumption in this second.
    t = drive.begin if drive.rebuild == 1 else 0.0
    ns, events = 0, 0
    slope = (drive.target - drive.origin) / (1.0 - drive.begin)
    bid = adapt(name, grid, drive.origin, 1.0, 0.0)
    if drive.rebuild == 1:
        rebuild(book, name, rng, bid, bid + name.spread)
    while True:
        on = 1.0 if t >= drive.begin else 0.0
        orders, flickers = on * drive.orders, on * drive.flicker
        rate = orders + flickers + drive.rate * (1.0 + on * (drive.scale - 1.0))
        bound = rate + name.excitation
        at = t + rng.standard_exponential() / bound if events < MAX_EVENTS else 2.0
        # Rates change at `begin`: thinning starts afresh there.
        starts = on == 0.0 and at > drive.begin
        at = drive.begin if starts else at
        script = step < last and actions[step].at <= at
        at = max(t, actions[step].at) if script else at
        name.excitation *= np.exp(-decay * (min(at, 1.0) - t))
        t = at
        ns = max(ns + 500, int(t * 1e9))
        if ns >= _LAST_NS and not script:
            break
        draw = rng.random() * bound
        if not script and (starts or draw >= rate + name.excitation):
            continue
        events += 1
        kind = SCRIPTED if script else kind_of(draw, orders, flickers)
        fair = drive.origin + max(0.0, t - drive.begin) * slope + name.impact
        bid = adapt(name, grid, fair, 1.0 + on * (drive.stress - 1.0), on * abs(slope))
        before = touch(book, tape)
        happen(kind, i, bid, book, name, drive, actions, step, rng, start_ns + ns, tape)
        if kind == SCRIPTED:
            step += 1
        elif kind != FLICKER:
            name.excitation += branching * decay
        shown = script or rng.random() < BOOK_SHARE
        ns = publish(book, name, rng, i, start_ns + ns, before, shown, tape) - start_ns
    name.excitation *= np.exp(-decay * max(0.0, 1.0 - t))


@allocating_kernel
def simulate_second(
    first: int,
    start_ns: int,
    grid: Any,
    books: Any,
    names: Any,
    drives: Any,
    actions: Any,
    bounds: Any,
    branching: float,
    decay: float,
    rng: Any,
    tape: Tape,
) -> int:
    """Simulate instruments `first`.. until one might not find room for its rows; returns the next instrument to do.

    start_ns : UTC nanoseconds of the second
    books : int64[instrument, 2, 3, DEPTH]; names : NAME[instrument]; drives : DRIVE[instrument]
    actions : ACTION[rows], by instrument, then time; those of instrument i are actions[bounds[i]:bounds[i + 1]]
    branching, decay : of the Hawkes process
    tape : needs room for MAX_EVENTS quotes and books, and 8 * MAX_EVENTS trades, beyond the actions' own
    """
    for i in range(first, len(drives)):
        room = MAX_EVENTS + bounds[i + 1] - bounds[i]
        if len(tape.trades) - tape.counts[0] < 8 * room or len(tape.quotes) - tape.counts[1] < room:
            return i
        if len(tape.books) - tape.counts[2] < room:
            return i
        if drives[i].mute == 0:
            one_second(
                i,
                start_ns,
                grid,
                books[i],
                names[i],
                drives[i],
                actions,
                bounds[i],
                bounds[i + 1],
                branching,
                decay,
                rng,
                tape,
            )
    return len(drives)
