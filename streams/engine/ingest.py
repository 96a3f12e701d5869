"""Taking rows in: every accepted row updates its instrument's accumulators; a row of a later second first closes those
before it.
"""

import numpy as np
import numpy.typing as npt

from detectors.book import flow
from detectors.pumps.features import buy
from streams.engine import output as o
from streams.engine import state as s
from streams.engine.decisions import end_session, keep_quote
from streams.engine.kernel_context import opened
from streams.engine.observations import on_order, on_print
from streams.engine.output import Output
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
    if not (a[s.BID] > 0.0 and a[s.ASK] > 0.0 and bid > 0.0 and ask > 0.0):
        return 0.0
    flow = 0.0
    if bid >= a[s.BID]:
        flow += bid_qty
    if bid <= a[s.BID]:
        flow -= a[s.BID_QTY]
    if ask <= a[s.ASK]:
        flow -= ask_qty
    if ask >= a[s.ASK]:
        flow += a[s.ASK_QTY]
    return flow


@inlined
def _depth_change(a: F8, change: float, traded_field: int) -> None:
    """Count a change of visible quantity; what trades took since the last look explains a removal."""
    if change > 0.0:
        a[s.ADDED] += change
        return
    explained = min(-change, a[traded_field])
    a[traded_field] -= explained
    a[s.REMOVED] += -change - explained


@inlined
def _touch(a: F8, bid: float, bid_qty: float, ask: float, ask_qty: float) -> None:
    """Take a new best bid and ask (NaN where a side is absent)."""
    a[s.OFI] += _order_flow(a, bid, bid_qty, ask, ask_qty)
    a[s.RAISED] += 1.0 if bid > a[s.BID] else 0.0
    a[s.LOWERED] += 1.0 if ask < a[s.ASK] else 0.0
    a[s.BID], a[s.ASK] = bid, ask
    a[s.BID_QTY] = bid_qty if bid > 0.0 else 0.0
    a[s.ASK_QTY] = ask_qty if ask > 0.0 else 0.0


@inlined
def _on_quote(a: F8, bid: float, bid_qty: float, ask: float, ask_qty: float, last: float, volume: float) -> None:
    """A quote row."""
    if a[s.HAS_BOOK] == 0.0:
        if bid == a[s.BID]:
            _depth_change(a, bid_qty - a[s.BID_QTY], s.SOLD_SINCE)
        if ask == a[s.ASK]:
            _depth_change(a, ask_qty - a[s.ASK_QTY], s.BOUGHT_SINCE)
        a[s.SOLD_SINCE] = a[s.BOUGHT_SINCE] = 0.0
    _touch(a, bid, bid_qty, ask, ask_qty)
    a[s.HAS_QUOTE] = 1.0
    a[s.QUOTES] += 1.0
    if a[s.HAS_TRADE] == 1.0 or np.isnan(last):
        a[s.CUM_VOLUME] = volume
        return
    # A feed without trade rows: the session's cumulative volume tells what was traded since the last quote.
    traded = volume - a[s.CUM_VOLUME]
    a[s.CUM_VOLUME] = volume
    a[s.LAST] = last
    if traded > 0.0:
        a[s.HAS_TRADE] = 2.0
        side = 1 if last >= ask else (-1 if last <= bid else 0)
        _count_trade(a, last, traded, side)


@inlined
def _count_trade(a: F8, price: float, qty: float, side: int) -> None:
    """Add a trade to second, session and minute."""
    a[s.LAST] = price
    a[s.HIGH] = max(a[s.HIGH], price)
    a[s.LOW] = min(a[s.LOW], price) if a[s.LOW] > 0.0 else price
    a[s.VOL] += qty
    a[s.CNT] += 1.0
    a[s.SGN] += qty * side
    a[s.NOTIONAL] += price * qty
    a[s.SES_NOTIONAL] += price * qty
    a[s.SES_VOLUME] += qty
    if side > 0:
        a[s.BOUGHT_SINCE] += qty
    elif side < 0:
        a[s.SOLD_SINCE] += qty
    if np.isnan(a[s.BAR_OPEN]):
        a[s.BAR_OPEN] = a[s.BAR_HIGH] = a[s.BAR_LOW] = price
    a[s.BAR_HIGH], a[s.BAR_LOW], a[s.BAR_CLOSE] = max(a[s.BAR_HIGH], price), min(a[s.BAR_LOW], price), price
    a[s.BAR_VOLUME] += qty
    a[s.BAR_TRADES] += 1.0
    a[s.BAR_BUYS] += 1.0 if side > 0 else 0.0
    a[s.BAR_SELLS] += 1.0 if side < 0 else 0.0


