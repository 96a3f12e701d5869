"""TWSE dsp files: fixed-width rows of the best five with the last match, 190 bytes since March 2020, 186 before.

TWSE dsp rows as contract rows: books of five levels, quotes, matches, and where trial matching begins and ends.

A TWSE dsp file's valid rows in a temporary file, to be read by time: the exchange writes code after code.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import IO
from zoneinfo import ZoneInfo

import numpy as np

from producers.columns import rows_of, ten_levels
from producers.recordings.files import line_blocks
from producers.recordings.options import RecordingOptions
from producers.recordings.report import RecordingReport
from producers.recordings.series import Blocks, Head, Series, never_back
from producers.venues.twse.instruments import LOT, TWSE, taiwan_instrument
from producers.venues.twse.reports import TAIPEI_OFFSET_NS
from tapewatch.clock import NANOS
from tapewatch.contract.instruments import Instrument, is_instrument_id
from tapewatch.contract.rows import Column, Condition, Rows, RowType, StatusKind

WIDTH = 190
OLD_WIDTH = 186
WIDTHS = (WIDTH, OLD_WIDTH)
FIRST_YEAR, LAST_YEAR = 1971, 2200
"""Years whose nanoseconds fit."""
LINES_A_READ = 8_192
CODE, TIME, DATE = slice(0, 6), slice(6, 18), slice(180, 188)
_DIGITS = np.r_[6:18, 22:36, 36, 38:108, 108, 110:180, 180:188]
"""Byte places that hold digits in every row."""


def number(records: Column, place: slice) -> Column:
    """Digits at `place` of every row (uint8[rows, 190]) as int64[rows]."""
    digits = records[:, place].astype(np.int64) - ord("0")
    powers = 10 ** np.arange(digits.shape[1] - 1, -1, -1, dtype=np.int64)
    return np.asarray(digits @ powers)


class Spool:
    """Valid rows on disk, each 190 bytes, with their times (UTC nanoseconds) in memory: 16 bytes a row."""

    def __init__(self, stream: IO[bytes], times: Column) -> None:
        self._stream = stream
        self._times = times

    def in_time_order(self, size: int) -> Iterator[tuple[Column, Column]]:
        """(rows as uint8[up to size, 190], times int64[same]) by time, rows of one time in file order."""
        if not len(self._times):
            return
        rows = np.memmap(self._stream, np.uint8, "r", shape=(len(self._times), WIDTH))
        order = np.argsort(self._times, kind="stable")
        for begin in range(0, len(order), size):
            places = order[begin : begin + size]
            yield np.asarray(rows[places]), self._times[places]


@contextmanager
def spooled(path: Path, report: RecordingReport) -> Iterator[Spool]:
    """The file's valid rows, all 190 bytes wide; the others are refused as `wrong_length` or `malformed_line`."""
    with tempfile.TemporaryFile() as stream:
        times: list[Column] = []
        for first, lines in line_blocks(path, report, LINES_A_READ):
            records, numbers = _fixed_width(path, first, lines, report)
            stamps, good = _stamps(records)
            for index in np.flatnonzero(~good).tolist():
                report.refuse(path.name, numbers[index], "malformed_line", lines[numbers[index] - first])
            stream.write(records[good].tobytes())
            times.append(stamps[good])
        stream.flush()
        yield Spool(stream, np.concatenate(times) if times else np.empty(0, np.int64))


def _fixed_width(path: Path, first: int, lines: list[bytes], report: RecordingReport) -> tuple[Column, list[int]]:
    """Lines of a known width as uint8[rows, 190], and their line numbers."""
    kept: list[bytes] = []
    numbers: list[int] = []
    for place, line in enumerate(lines, first):
        if not line:
            continue
        report.lines += 1
        report.records["row"] += 1
        if len(line) not in WIDTHS:
            report.refuse(path.name, place, "wrong_length", line)
            continue
        # The old 8-digit time ends in hundredths of a second, the new 12-digit one in microseconds.
        kept.append(line if len(line) == WIDTH else line[:14] + b"0000" + line[14:])
        numbers.append(place)
    return np.frombuffer(b"".join(kept), np.uint8).reshape(len(kept), WIDTH), numbers


