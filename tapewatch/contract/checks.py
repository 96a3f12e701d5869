"""Which rows of a frame are refused, and why: compiled checks that the engine and the sinks share, so that all keep the
same rows.
"""

from enum import IntEnum

import numpy as np
import numpy.typing as npt

from tapewatch.clock import LATEST_NS
from tapewatch.contract.rows import BOOK_LEVELS, Condition, RowType, StatusKind
from tapewatch.kernels import kernel, spliced

Bytes = npt.NDArray[np.uint8]
Longs = npt.NDArray[np.int64]
Ints = npt.NDArray[np.int32]


class Reason(IntEnum):
    """Why a row is refused. The lower-case name is the dead-letter reason.

    Only replayed rows are sealed (sound, but their second is over: the engine passes over them, stores keep them) or
    early (the partition has not come to their second).
    """

    ACCEPTED = 0
    UNREGISTERED_INSTRUMENT = 1
    MALFORMED_INSTRUMENT = 2
    NOT_A_NUMBER = 3
    PRICE_NOT_POSITIVE = 4
    BAD_QUANTITY = 5
    CROSSED_QUOTE = 6
    CROSSED_BOOK = 7
    UNSORTED_BOOK = 8
    ABSURD_TS_EVENT = 9
    LATE = 10
    UNKNOWN_CODE = 11
    BAD_BAR = 12
    ABSURD_TS_RECV = 13
    SEALED = 14
    EARLY = 15
    WRONG_PARTITION = 16

    @property
    def label(self) -> str:
        """The dead-letter reason."""
        return self.name.lower()


UNREGISTERED, MALFORMED, EVERY, MISPLACED = -1, -2, -3, -4
"""Slots of dictionary entries that are not registered, not well-formed, `*`, or another partition's."""

FEED, CONTROL, REPLAY = 0, 1, 2
"""Who wrote a frame: the feed's writer; whoever changes what is in force; a replay of dead letters."""

MAX_SKEW_NS = 600_000_000_000
"""A row whose ts_event lies further from ts_recv is refused, and one whose ts_recv lies further ahead of the time at
which the broker took its record: it would carry the partition's clock away, and make every later row late.
"""

_SECOND = 1_000_000_000
_STATUS, _TRADE, _ORDER, _QUOTE, _BOOK, _BAR = (
    int(row_type)
    for row_type in (RowType.STATUS, RowType.TRADE, RowType.ORDER, RowType.QUOTE, RowType.BOOK, RowType.BAR)
)
_LAST_KIND = int(StatusKind.CONTROL)
_LAST_CONDITION = int(Condition.LATE)
(
    _UNREGISTERED,
    _MALFORMED,
    _NAN,
    _PRICE,
    _QTY,
    _CROSSED,
    _CROSSED_BOOK,
    _UNSORTED,
    _TS_EVENT,
    _LATE,
    _CODE,
    _BAD_BAR,
    _TS_RECV,
    _SEALED,
    _EARLY,
    _WRONG_PARTITION,
) = (int(reason) for reason in list(Reason)[1:])
LEVELS = BOOK_LEVELS


@kernel
def _finite(value: float) -> bool:
    """Whether a number is neither NaN nor infinite."""
    return value - value == 0.0


@kernel
def _quote(bid: float, bid_qty: float, ask: float, ask_qty: float, last: float, volume: float) -> int:
    """A quote's reason. An absent side is a NaN price with no quantity (zero or NaN); one side must be there."""
    has_bid, has_ask = _finite(bid), _finite(ask)
    if not has_bid and not (np.isnan(bid) and not bid_qty > 0.0):
        return _NAN
    if not has_ask and not (np.isnan(ask) and not ask_qty > 0.0):
        return _NAN
    if not has_bid and not has_ask:
        return _NAN
    if np.isinf(last) or np.isinf(volume):
        return _NAN
    if (has_bid and bid <= 0.0) or (has_ask and ask <= 0.0) or last <= 0.0:
        return _PRICE
    if (has_bid and not (bid_qty >= 0.0 and _finite(bid_qty))) or (
        has_ask and not (ask_qty >= 0.0 and _finite(ask_qty))
    ):
        return _QTY
    if volume < 0.0:
        return _QTY
    if has_bid and has_ask and bid > ask:
        return _CROSSED
    return 0


@kernel
def _trade(price: float, qty: float, side: int, condition: int) -> int:
    """A trade's reason."""
    if not _finite(price) or not _finite(qty):
        return _NAN
    if price <= 0.0:
        return _PRICE
    if qty <= 0.0:
        return _QTY
    if side < -1 or side > 1 or condition < 0 or condition > _LAST_CONDITION:
        return _CODE
    return 0


@kernel
def _side_of_book(price: npt.NDArray[np.float64], qty: npt.NDArray[np.float64], start: int, direction: float) -> int:
    """Reason of one side of a book: present levels first, best first (direction -1 for bids), quantities positive."""
    ended = False
    for level in range(start, start + LEVELS):
        if np.isnan(price[level]):
            ended = True
            continue
        if not _finite(price[level]):
            return _NAN
        if price[level] <= 0.0:
            return _PRICE
        if not (qty[level] > 0.0 and _finite(qty[level])):
            return _QTY
        if ended or (level > start and not (price[level] - price[level - 1]) * direction > 0.0):
            return _UNSORTED
    return 0


@kernel
def _bar(open_: float, high: float, low: float, close: float, volume: float, trades: int) -> int:
    """A bar's reason."""
    if not (_finite(open_) and _finite(high) and _finite(low) and _finite(close) and _finite(volume)):
        return _NAN
    if low <= 0.0:
        return _PRICE
    if volume < 0.0 or trades < 0:
        return _QTY
    if low > min(open_, close) or high < max(open_, close):
        return _BAD_BAR
    return 0


