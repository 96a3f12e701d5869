"""Minute bars as Kiwoom gives them, kept in CSV or JSON: signs before prices, newest first, times of Seoul.

CSV has a header with the names of opt10080 (체결시간, 현재가, ...) or of REST (cntr_tm, cur_prc, ...). JSON is pages of
ka10080 or rows, one after another or in a list.

Rows of Kiwoom's minute chart, by REST's names (ka10080) or by the Korean ones of opt10080, as bars.
"""

import csv
import io
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from producers.columns import columns_of, decimal_float
from producers.recordings.bar_times import BarTimes, zone_of
from producers.recordings.files import opened
from producers.recordings.minute_bars import instrument_of
from producers.recordings.options import RecordingOptions
from producers.recordings.report import RecordingReport
from producers.recordings.series import Blocks, Head, Series
from producers.venues.bars import Bar
from tapewatch.clock import NANOS
from tapewatch.contract.instruments import Instrument, Session
from tapewatch.contract.message import UNREADABLE
from tapewatch.contract.rows import Rows, RowType
from tapewatch.errors import TapewatchError

SEOUL = zone_of("Asia/Seoul")


class RowError(Exception):
    """A row that is no bar. reason : missing_column, malformed_time, not_exact_float or bad_bar"""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class RowNames:
    """What a row calls its values. time : begin of the bar, YYYYMMDDHHMMSS in Seoul; code : empty where absent"""

    time: str
    open: str
    high: str
    low: str
    close: str
    volume: str
    code: str = ""

    @property
    def needed(self) -> frozenset[str]:
        """Names a row must have."""
        return frozenset(self.columns.values())

    @property
    def columns(self) -> dict[str, str]:
        """The names by what they are."""
        return {name: getattr(self, name) for name in ("time", "open", "high", "low", "close", "volume")}


REST = RowNames("cntr_tm", "open_pric", "high_pric", "low_pric", "cur_prc", "trde_qty", "stk_cd")
KOREAN = RowNames("체결시간", "시가", "고가", "저가", "현재가", "거래량", "종목코드")
ENGLISH = RowNames("time", "open", "high", "low", "close", "volume", "code")
DATED = RowNames("date", "open", "high", "low", "close", "volume", "code")
KNOWN_NAMES = (REST, KOREAN, ENGLISH, DATED)


def names_among(columns: Collection[str]) -> RowNames | None:
    """The names that all stand among these columns, or None."""
    return next((names for names in KNOWN_NAMES if names.needed <= set(columns)), None)


def unsigned(text: Any) -> float:
    """A price or quantity without its direction sign: "-78800", "--30433", "+1,234" or a number; ValueError otherwise.

    Kiwoom writes + or - before a price that stands above or below the previous close; the price is never negative.
    """
    return decimal_float(str(text).strip().lstrip("+-").replace(",", ""))


_TIMES = BarTimes((), SEOUL)


def opened_at(text: Any) -> int:
    """UTC nanoseconds of a bar's begin, written YYYYMMDDHHMMSS or YYYYMMDDHHMM in Seoul; 0 where it is none.

    The time is the begin: the day's first bar, 090000, holds the opening auction of 09:00:00, and 153000 the closing
    auction of 15:30:00; a trade at 10:05:00 opens the bar of 10:05.
    """
    digits = str(text).strip()
    return _TIMES.one(digits) if digits.isdecimal() and len(digits) in (12, 14) else 0


def bar_of(row: Mapping[str, Any], names: RowNames) -> Bar:
    """The bar of a row; RowError where it is none."""
    missing = sorted(name for name in names.needed if row.get(name) in (None, ""))
    if missing:
        raise RowError("missing_column", ", ".join(missing))
    opened = opened_at(row[names.time])
    if opened == 0:
        raise RowError("malformed_time", str(row[names.time])[:40])
    try:
        opening, high, low, close, volume = (
            unsigned(row[name]) for name in (names.open, names.high, names.low, names.close, names.volume)
        )
    except ValueError as error:
        raise RowError("not_exact_float", str(error)) from error
    bar = Bar(opened, opening, high, low, close, volume)
    if not bar.sound:
        raise RowError("bad_bar", f"{bar}")
    return bar


name = "kiwoom-minutes"

MARKET = "XKRX"
ROWS = "stk_min_pole_chart_qry"
LARGEST_FILE = 256 << 20
"""Bytes of a file that is read whole, since it lies newest first: two million bars."""
_CODE = re.compile(r"(?<![0-9])[0-9]{5}[0-9A-Z](?![0-9])")
_SESSION = Session("Asia/Seoul", "09:00", "15:30")
Record = tuple[int, Mapping[str, Any]]
"""Line number from 1 (0 where a document has none) and the row."""


