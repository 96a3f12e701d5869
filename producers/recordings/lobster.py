"""LOBSTER files of one ticker and day: messages with their books, both in one file, or books alone.

LOBSTER messages and books as contract rows (message types and marks: lobsterdata.com, "Output data structure").
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import zip_longest
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa

from producers.columns import columns_of, parsed_lines, ten_levels
from producers.recordings.files import line_blocks
from producers.recordings.options import RecordingOptions
from producers.recordings.report import RecordingReport
from producers.recordings.series import Blocks, Head, Series, never_back
from tapewatch.clock import NANOS
from tapewatch.contract.instruments import Instrument, Session, Tick
from tapewatch.contract.rows import Column, Condition, OrderAction, Rows, RowType, StatusKind
from tapewatch.errors import TapewatchError

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


name = "lobster"

BOOK_HEADER = "ASK_1_PRICE,ASK_1_QTY,BID_1_PRICE,BID_1_QTY"
COMBINED_HEADER = "Secs,Type,OrderID,Size,Price,TradeDirection,Askp1,Asks1,Bidp1,Bids1"
MESSAGE = {
    "time": pa.float64(),
    "type": pa.int64(),
    "order_id": pa.string(),
    "size": pa.int64(),
    "price": pa.int64(),
    "direction": pa.int64(),
}
NEW_YORK = ZoneInfo("America/New_York")
OPEN_S, CLOSE_S, DAY_S = 34_200, 57_600, 86_400
_NAME = re.compile(r"([A-Z][A-Z0-9.-]{0,9})_(\d{4}-\d{2}-\d{2})?")
_HEADERS = (BOOK_HEADER.encode(), COMBINED_HEADER.encode())


@dataclass(frozen=True, slots=True)
class LobsterFile:
    """A file and its part: `message`, `book` or `combined`; levels of its book."""

    path: Path
    part: str
    levels: int

    @property
    def types(self) -> dict[str, object]:
        """Its columns."""
        book = {f"{name}{level}": pa.int64() for level in range(self.levels) for name in ("ap", "aq", "bp", "bq")}
        return book if self.part == "book" else MESSAGE | book


class LobsterDay:
    """One ticker's day.

    With books alone, which have no times, the rows are spread evenly over 09:30-16:00 New York time; where a combined
    file of the same day is there too, its rows are the last of the books, and the others are spread up to its first.
    """

    def __init__(self, ticker: str, day: str, files: Sequence[LobsterFile], options: RecordingOptions) -> None:
        order = {"book": 0, "message": 0, "combined": 1}
        self._files = sorted(files, key=lambda file: (order[file.part], file.part))
        self.paths = [file.path for file in self._files]
        self._ticker = ticker
        self._day = day
        self._midnight = (
            int(datetime.combine(date.fromisoformat(day), datetime.min.time(), NEW_YORK).timestamp()) * NANOS
        )
        self._rows = options.chunk_rows

    @property
    def identity(self) -> str:
        """Kind, ticker, day and the parts that the names told."""
        return " ".join([name, self._ticker, self._day, *(file.part for file in self._files)])

    @property
    def instruments(self) -> Sequence[Instrument]:
        """The one share."""
        hours = Session("America/New_York", "09:30", "16:00")
        return [
            Instrument(
                id=f"{self._ticker}.XNAS", name=self._ticker, currency="USD", ticks=(Tick(0.0, 0.01),), session=hours
            )
        ]

    def blocks(self, report: RecordingReport) -> Blocks:
        """ORDER, TRADE, QUOTE, BOOK and STATUS rows."""
        state = LobsterState(f"{self._ticker}.XNAS", self._midnight, report)
        parts = {file.part: file for file in self._files}
        if "message" in parts:
            yield from self._pair(parts["message"], parts.get("book"), state, report)
        elif "book" in parts:
            yield from self._books_alone(parts["book"], parts.get("combined"), state, report)
        if "combined" in parts:
            yield from self._pair(parts["combined"], None, state, report)

    def _pair(
        self, message: LobsterFile, book: LobsterFile | None, state: LobsterState, report: RecordingReport
    ) -> Blocks:
        """Messages with the books of the same lines (of a second file, or of further columns)."""
        seconds = line_blocks(book.path, report, self._rows) if book else iter(())
        for one, two in zip_longest(line_blocks(message.path, report, self._rows), seconds):
            first, lines = one or (two[0], [])
            table, good = _table(message, first, lines, report)
            if book is None:
                levels = _matrix(table, list(message.types)[len(MESSAGE) :])
                yield state.rows(_messages(table), levels, first + good)
                continue
            beside, good_beside = _table(book, first, two[1] if two else [], report)
            _, left, right = np.intersect1d(good, good_beside, assume_unique=True, return_indices=True)
            self._unpaired(message.path, first, lines, np.setdiff1d(good, good_beside), report)
            yield state.rows(
                _messages(table.take(left)), _matrix(beside.take(right), list(book.types)), first + good[left]
            )

    @staticmethod
    def _unpaired(path: Path, first: int, lines: list[bytes], alone: Column, report: RecordingReport) -> None:
        for index in alone.tolist():
            report.refuse(path.name, first + index, "unpaired_message", lines[index])

    def _books_alone(
        self, book: LobsterFile, timed: LobsterFile | None, state: LobsterState, report: RecordingReport
    ) -> Blocks:
        count = _count(book.path)
        end_ns = CLOSE_S * NANOS
        if timed is not None:
            count = max(0, count - _count(timed.path))
            end_ns = min(end_ns, _first_time(timed))
        start_ns = OPEN_S * NANOS
        step, rest = divmod(end_ns - start_ns, max(1, count))
        done = 0
        for begin, block in line_blocks(book.path, report, self._rows):
            whole, first = _without_header(begin, block)
            lines = whole[: count - done]
            repeated = len(whole) - len(lines)
            if repeated:
                report.lines += repeated
                report.records["book_repeated"] += repeated
            table, good = _table(book, first, lines, report)
            places = done + good
            done += len(lines)
            spread = start_ns + places * step + places * rest // max(1, count)
            yield state.books(spread, _matrix(table, list(book.types)), first + good)


def recognises(head: Head) -> bool:
    """A known header, or LOBSTER's file name and columns of whole numbers."""
    return _part(head) is not None


