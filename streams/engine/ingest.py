"""Taking rows in: every accepted row updates its instrument's accumulators; a row of a later second first closes those
before it.
"""

import numpy as np
import numpy.typing as npt

from detectors.book import flow
from detectors.pumps.features import buy
from streams.engine import output, state
from streams.engine.decisions import end_session, keep_quote
from streams.engine.observations import on_order, on_print
from streams.engine.output import Output, opened
from streams.engine.second_close import advance, cover
from streams.engine.state import State
from streams.engine.windows import restart_windows
from tapewatch.contract.checks import LEVELS, floats, int8s
from tapewatch.contract.rows import Condition, RowType, StatusKind
from tapewatch.kernels import inlined, kernel

F8 = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]
Longs = npt.NDArray[np.int64]
Ints = npt.NDArray[np.int32]

NEAR_TOUCH = 5
"""Levels a side within which added and removed depth counts."""

_SECOND, _MILLISECOND = 1_000_000_000, 1_000_000
_STATUS, _TRADE, _ORDER, _QUOTE, _BOOK, _BAR = (
    int(row_type)
    for row_type in (RowType.STATUS, RowType.TRADE, RowType.ORDER, RowType.QUOTE, RowType.BOOK, RowType.BAR)
)
_REGULAR, _AUCTION_TRADE = int(Condition.REGULAR), int(Condition.AUCTION)
_OPEN, _CLOSE, _AUCTION, _HALT, _RESUME, _HEARTBEAT, _GAP, _, _CONTROL = (int(kind) for kind in StatusKind)


@inlined
def _order_flow(a: F8, bid: float, bid_qty: float, ask: float, ask_qty: float) -> float:
    """Signed depth change at the touch (Cont, Kukanov & Stoikov 2014, eq. 2); 0 on the first two-sided quote."""
    if not (a[state.BID] > 0.0 and a[state.ASK] > 0.0 and bid > 0.0 and ask > 0.0):
        return 0.0
    flow = 0.0
    if bid >= a[state.BID]:
        flow += bid_qty
    if bid <= a[state.BID]:
        flow -= a[state.BID_QTY]
    if ask <= a[state.ASK]:
        flow -= ask_qty
    if ask >= a[state.ASK]:
        flow += a[state.ASK_QTY]
    return flow


@inlined
def _depth_change(a: F8, change: float, traded_field: int) -> None:
    """Count a change of visible quantity; what trades took since the last look explains a removal."""
    if change > 0.0:
        a[state.ADDED] += change
        return
    explained = min(-change, a[traded_field])
    a[traded_field] -= explained
    a[state.REMOVED] += -change - explained


@inlined
def _touch(a: F8, bid: float, bid_qty: float, ask: float, ask_qty: float) -> None:
    """Take a new best bid and ask (NaN where a side is absent)."""
    a[state.OFI] += _order_flow(a, bid, bid_qty, ask, ask_qty)
    a[state.RAISED] += 1.0 if bid > a[state.BID] else 0.0
    a[state.LOWERED] += 1.0 if ask < a[state.ASK] else 0.0
    a[state.BID], a[state.ASK] = bid, ask
    a[state.BID_QTY] = bid_qty if bid > 0.0 else 0.0
    a[state.ASK_QTY] = ask_qty if ask > 0.0 else 0.0


@inlined
def _on_quote(a: F8, bid: float, bid_qty: float, ask: float, ask_qty: float, last: float, volume: float) -> None:
    """A quote row."""
    if a[state.HAS_BOOK] == 0.0:
        if bid == a[state.BID]:
            _depth_change(a, bid_qty - a[state.BID_QTY], state.SOLD_SINCE)
        if ask == a[state.ASK]:
            _depth_change(a, ask_qty - a[state.ASK_QTY], state.BOUGHT_SINCE)
        a[state.SOLD_SINCE] = a[state.BOUGHT_SINCE] = 0.0
    _touch(a, bid, bid_qty, ask, ask_qty)
    a[state.HAS_QUOTE] = 1.0
    a[state.QUOTES] += 1.0
    if a[state.HAS_TRADE] == 1.0 or np.isnan(last):
        a[state.CUM_VOLUME] = volume
        return
    # A feed without trade rows: the session's cumulative volume tells what was traded since the last quote.
    traded = volume - a[state.CUM_VOLUME]
    a[state.CUM_VOLUME] = volume
    a[state.LAST] = last
    if traded > 0.0:
        a[state.HAS_TRADE] = 2.0
        side = 1 if last >= ask else (-1 if last <= bid else 0)
        _count_trade(a, last, traded, side)