class KiwoomFile:
    """The bars of one file, oldest first, each time of an instrument once."""

    def __init__(self, head: Head, options: RecordingOptions) -> None:
        self.paths = [head.path]
        self._options = options
        self._interval_s = options.interval_s or 60
        self._usual = options.instrument or _instrument_in(head.path)
        self._instruments: list[str] | None = None

    @property
    def identity(self) -> str:
        """Kind, instrument and interval."""
        return f"{name} {self._usual} {self._interval_s}"

    @property
    def instruments(self) -> Sequence[Instrument]:
        """The file's instruments; the rows of a chart may name several."""
        if self._instruments is None:
            self._instruments = sorted(self._bars(RecordingReport()))
        return [
            Instrument(each, each.partition(".")[0], "KRW", session=_SESSION, price_limit=0.3)
            for each in self._instruments
        ]

    def blocks(self, report: RecordingReport) -> Blocks:
        """BAR rows, received at the bar's end."""
        found = self._bars(report)
        names = sorted(found)
        ordered = sorted((opened, code) for code, each in enumerate(names) for opened in found[each])
        for start in range(0, len(ordered), self._options.chunk_rows):
            part = ordered[start : start + self._options.chunk_rows]
            yield [self._rows(names, [(code, found[names[code]][opened]) for opened, code in part])]

    def _rows(self, names: Sequence[str], bars: Sequence[tuple[int, Bar]]) -> Rows:
        opened = np.array([bar.opened for _, bar in bars], np.int64)
        values = {
            column: np.array([getattr(bar, column) for _, bar in bars])
            for column in ("open", "high", "low", "close", "volume")
        }
        columns = columns_of(
            0,
            opened + self._interval_s * NANOS,
            ts_open=opened,
            interval_s=np.full(len(bars), self._interval_s, np.int32),
            **values,
            trades=np.zeros(len(bars), np.int64),
        )
        columns["instrument"] = np.array([code for code, _ in bars], np.int32)
        return Rows(RowType.BAR, tuple(names), columns)

    def _bars(self, report: RecordingReport) -> dict[str, dict[int, Bar]]:
        """Bars by instrument and opening; where a time stands twice, the first."""
        (path,) = self.paths
        found: dict[str, dict[int, Bar]] = {}
        for number, row in _records(path, report):
            report.lines += 1
            report.records["bar"] += 1
            try:
                names = names_among(row) or REST
                bar = bar_of(row, names)
            except RowError as error:
                report.refuse(path.name, number, error.reason, msgspec.json.encode(dict(row)))
                continue
            if found.setdefault(self._id(row, names), {}).setdefault(bar.opened, bar) is not bar:
                report.refuse(path.name, number, "repeated_time", msgspec.json.encode(dict(row)))
        return found

    def _id(self, row: Mapping[str, Any], names: RowNames) -> str:
        """The instrument that was asked for, that the row names, or that the file's name tells."""
        code = str(row.get(names.code) or "").strip().removeprefix("A")
        if self._options.instrument or not _CODE.fullmatch(code):
            return self._usual
        return f"{code}.{MARKET}"


def recognises(head: Head) -> bool:
    """A page of ka10080, rows of it, or a header with Kiwoom's names (English ones may be anybody's)."""
    if head.text.lstrip()[:1] in (b"{", b"["):
        return all(word in head.text for word in (b'"cntr_tm"', b'"cur_prc"', b'"open_pric"'))
    names = names_among(_header(head.first_line))
    return names is not None and ENGLISH.open not in names.needed


def open(heads: Sequence[Head], options: RecordingOptions) -> list[Series]:
    """One series a file."""
    return [KiwoomFile(head, options) for head in heads]


def _header(line: str) -> list[str]:
    try:
        return [column.strip() for column in next(csv.reader([line]), [])]
    except csv.Error:
        return []


def _instrument_in(path: Path) -> str:
    """The code in the file's name, as in 005930_1m.csv or minutes-005930.json; else as of any file of bars."""
    found = _CODE.search(path.name)
    return f"{found[0]}.{MARKET}" if found and "." + MARKET not in path.name else instrument_of(path)


def _records(path: Path, report: RecordingReport) -> Iterator[Record]:
    with opened(path) as stream:
        try:
            data = stream.read(LARGEST_FILE + 1).removeprefix(b"\xef\xbb\xbf")
        except (EOFError, OSError) as error:
            report.refuse(path.name, 0, "truncated_file", str(error).encode())
            return
    if len(data) > LARGEST_FILE:
        raise TapewatchError(f"{path} is larger than {LARGEST_FILE >> 20} MiB", "Cut it into several files.")
    if data.lstrip()[:1] in (b"{", b"["):
        yield from _json_records(path, data, report)
        return
    reader = csv.DictReader(io.StringIO(data.decode("utf-8", "replace"), newline=""), restkey="more")
    number = 1
    while True:
        number += 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            report.lines += 1
            report.refuse(path.name, number, "malformed_line", str(error).encode())
            continue
        if row is None:
            return
        yield number, {str(column).strip(): value for column, value in row.items() if column != "more"}


def _json_records(path: Path, data: bytes, report: RecordingReport) -> Iterator[Record]:
    """The rows of one document, or of one a line."""
    try:
        yield from ((0, row) for row in _rows_in(msgspec.json.decode(data)))
        return
    except UNREADABLE:
        lines = data.split(b"\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield from ((number, row) for row in _rows_in(msgspec.json.decode(line)))
        except UNREADABLE:
            report.lines += 1
            report.refuse(path.name, number, "malformed_line", line)


def _rows_in(document: Any) -> Iterator[Mapping[str, Any]]:
    """The rows of a page, with its code, of a list, or the row itself."""
    if isinstance(document, list):
        for each in document:
            yield from _rows_in(each)
    elif isinstance(document, dict) and isinstance(document.get(ROWS), list):
        for row in document[ROWS]:
            if isinstance(row, dict):
                yield {"stk_cd": document.get("stk_cd", ""), **row}
    elif isinstance(document, dict):
        yield document