@inlined
def _on_trade(
    S: State, i: int, price: float, qty: float, side: int, condition: int, ts_event: int, ts_recv: int
) -> None:
    """A trade row; only regular and auction trades move prices and volumes."""
    if condition != _REGULAR and condition != _AUCTION_TRADE:
        return
    a = S.acc[i]
    a[s.HAS_TRADE] = 1.0
    millisecond = ts_event // _MILLISECOND
    if condition == _AUCTION_TRADE:
        side = 0
    elif side == 0:
        # Unknown aggressor: the quote rule (Lee & Ready 1991).
        side = 1 if price >= a[s.ASK] else (-1 if price <= a[s.BID] else 0)
    if side > 0:
        a[s.BUYS] += 1.0
        buy(S.pumps[i], price, price * qty, millisecond)
        if millisecond != a[s.LAST_BUY_MS]:
            a[s.RUSH] += 1.0
            a[s.LAST_BUY_MS] = millisecond
    if a[s.HAS_BOOK] > 0.0:
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
    if a[s.HAS_BOOK] > 0.0:
        _side_change(a, old, bids, bid_qtys, first, 0, s.SOLD_SINCE)
        _side_change(a, old, asks, ask_qtys, first, 1, s.BOUGHT_SINCE)
    else:
        a[s.ADDED] = a[s.REMOVED] = 0.0
    a[s.SOLD_SINCE] = a[s.BOUGHT_SINCE] = 0.0
    a[s.HAS_BOOK] = 1.0
    a[s.QUOTES] += 1.0
    a[s.BID5] = a[s.ASK5] = a[s.BID10] = a[s.ASK10] = 0.0
    for level in range(LEVELS):
        bid, bid_qty, ask, ask_qty = (
            bids[first + level],
            bid_qtys[first + level],
            asks[first + level],
            ask_qtys[first + level],
        )
        old[level], old[LEVELS + level], old[2 * LEVELS + level], old[3 * LEVELS + level] = bid, bid_qty, ask, ask_qty
        bid_here, ask_here = bid_qty if bid > 0.0 else 0.0, ask_qty if ask > 0.0 else 0.0
        a[s.BID10] += bid_here
        a[s.ASK10] += ask_here
        if level < NEAR_TOUCH:
            a[s.BID5] += bid_here
            a[s.ASK5] += ask_here
    if a[s.HAS_QUOTE] == 0.0:
        _touch(a, bids[first], bid_qtys[first], asks[first], ask_qtys[first])


@inlined
def _on_bar(a: F8, open_: float, high: float, low: float, close: float, volume: float, trades: int) -> None:
    """A venue's own bar: its close is the price, its volume was traded when it ends."""
    a[s.HAS_TRADE] = 1.0
    a[s.LAST] = close
    a[s.VOL] += volume
    a[s.CNT] += max(trades, 1) if volume > 0.0 else 0
    a[s.NOTIONAL] += close * volume
    a[s.SES_NOTIONAL] += close * volume
    a[s.SES_VOLUME] += volume
    if np.isnan(a[s.BAR_OPEN]):
        a[s.BAR_OPEN], a[s.BAR_HIGH], a[s.BAR_LOW] = open_, high, low
    a[s.BAR_HIGH], a[s.BAR_LOW], a[s.BAR_CLOSE] = max(a[s.BAR_HIGH], high), min(a[s.BAR_LOW], low), close
    a[s.BAR_VOLUME] += volume
    a[s.BAR_TRADES] += trades


@inlined
def _new_session(a: F8) -> None:
    """Forget what belongs to one session."""
    a[s.SES_NOTIONAL] = a[s.SES_VOLUME] = 0.0
    a[s.SES_HIGH] = a[s.SES_LOW] = a[s.CUM_VOLUME] = np.nan


@inlined
def _lose_sight(out: Output, a: F8, i: int, second: int, offset: int) -> None:
    """A gap: nobody knows what is missed until the instrument's next row, and silence is not quiet."""
    restart_windows(a)
    if a[s.PHASE_OF] != s.UNWATCHED:
        cover(out, i, second, second + 1, o.GAP, offset, 1)
    if a[s.PHASE_OF] == s.ACTIVE:
        a[s.PHASE_OF], a[s.HALTED_SINCE] = s.UNWATCHED, second


@inlined
def _watch_again(out: Output, a: F8, i: int, second: int, offset: int) -> None:
    """A gap is over: the seconds behind its own were not watched either, and windows begin anew."""
    if second > a[s.HALTED_SINCE] + 1:
        cover(out, i, int(a[s.HALTED_SINCE]) + 1, second, o.GAP, offset, 1)
    a[s.PHASE_OF] = s.ACTIVE
    restart_windows(a)