@inlined
def _count_trade(a: F8, price: float, qty: float, side: int) -> None:
    """Add a trade to second, session and minute."""
    a[state.LAST] = price
    a[state.HIGH] = max(a[state.HIGH], price)
    a[state.LOW] = min(a[state.LOW], price) if a[state.LOW] > 0.0 else price
    a[state.VOL] += qty
    a[state.CNT] += 1.0
    a[state.SGN] += qty * side
    a[state.NOTIONAL] += price * qty
    a[state.SES_NOTIONAL] += price * qty
    a[state.SES_VOLUME] += qty
    if side > 0:
        a[state.BOUGHT_SINCE] += qty
    elif side < 0:
        a[state.SOLD_SINCE] += qty
    if np.isnan(a[state.BAR_OPEN]):
        a[state.BAR_OPEN] = a[state.BAR_HIGH] = a[state.BAR_LOW] = price
    a[state.BAR_HIGH], a[state.BAR_LOW] = max(a[state.BAR_HIGH], price), min(a[state.BAR_LOW], price)
    a[state.BAR_CLOSE] = price
    a[state.BAR_VOLUME] += qty
    a[state.BAR_TRADES] += 1.0
    a[state.BAR_BUYS] += 1.0 if side > 0 else 0.0
    a[state.BAR_SELLS] += 1.0 if side < 0 else 0.0


@inlined
def _on_trade(
    S: State, i: int, price: float, qty: float, side: int, condition: int, ts_event: int, ts_recv: int
) -> None:
    """A trade row; only regular and auction trades move prices and volumes."""
    if condition != _REGULAR and condition != _AUCTION_TRADE:
        return
    a = S.acc[i]
    a[state.HAS_TRADE] = 1.0
    millisecond = ts_event // _MILLISECOND
    if condition == _AUCTION_TRADE:
        side = 0
    elif side == 0:
        # Unknown aggressor: the quote rule (Lee & Ready 1991).
        side = 1 if price >= a[state.ASK] else (-1 if price <= a[state.BID] else 0)
    if side > 0:
        a[state.BUYS] += 1.0
        buy(S.pumps[i], price, price * qty, millisecond)
        if millisecond != a[state.LAST_BUY_MS]:
            a[state.RUSH] += 1.0
            a[state.LAST_BUY_MS] = millisecond
    if a[state.HAS_BOOK] > 0.0:
        flow.on_trade(S.flow[i], price, qty, side, ts_recv)
    on_print(a, S.tape[i], price, qty, side, millisecond)
    _count_trade(a, price, qty, side)


@kernel
def _side_change(a: F8, old: F8, prices: F8, qtys: F8, first: int, side: int, traded_field: int) -> None:
    """Depth added and removed within the near touch of one side, level by level at equal prices.

    old : float64[40], the last book; side : 0 bids, 1 asks. Levels are walked from the best price on; where one book
    ends, its last level bounds what can be compared.
    """
    start = side * 2 * LEVELS
    direction = -1.0 if side == 0 else 1.0
    i = j = 0
    while i < NEAR_TOUCH and j < NEAR_TOUCH:
        was, now = old[start + i], prices[first + j]
        if np.isnan(was) or np.isnan(now):
            return
        if was == now:
            _depth_change(a, qtys[first + j] - old[start + LEVELS + i], traded_field)
            i += 1
            j += 1
        elif (now - was) * direction < 0.0:
            _depth_change(a, qtys[first + j], traded_field)
            j += 1
        else:
            _depth_change(a, -old[start + LEVELS + i], traded_field)
            i += 1