def _stamps(records: Column) -> tuple[Column, Column]:
    """Times of the rows (int64[rows]) and which rows are well formed (bool[rows])."""
    digits = records[:, _DIGITS]
    good = np.all((digits >= ord("0")) & (digits <= ord("9")), axis=1)
    clock = number(records, TIME)
    hours, minutes, micros = clock // 10**10, clock // 10**8 % 100, clock % 10**8
    good &= (hours < 24) & (minutes < 60) & (micros < 60 * 10**6)
    days, day_of = np.unique(number(records, DATE), return_inverse=True)
    midnights = np.array([_midnight(day) for day in days.tolist()], np.int64)
    codes, code_of = np.unique(np.ascontiguousarray(records[:, CODE]).view("S6").ravel(), return_inverse=True)
    known = np.array(
        [is_instrument_id(f"{code.decode('ascii', 'replace').strip()}.XTAI") for code in codes.tolist()], bool
    )
    if len(records):
        good &= (midnights[day_of] > 0) & known[code_of]
        return midnights[day_of] + (hours * 3600 + minutes * 60) * NANOS + micros * 1_000, good
    return np.empty(0, np.int64), good


@lru_cache(maxsize=64)
def _midnight(day: int) -> int:
    """UTC nanoseconds of 00:00 in Taipei on the day YYYYMMDD; 0 if there is no such day."""
    try:
        midnight = datetime.strptime(f"{day:08d}", "%Y%m%d").replace(tzinfo=ZoneInfo("Asia/Taipei"))
    except ValueError:
        return 0
    return int(midnight.timestamp()) * NANOS if FIRST_YEAR <= midnight.year <= LAST_YEAR else 0


LEVELS = 5
LEVEL_BYTES = 14
CLOSING_NS = (13 * 3600 + 30 * 60) * NANOS
DAY_NS = 86_400 * NANOS
_REMARK, _MATCH, _BID_COUNT, _ASK_COUNT = 18, 20, 36, 108
_BIDS, _ASKS = 38, 110


@dataclass(slots=True)
class _Code:
    """One code so far: its day, lots matched, and whether its matches are on trial."""

    day: int
    lots: int = 0
    trial: bool = False