@inlined
def _end_halt(out: Output, a: F8, i: int, second: int, offset: int) -> None:
    """Record what was not watched while the instrument was halted, when it trades again or its session ends."""
    if a[s.PHASE_OF] == s.HALTED and second > a[s.HALTED_SINCE]:
        cover(out, i, int(a[s.HALTED_SINCE]), second, o.HALT, offset, 1)


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
    if a[s.PHASE_OF] == s.UNWATCHED:
        _watch_again(out, a, i, second, offset)
    if kind == _HALT:
        if a[s.PHASE_OF] != s.HALTED:
            a[s.PHASE_OF], a[s.HALTED_SINCE] = s.HALTED, second
    elif kind == _CLOSE:
        _end_halt(out, a, i, second, offset)
        a[s.PHASE_OF] = s.CLOSED
        if detectors.decide:
            end_session(a, S.virtual[i])
    elif kind in (_OPEN, _RESUME, _AUCTION):
        _end_halt(out, a, i, second, offset)
        if a[s.PHASE_OF] == s.CLOSED or a[s.PHASE_OF] == s.PRE:
            _new_session(a)
        if a[s.PHASE_OF] == s.HALTED or a[s.PHASE_OF] == s.CLOSED:
            restart_windows(a)
        if kind == _OPEN:
            a[s.OPENED_AT], a[s.CLOSES_AT] = second, closes if closes > 0 else np.nan
        a[s.PHASE_OF] = s.IN_AUCTION if kind == _AUCTION else s.ACTIVE


@inlined
def _wake(S: State, i: int) -> None:
    """A market row of an instrument that no status row has opened opens it, unless the whole partition is closed or
    halted.
    """
    a = S.acc[i]
    if a[s.PHASE_OF] == s.PRE:
        a[s.PHASE_OF] = s.ACTIVE if S.clock[s.PHASE] == s.PRE else S.clock[s.PHASE]
        a[s.HALTED_SINCE] = S.clock[s.SECOND]


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
        c3, c4, c5 = (
            floats(buffer, offsets[3], rows),
            floats(buffer, offsets[4], rows),
            floats(buffer, offsets[5], rows),
        )
        c6, c7, c8 = (
            floats(buffer, offsets[6], rows),
            floats(buffer, offsets[7], rows),
            floats(buffer, offsets[8], rows),
        )
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
        c5, c6, c7 = (
            floats(buffer, offsets[5], rows),
            floats(buffer, offsets[6], rows),
            floats(buffer, offsets[7], rows),
        )
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
            out.counts[o.CONTROL] = 1
            return row + 1
        second = ts_recv[row] // _SECOND
        if second > clock[s.SECOND] and not advance(context, second, offset):
            return row
        clock[s.NEWEST] = max(clock[s.NEWEST], ts_recv[row])
        i = int(slots[codes[row]])
        if row_type == _STATUS:
            kind = int(b3[row])
            if kind == _HEARTBEAT:
                continue
            if out.counts[o.COVERAGE] + clock[s.COUNT] > out.coverage.shape[1]:
                out.counts[o.FULL] = 1
                return row
            closes = strings[row] if strings.size > 0 else 0
            if i >= 0:
                _on_status(context, i, kind, second, offset, closes)
                continue
            for each in range(clock[s.COUNT]):
                _on_status(context, each, kind, second, offset, closes)
            if kind in (_OPEN, _RESUME):
                clock[s.PHASE] = s.ACTIVE
            elif kind == _AUCTION:
                clock[s.PHASE] = s.IN_AUCTION
            elif kind == _HALT:
                clock[s.PHASE] = s.HALTED
            elif kind == _CLOSE:
                clock[s.PHASE] = s.CLOSED
            continue
        a = S.acc[i]
        if a[s.PHASE_OF] == s.UNWATCHED:
            if out.counts[o.COVERAGE] >= out.coverage.shape[1]:
                out.counts[o.FULL] = 1
                return row
            _watch_again(out, a, i, second, offset)
        _wake(S, i)
        if row_type == _QUOTE:
            if a[s.HAS_BOOK] > 0.0:
                flow.on_quote(S.flow[i], c3[row], c4[row], c5[row], c6[row], ts_recv[row])
            _on_quote(a, c3[row], c4[row], c5[row], c6[row], c7[row], c8[row])
            if a[s.AWAITED] > 0.0:
                keep_quote(a, S.virtual[i, s.TERMS])
        elif row_type == _TRADE:
            _on_trade(S, i, c3[row], c4[row], b5[row], b6[row], ts_event[row], ts_recv[row])
        elif row_type == _ORDER:
            order = strings[row] if strings.size > 0 else 0
            on_order(a, S.resting[i], b3[row], c6[row], order, ts_event[row] // _MILLISECOND)
        elif row_type == _BOOK:
            flow.on_book(S.flow[i], S.book[i], c4, c5, c6, c7, row * LEVELS, ts_recv[row])
            _on_book(a, S.book[i], c4, c5, c6, c7, row * LEVELS)
            if a[s.AWAITED] > 0.0 and a[s.HAS_QUOTE] == 0.0:
                keep_quote(a, S.virtual[i, s.TERMS])
        elif row_type == _BAR:
            _on_bar(a, c5[row], c6[row], c7[row], c8[row], c9[row], trades[row])
    return rows