@kernel
def _on_book(a: F8, old: F8, bids: F8, bid_qtys: F8, asks: F8, ask_qtys: F8, first: int) -> None:
    """A book row: ten levels a side, absent ones NaN."""
    if a[state.HAS_BOOK] > 0.0:
        _side_change(a, old, bids, bid_qtys, first, 0, state.SOLD_SINCE)
        _side_change(a, old, asks, ask_qtys, first, 1, state.BOUGHT_SINCE)
    else:
        a[state.ADDED] = a[state.REMOVED] = 0.0
    a[state.SOLD_SINCE] = a[state.BOUGHT_SINCE] = 0.0
    a[state.HAS_BOOK] = 1.0
    a[state.QUOTES] += 1.0
    a[state.BID5] = a[state.ASK5] = a[state.BID10] = a[state.ASK10] = 0.0
    for level in range(LEVELS):
        bid, bid_qty, ask, ask_qty = (
            bids[first + level],
            bid_qtys[first + level],
            asks[first + level],
            ask_qtys[first + level],
        )
        old[level], old[LEVELS + level], old[2 * LEVELS + level], old[3 * LEVELS + level] = bid, bid_qty, ask, ask_qty
        bid_here, ask_here = bid_qty if bid > 0.0 else 0.0, ask_qty if ask > 0.0 else 0.0
        a[state.BID10] += bid_here
        a[state.ASK10] += ask_here
        if level < NEAR_TOUCH:
            a[state.BID5] += bid_here
            a[state.ASK5] += ask_here
    if a[state.HAS_QUOTE] == 0.0:
        _touch(a, bids[first], bid_qtys[first], asks[first], ask_qtys[first])


@inlined
def _on_bar(a: F8, open_: float, high: float, low: float, close: float, volume: float, trades: int) -> None:
    """A venue's own bar: its close is the price, its volume was traded when it ends."""
    a[state.HAS_TRADE] = 1.0
    a[state.LAST] = close
    a[state.VOL] += volume
    a[state.CNT] += max(trades, 1) if volume > 0.0 else 0
    a[state.NOTIONAL] += close * volume
    a[state.SES_NOTIONAL] += close * volume
    a[state.SES_VOLUME] += volume
    if np.isnan(a[state.BAR_OPEN]):
        a[state.BAR_OPEN], a[state.BAR_HIGH], a[state.BAR_LOW] = open_, high, low
    a[state.BAR_HIGH], a[state.BAR_LOW] = max(a[state.BAR_HIGH], high), min(a[state.BAR_LOW], low)
    a[state.BAR_CLOSE] = close
    a[state.BAR_VOLUME] += volume
    a[state.BAR_TRADES] += trades


@inlined
def _new_session(a: F8) -> None:
    """Forget what belongs to one session."""
    a[state.SES_NOTIONAL] = a[state.SES_VOLUME] = 0.0
    a[state.SES_HIGH] = a[state.SES_LOW] = a[state.CUM_VOLUME] = np.nan


@inlined
def _lose_sight(out: Output, a: F8, i: int, second: int, offset: int) -> None:
    """A gap: nobody knows what is missed until the instrument's next row, and silence is not quiet."""
    restart_windows(a)
    if a[state.PHASE_OF] != state.UNWATCHED:
        cover(out, i, second, second + 1, output.GAP, offset, 1)
    if a[state.PHASE_OF] == state.ACTIVE:
        a[state.PHASE_OF], a[state.HALTED_SINCE] = state.UNWATCHED, second


@inlined
def _watch_again(out: Output, a: F8, i: int, second: int, offset: int) -> None:
    """A gap is over: the seconds behind its own were not watched either, and windows begin anew."""
    if second > a[state.HALTED_SINCE] + 1:
        cover(out, i, int(a[state.HALTED_SINCE]) + 1, second, output.GAP, offset, 1)
    a[state.PHASE_OF] = state.ACTIVE
    restart_windows(a)


@inlined
def _end_halt(out: Output, a: F8, i: int, second: int, offset: int) -> None:
    """Record what was not watched while the instrument was halted, when it trades again or its session ends."""
    if a[state.PHASE_OF] == state.HALTED and second > a[state.HALTED_SINCE]:
        cover(out, i, int(a[state.HALTED_SINCE]), second, output.HALT, offset, 1)


