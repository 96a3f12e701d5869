"""LOBSTER messages and books as contract rows (message types and marks: lobsterdata.com, "Output data structure")."""

import numpy as np

from producers.columns import columns_of, ten_levels
from producers.recordings.report import RecordingReport
from producers.recordings.series import never_back
from tapewatch.clock import NANOS
from tapewatch.rows import Column, Condition, OrderAction, Rows, RowType, StatusKind

PRICE_UNIT = 10_000.0
NO_LEVEL = 9_999_999_999
HIDDEN, CROSS, HALT = 5, 6, 7
_VISIBLE = int(OrderAction.EXECUTE)
_HALTS = {
    -1: (StatusKind.HALT, "trading halted"),
    0: (StatusKind.AUCTION, "quoting resumed"),
    1: (StatusKind.RESUME, "trading resumed"),
}


class LobsterState:
    """What carries over from block to block: last price, traded volume, last quote, newest time."""

    def __init__(self, instrument: str, midnight_ns: int, report: RecordingReport) -> None:
        self._instruments = (instrument,)
        self._midnight = midnight_ns
        self._report = report
        self._newest = 0
        self._last_price = float("nan")
        self._volume = 0.0
        self._quote = np.full((1, 6), np.inf)

    def rows(self, messages: dict[str, Column], levels: Column, lines: Column) -> list[Rows]:
        """All rows of messages and the books after them (int64[rows, 4 * levels]); lines : their numbers."""
        times = self._received(np.rint(messages["time"] * NANOS).astype(np.int64))
        kind, price = messages["type"], messages["price"] / PRICE_UNIT
        traded = (kind == _VISIBLE) | (kind == HIDDEN) | (kind == CROSS)
        volume = self._volume + np.cumsum(np.where(traded, messages["size"], 0)).astype(np.float64)
        latest = np.maximum.accumulate(np.where(traded, np.arange(1, len(kind) + 1), 0))
        last = np.concatenate(([self._last_price], price))[latest]
        if len(kind):
            self._volume, self._last_price = float(volume[-1]), float(last[-1])
        return [
            *self._halts(kind, messages["price"], times),
            self._trades(messages, traded, price, times),
            self._orders(messages, price, times),
            *self._quotes_and_books(times, levels, lines, last, volume),
        ]

    def books(self, after_midnight: Column, levels: Column, lines: Column) -> list[Rows]:
        """QUOTE and BOOK rows of books without messages; after_midnight : nanoseconds given to them."""
        times = self._received(after_midnight)
        last, volume = (np.full(len(times), value) for value in (self._last_price, self._volume))
        return self._quotes_and_books(times, levels, lines, last, volume)

    def _received(self, after_midnight: Column) -> Column:
        times = never_back(self._midnight + after_midnight, self._newest, self._report)
        self._newest = int(times[-1]) if len(times) else self._newest
        return times

    def _halts(self, kind: Column, code: Column, times: Column) -> list[Rows]:
        """STATUS rows of type 7, whose price is -1, 0 or 1."""
        places = [index for index in np.flatnonzero(kind == HALT).tolist() if int(code[index]) in _HALTS]
        if not places:
            return []
        meant = [_HALTS[int(code[index])] for index in places]
        columns = columns_of(0, times[places])
        columns["kind"] = np.array([int(status) for status, _ in meant], np.int8)
        columns["detail"] = np.array([detail for _, detail in meant], object)
        return [Rows(RowType.STATUS, self._instruments, columns)]

    def _trades(self, messages: dict[str, Column], traded: Column, price: Column, times: Column) -> Rows:
        """Executions. The aggressor's side is the resting order's opposite, and unknown for hidden ones and crosses."""
        kind = messages["type"][traded]
        side = np.where(kind == _VISIBLE, -messages["direction"][traded], 0).astype(np.int8)
        condition = np.where(kind == CROSS, int(Condition.AUCTION), int(Condition.REGULAR)).astype(np.int8)
        qty = messages["size"][traded].astype(np.float64)
        columns = columns_of(0, times[traded], price=price[traded], qty=qty, aggressor_side=side, condition=condition)
        return Rows(RowType.TRADE, self._instruments, columns)

    def _orders(self, messages: dict[str, Column], price: Column, times: Column) -> Rows:
        """Submissions, cuts, deletions and visible executions: types 1 to 4 are the contract's actions."""
        kept = (messages["type"] >= int(OrderAction.ADD)) & (messages["type"] <= _VISIBLE)
        columns = columns_of(
            0,
            times[kept],
            action=messages["type"][kept].astype(np.int8),
            side=messages["direction"][kept].astype(np.int8),
            price=price[kept],
            qty=messages["size"][kept].astype(np.float64),
            order_id=messages["order_id"][kept],
        )
        return Rows(RowType.ORDER, self._instruments, columns)

    def _quotes_and_books(
        self, times: Column, levels: Column, lines: Column, last: Column, volume: Column
    ) -> list[Rows]:
        """A BOOK row a line, and a QUOTE row where best prices, their sizes, last price or volume changed."""
        if not len(times) or not levels.shape[1]:
            return []
        ask_price, ask_qty = _side(levels[:, 0::4], levels[:, 1::4])
        bid_price, bid_qty = _side(levels[:, 2::4], levels[:, 3::4])
        touch = np.column_stack([bid_price[:, 0], bid_qty[:, 0], ask_price[:, 0], ask_qty[:, 0], last, volume])
        before = np.concatenate([self._quote, touch[:-1]])
        self._quote = touch[-1:]
        changed = np.any((touch != before) & ~(np.isnan(touch) & np.isnan(before)), axis=1)
        names = ("bid_price", "bid_qty", "ask_price", "ask_qty", "last_price", "volume")
        quotes = columns_of(0, times[changed]) | {name: touch[changed, index] for index, name in enumerate(names)}
        books = columns_of(
            0,
            times,
            sequence=lines.astype(np.int64),
            bid_price=bid_price,
            bid_qty=bid_qty,
            ask_price=ask_price,
            ask_qty=ask_qty,
        )
        return [Rows(RowType.QUOTE, self._instruments, quotes), Rows(RowType.BOOK, self._instruments, books)]


def _side(price: Column, qty: Column) -> tuple[Column, Column]:
    """Prices and sizes of one side, float64[rows, 10], NaN where LOBSTER marks an empty level."""
    empty = np.abs(price) == NO_LEVEL
    return ten_levels(np.where(empty, np.nan, price / PRICE_UNIT)), ten_levels(np.where(empty, np.nan, qty))