class DspState:
    """What carries over from block to block: the codes' cumulative lots and trial flags, row numbers, newest time."""

    def __init__(self, report: RecordingReport) -> None:
        self._report = report
        self._codes: dict[str, _Code] = {}
        self._sequence = 0
        self._newest = 0

    def rows(self, records: Column, times: Column) -> list[Rows]:
        """STATUS, TRADE, QUOTE and BOOK rows of uint8[rows, 190] in time order."""
        texts, inverse = np.unique(np.ascontiguousarray(records[:, CODE]).view("S6").ravel(), return_inverse=True)
        codes = tuple(f"{text.decode('ascii').strip()}.XTAI" for text in texts.tolist())
        received = never_back(times, self._newest, self._report)
        self._newest = int(received[-1])
        common = {"instrument": inverse.astype(np.int32), "ts_event": times, "ts_recv": received}
        price = number(records, slice(22, 28)) / 100.0
        lots = number(records, slice(28, 36))
        bid_price, bid_qty = _levels(records, _BIDS, _BID_COUNT)
        ask_price, ask_qty = _levels(records, _ASKS, _ASK_COUNT)
        quotes = {
            "bid_price": bid_price[:, 0],
            "bid_qty": bid_qty[:, 0],
            "ask_price": ask_price[:, 0],
            "ask_qty": ask_qty[:, 0],
            "last_price": np.where(price > 0, price, np.nan),
            "volume": lots * float(LOT),
        }
        books = {
            "sequence": np.arange(self._sequence + 1, self._sequence + 1 + len(times), dtype=np.int64),
            "bid_price": bid_price,
            "bid_qty": bid_qty,
            "ask_price": ask_price,
            "ask_qty": ask_qty,
        }
        self._sequence += len(times)
        return [
            *self._changes(records, common, codes, price, lots),
            Rows(RowType.QUOTE, codes, common | quotes),
            Rows(RowType.BOOK, codes, common | books),
        ]

    def _changes(
        self, records: Column, common: dict[str, Column], codes: tuple[str, ...], price: Column, lots: Column
    ) -> list[Rows]:
        """STATUS rows where trial matching begins or ends, TRADE rows where lots were matched."""
        status: list[tuple[object, ...]] = []
        trades: list[tuple[object, ...]] = []
        trial = records[:, _REMARK] == ord("T")
        matched = (records[:, _MATCH] == ord("Y")) & ~trial
        local = common["ts_event"] + TAIPEI_OFFSET_NS
        columns = (common["instrument"], common["ts_event"], common["ts_recv"], trial, matched, lots, price, local)
        for code, event, received, on_trial, match, total, paid, at in zip(*(c.tolist() for c in columns), strict=True):
            state = self._codes.get(codes[code])
            if state is None or state.day != at // DAY_NS:
                # A day's first row shows what was matched before it, unless that row is itself the first match.
                state = self._codes[codes[code]] = _Code(at // DAY_NS, 0 if match else total)
            place = (code, event, received)
            if on_trial and not state.trial:
                status.append((*place, int(StatusKind.AUCTION), "trial matching"))
            elif state.trial and not on_trial and at % DAY_NS < CLOSING_NS:
                status.append((*place, int(StatusKind.OPEN), "trial matching ended"))
            if match and total > state.lots:
                condition = Condition.AUCTION if state.trial else Condition.REGULAR
                trades.append((*place, paid, float((total - state.lots) * LOT), 0, int(condition)))
            elif match:
                self._report.records["match_without_volume"] += 1
            state.trial = on_trial
            state.lots = max(total, state.lots)
        found = ((RowType.STATUS, status), (RowType.TRADE, trades))
        return [rows_of(row_type, codes, rows) for row_type, rows in found if rows]


def _levels(records: Column, start: int, count: int) -> tuple[Column, Column]:
    """Prices and shares of one side, float64[rows, 10]; NaN beyond its levels and at a price of 0 (market orders)."""
    places = [start + LEVEL_BYTES * level for level in range(LEVELS)]
    price = np.stack([number(records, slice(at, at + 6)) for at in places], axis=1) / 100.0
    lots = np.stack([number(records, slice(at + 6, at + LEVEL_BYTES)) for at in places], axis=1)
    shown = records[:, count].astype(np.int64)[:, None] - ord("0") > np.arange(LEVELS)
    present = shown & (price > 0)
    return ten_levels(np.where(present, price, np.nan)), ten_levels(np.where(present, lots * float(LOT), np.nan))


name = "twse-dsp"


class DspFiles:
    """dsp files one after another; their rows lie by code and are given out by time."""

    def __init__(self, paths: Sequence[Path], options: RecordingOptions) -> None:
        self.paths = paths
        self._options = options
        self._codes: list[str] | None = None

    @property
    def identity(self) -> str:
        """Kind alone: the rest stands in the files."""
        return name

    @property
    def instruments(self) -> Sequence[Instrument]:
        """Every code in the files, which are read once for it."""
        if self._codes is None:
            self._codes = sorted({code for path in self.paths for code in _codes(path)})
        return [taiwan_instrument(f"{code}.{TWSE}") for code in self._codes]

    def blocks(self, report: RecordingReport) -> Blocks:
        """STATUS, TRADE, QUOTE and BOOK rows, file after file."""
        state = DspState(report)
        for path in self.paths:
            with spooled(path, report) as spool:
                for records, times in spool.in_time_order(self._options.chunk_rows):
                    yield state.rows(records, times)


def recognises(head: Head) -> bool:
    """A first line of 190 or 186 bytes with a code, and digits where time and date lie."""
    line = head.first_line
    return len(line) in WIDTHS and line[6:14].isdigit() and line[-10:-2].isdigit()


def open(heads: Sequence[Head], options: RecordingOptions) -> list[Series]:
    """One series; files in the order of the date in their first row."""
    ordered = sorted(heads, key=lambda head: head.first_line[-10:-2])
    return [DspFiles([head.path for head in ordered], options)]


def _codes(path: Path) -> set[str]:
    codes: set[bytes] = set()
    for _, lines in line_blocks(path, RecordingReport(), LINES_A_READ):
        codes.update(line[:6] for line in lines if len(line) in WIDTHS)
    texts = (code.decode("ascii", "replace").strip() for code in codes)
    return {text for text in texts if is_instrument_id(f"{text}.{TWSE}")}