@kernel
def _on_status(context: Longs, i: int, kind: int, second: int, offset: int, closes: int) -> None:
    """A status row of one instrument: its phase, when its session began and ends, and what was not watched while it was
    halted. closes : second of the epoch at which the session will end, 0 where that is not known
    """
    S, detectors, out = opened(context)
    a = S.acc[i]
    if kind == _GAP:
        _lose_sight(out, a, i, second, offset)
        return
    if a[state.PHASE_OF] == state.UNWATCHED:
        _watch_again(out, a, i, second, offset)
    if kind == _HALT:
        if a[state.PHASE_OF] != state.HALTED:
            a[state.PHASE_OF], a[state.HALTED_SINCE] = state.HALTED, second
    elif kind == _CLOSE:
        _end_halt(out, a, i, second, offset)
        a[state.PHASE_OF] = state.CLOSED
        if detectors.decide:
            end_session(a, S.virtual[i])
    elif kind in (_OPEN, _RESUME, _AUCTION):
        _end_halt(out, a, i, second, offset)
        if a[state.PHASE_OF] == state.CLOSED or a[state.PHASE_OF] == state.PRE:
            _new_session(a)
        if a[state.PHASE_OF] == state.HALTED or a[state.PHASE_OF] == state.CLOSED:
            restart_windows(a)
        if kind == _OPEN:
            a[state.OPENED_AT], a[state.CLOSES_AT] = second, closes if closes > 0 else np.nan
        a[state.PHASE_OF] = state.IN_AUCTION if kind == _AUCTION else state.ACTIVE


@inlined
def _wake(S: State, i: int) -> None:
    """A market row of an instrument that no status row has opened opens it, unless the whole partition is closed or
    halted.
    """
    a = S.acc[i]
    if a[state.PHASE_OF] == state.PRE:
        a[state.PHASE_OF] = state.ACTIVE if S.clock[state.PHASE] == state.PRE else S.clock[state.PHASE]
        a[state.HALTED_SINCE] = S.clock[state.SECOND]