def open(heads: Sequence[Head], options: RecordingOptions) -> list[Series]:
    """One series a ticker and day."""
    days: dict[tuple[str, str], list[LobsterFile]] = {}
    for head in heads:
        part = _part(head)
        found = _NAME.match(head.path.name)
        day = options.date or (found[2] if found else "")
        if part is None or found is None or not day:
            raise TapewatchError(
                f"{head.path.name} does not tell ticker, date and whether it holds messages or books",
                "Name it as LOBSTER does (AMZN_2012-06-21_34200000_57600000_message_10.csv) or give the date.",
            )
        days.setdefault((found[1], day), []).append(part)
    return [LobsterDay(ticker, day, _one_each(ticker, day, files), options) for (ticker, day), files in days.items()]


def _one_each(ticker: str, day: str, files: list[LobsterFile]) -> list[LobsterFile]:
    parts = [file.part for file in files]
    if len(set(parts)) < len(parts) or {"message", "combined"} <= set(parts):
        raise TapewatchError(
            f"{ticker} on {day} is given twice: " + ", ".join(file.path.name for file in files),
            "Give one message file and one order-book file, or one file with both, per ticker and day.",
        )
    return files


def _part(head: Head) -> LobsterFile | None:
    line = head.first_line
    if line == COMBINED_HEADER:
        return LobsterFile(head.path, "combined", 1)
    if line == BOOK_HEADER:
        return LobsterFile(head.path, "book", 1)
    cells = line.split(",")
    if not all(re.fullmatch(r"-?\d+(\.\d+)?", cell) for cell in cells):
        return None
    if "message" in head.path.name and len(cells) == len(MESSAGE):
        return LobsterFile(head.path, "message", 0)
    if "orderbook" in head.path.name and len(cells) % 4 == 0:
        return LobsterFile(head.path, "book", len(cells) // 4)
    return None


def _table(file: LobsterFile, first: int, lines: list[bytes], report: RecordingReport) -> tuple[pa.Table, Column]:
    """The lines as a table and their places; header and empty lines left out, malformed ones refused."""
    lines = [b"" if line in _HEADERS else line for line in lines]
    table, places = parsed_lines(lines, file.types)
    present = sum(map(bool, lines))
    report.lines += present
    report.records[file.part] += present
    reasons = np.full(len(lines), "malformed_line", object)
    reasons[places] = "" if file.part == "book" else _faults(table)
    for index in np.flatnonzero(reasons != "").tolist():
        if lines[index]:
            report.refuse(file.path.name, first + index, reasons[index], lines[index])
    good = reasons[places] == ""
    return table.filter(pa.array(good)), places[good]


def _faults(messages: pa.Table) -> Column:
    """Why a message cannot be used, object[rows]: empty where it can."""
    time, kind, direction = (messages[name].to_numpy() for name in ("time", "type", "direction"))
    sound = (time >= 0) & (time < DAY_S) & (np.abs(direction) <= 1)
    known = (kind >= 1) & (kind <= HALT)
    return np.where(sound, np.where(known, "", "unknown_message_type"), "malformed_record").astype(object)


def _without_header(first: int, lines: list[bytes]) -> tuple[list[bytes], int]:
    return (lines[1:], first + 1) if lines[0] in _HEADERS else (lines, first)


def _messages(table: pa.Table) -> dict[str, Column]:
    return {name: table[name].to_numpy(zero_copy_only=False) for name in MESSAGE}


def _matrix(table: pa.Table, names: list[str]) -> Column:
    if not names:
        return np.empty((table.num_rows, 0), np.int64)
    return np.stack([table[name].to_numpy() for name in names], axis=1)


def _count(path: Path) -> int:
    """Lines of the file but its header."""
    return sum(len(_without_header(first, lines)[0]) for first, lines in line_blocks(path, RecordingReport(), 8_192))


def _first_time(file: LobsterFile) -> int:
    """Nanoseconds after midnight of the first well-formed row."""
    report = RecordingReport()
    for first, lines in line_blocks(file.path, report, 64):
        table, good = _table(file, first, lines, report)
        if len(good):
            return int(np.rint(table["time"][0].as_py() * NANOS))
    return CLOSE_S * NANOS