@spliced
def floats(buffer: Bytes, at: int, count: int) -> npt.NDArray[np.float64]:
    """`count` float64 values that lie at a byte position."""
    return buffer[at : at + 8 * count].view(np.float64)


@spliced
def int8s(buffer: Bytes, at: int, count: int) -> npt.NDArray[np.int8]:
    """`count` int8 values that lie at a byte position."""
    return buffer[at : at + count].view(np.int8)


@kernel
def _content(  # noqa: C901 - one branch a row type
    row_type: int, buffer: Bytes, offsets: Longs, rows: int, reasons: Bytes
) -> None:
    """Fill the reasons that follow from a row's own values (not from its instrument or time)."""
    if row_type == _QUOTE:
        bid, bid_qty = floats(buffer, offsets[3], rows), floats(buffer, offsets[4], rows)
        ask, ask_qty = floats(buffer, offsets[5], rows), floats(buffer, offsets[6], rows)
        last, volume = floats(buffer, offsets[7], rows), floats(buffer, offsets[8], rows)
        for row in range(rows):
            reasons[row] = _quote(bid[row], bid_qty[row], ask[row], ask_qty[row], last[row], volume[row])
    elif row_type == _TRADE:
        price, qty = floats(buffer, offsets[3], rows), floats(buffer, offsets[4], rows)
        side, condition = int8s(buffer, offsets[5], rows), int8s(buffer, offsets[6], rows)
        for row in range(rows):
            reasons[row] = _trade(price[row], qty[row], side[row], condition[row])
    elif row_type == _BOOK:
        bids, bid_qtys = floats(buffer, offsets[4], rows * LEVELS), floats(buffer, offsets[5], rows * LEVELS)
        asks, ask_qtys = floats(buffer, offsets[6], rows * LEVELS), floats(buffer, offsets[7], rows * LEVELS)
        for row in range(rows):
            first = row * LEVELS
            reason = _side_of_book(bids, bid_qtys, first, -1.0)
            if reason == 0:
                reason = _side_of_book(asks, ask_qtys, first, 1.0)
            if reason == 0 and bids[first] > asks[first]:
                reason = _CROSSED_BOOK
            reasons[row] = reason
    elif row_type == _ORDER:
        action, side = int8s(buffer, offsets[3], rows), int8s(buffer, offsets[4], rows)
        prices, qtys = floats(buffer, offsets[5], rows), floats(buffer, offsets[6], rows)
        for row in range(rows):
            bad_code = action[row] < 1 or action[row] > 4 or (side[row] != 1 and side[row] != -1)
            reasons[row] = _CODE if bad_code else _trade(prices[row], qtys[row], 0, 0)
    elif row_type == _BAR:
        opens, highs = floats(buffer, offsets[5], rows), floats(buffer, offsets[6], rows)
        lows, closes = floats(buffer, offsets[7], rows), floats(buffer, offsets[8], rows)
        volumes = floats(buffer, offsets[9], rows)
        trades = buffer[offsets[10] : offsets[10] + 8 * rows].view(np.int64)
        for row in range(rows):
            reasons[row] = _bar(opens[row], highs[row], lows[row], closes[row], volumes[row], trades[row])
    else:
        kinds = int8s(buffer, offsets[3], rows)
        for row in range(rows):
            reasons[row] = _CODE if kinds[row] < 1 or kinds[row] > _LAST_KIND else 0


@kernel
def check(
    row_type: int, buffer: Bytes, offsets: Longs, rows: int, slots: Ints, writer: int, latest: int, clock: Longs,
    reasons: Bytes,
) -> int:  # fmt: skip
    """Fill `reasons` for a frame's rows and move the partition's clock; returns how many rows are refused.

    buffer, offsets, rows : a frame's View; slots : int32[dictionary], slot of each entry or a negative code above
    writer : FEED; CONTROL, whose ts_recv does not move the clock and is never late; REPLAY, which does not move it
    either and counts only in the partition's newest second
    latest : the newest ts_recv that is believed, UTC nanoseconds
    clock : int64[1], the newest second of ts_recv in the log, in and out; reasons : uint8[rows] out
    """
    _content(row_type, buffer, offsets, rows, reasons)
    codes = buffer[offsets[0] : offsets[0] + 4 * rows].view(np.int32)
    ts_event = buffer[offsets[1] : offsets[1] + 8 * rows].view(np.int64)
    ts_recv = buffer[offsets[2] : offsets[2] + 8 * rows].view(np.int64)
    refused = 0
    for row in range(rows):
        slot = slots[codes[row]]
        reason = int(reasons[row])
        if slot == MALFORMED or (slot == EVERY and row_type != _STATUS):
            reason = _MALFORMED
        elif slot == UNREGISTERED:
            reason = _UNREGISTERED
        elif slot == MISPLACED:
            reason = _WRONG_PARTITION
        elif reason == 0:
            if ts_recv[row] <= 0 or ts_recv[row] > latest:
                reason = _TS_RECV
            elif ts_event[row] <= 0 or ts_event[row] > LATEST_NS or abs(ts_event[row] - ts_recv[row]) > MAX_SKEW_NS:
                reason = _TS_EVENT
            elif writer == REPLAY:
                second = ts_recv[row] // _SECOND
                reason = 0 if second == clock[0] else (_SEALED if second < clock[0] else _EARLY)
            elif writer == FEED:
                second = ts_recv[row] // _SECOND
                if second < clock[0]:
                    reason = _LATE
                else:
                    clock[0] = second
        reasons[row] = reason
        refused += reason != 0
    return refused