@kernel
def ingest(  # noqa: C901 - one branch a row type; the calls are inlined in any case
    row_type: int, buffer: Bytes, offsets: Longs, rows: int, start: int, slots: Ints, reasons: Bytes, offset: int,
    strings: Longs, context: Longs,
) -> int:  # fmt: skip
    """Take a frame's accepted rows in, from row `start` on; returns the next row.

    buffer, offsets, rows : the frame's View; slots : int32[dictionary]; reasons : uint8[rows], 0 where a row counts
    offset : the record's offset, named as cause in what the kernel writes
    strings : int64[rows], what was read from texts: of status rows the close that they name, seconds of the epoch, 0
    where none does; of order rows a hash of the order's id; empty for other types, and where no text tells anything
    context : words of a bundle of `KernelContext`
    Stops early when `out` is full (counts[FULL], call again after draining) or behind a control row (counts[CONTROL]).
    """
    S, _, out = opened(context)
    codes = buffer[offsets[0] : offsets[0] + 4 * rows].view(np.int32)
    ts_event = buffer[offsets[1] : offsets[1] + 8 * rows].view(np.int64)
    ts_recv = buffer[offsets[2] : offsets[2] + 8 * rows].view(np.int64)
    wide = LEVELS if row_type == _BOOK else 1
    none = buffer[0:0].view(np.float64)
    c3 = c4 = c5 = c6 = c7 = c8 = c9 = none
    b3 = b5 = b6 = buffer[0:0].view(np.int8)
    trades = buffer[0:0].view(np.int64)
    if row_type == _QUOTE:
        c3, c4 = floats(buffer, offsets[3], rows), floats(buffer, offsets[4], rows)
        c5 = floats(buffer, offsets[5], rows)
        c6, c7 = floats(buffer, offsets[6], rows), floats(buffer, offsets[7], rows)
        c8 = floats(buffer, offsets[8], rows)
    elif row_type == _TRADE:
        c3, c4 = floats(buffer, offsets[3], rows), floats(buffer, offsets[4], rows)
        b5, b6 = (
            int8s(buffer, offsets[5], rows),
            int8s(buffer, offsets[6], rows),
        )
    elif row_type == _BOOK:
        c4, c5 = floats(buffer, offsets[4], rows * wide), floats(buffer, offsets[5], rows * wide)
        c6, c7 = floats(buffer, offsets[6], rows * wide), floats(buffer, offsets[7], rows * wide)
    elif row_type == _BAR:
        c5, c6 = floats(buffer, offsets[5], rows), floats(buffer, offsets[6], rows)
        c7 = floats(buffer, offsets[7], rows)
        c8, c9 = floats(buffer, offsets[8], rows), floats(buffer, offsets[9], rows)
        trades = buffer[offsets[10] : offsets[10] + 8 * rows].view(np.int64)
    elif row_type in (_STATUS, _ORDER):
        b3 = int8s(buffer, offsets[3], rows)
        c6 = floats(buffer, offsets[6], rows) if row_type == _ORDER else none
    clock = S.clock
    for row in range(start, rows):
        if reasons[row] != 0:
            continue
        if row_type == _STATUS and b3[row] == _CONTROL:
            out.counts[output.CONTROL] = 1
            return row + 1
        second = ts_recv[row] // _SECOND
        if second > clock[state.SECOND] and not advance(context, second, offset):
            return row
        clock[state.NEWEST] = max(clock[state.NEWEST], ts_recv[row])
        i = int(slots[codes[row]])
        if row_type == _STATUS:
            kind = int(b3[row])
            if kind == _HEARTBEAT:
                continue
            if out.counts[output.COVERAGE] + clock[state.COUNT] > out.coverage.shape[1]:
                out.counts[output.FULL] = 1
                return row
            closes = strings[row] if strings.size > 0 else 0
            if i >= 0:
                _on_status(context, i, kind, second, offset, closes)
                continue
            for each in range(clock[state.COUNT]):
                _on_status(context, each, kind, second, offset, closes)
            if kind in (_OPEN, _RESUME):
                clock[state.PHASE] = state.ACTIVE
            elif kind == _AUCTION:
                clock[state.PHASE] = state.IN_AUCTION
            elif kind == _HALT:
                clock[state.PHASE] = state.HALTED
            elif kind == _CLOSE:
                clock[state.PHASE] = state.CLOSED
            continue
        a = S.acc[i]
        if a[state.PHASE_OF] == state.UNWATCHED:
            if out.counts[output.COVERAGE] >= out.coverage.shape[1]:
                out.counts[output.FULL] = 1
                return row
            _watch_again(out, a, i, second, offset)
        _wake(S, i)
        if row_type == _QUOTE:
            if a[state.HAS_BOOK] > 0.0:
                flow.on_quote(S.flow[i], c3[row], c4[row], c5[row], c6[row], ts_recv[row])
            _on_quote(a, c3[row], c4[row], c5[row], c6[row], c7[row], c8[row])
            if a[state.AWAITED] > 0.0:
                keep_quote(a, S.virtual[i, state.TERMS])
        elif row_type == _TRADE:
            _on_trade(S, i, c3[row], c4[row], b5[row], b6[row], ts_event[row], ts_recv[row])
        elif row_type == _ORDER:
            order = strings[row] if strings.size > 0 else 0
            on_order(a, S.resting[i], b3[row], c6[row], order, ts_event[row] // _MILLISECOND)
        elif row_type == _BOOK:
            flow.on_book(S.flow[i], S.book[i], c4, c5, c6, c7, row * LEVELS, ts_recv[row])
            _on_book(a, S.book[i], c4, c5, c6, c7, row * LEVELS)
            if a[state.AWAITED] > 0.0 and a[state.HAS_QUOTE] == 0.0:
                keep_quote(a, S.virtual[i, state.TERMS])
        elif row_type == _BAR:
            _on_bar(a, c5[row], c6[row], c7[row], c8[row], c9[row], trades[row])
    return rows
