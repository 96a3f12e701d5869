"""Bars in CSV: a header naming a time column (or date and time), open, high, low, close and volume, in any order."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from producers.columns import columns_of, exact_column, parsed_lines
from producers.recordings.bar_times import BarTimes, zone_of
from producers.recordings.files import line_blocks
from producers.recordings.options import RecordingOptions
from producers.recordings.report import RecordingReport
from producers.recordings.series import Blocks, Head, Series, never_back
from tapewatch.clock import NANOS
from tapewatch.contract.instruments import INSTRUMENT_ID, Instrument
from tapewatch.contract.rows import Column, Rows, RowType
from tapewatch.errors import TapewatchError

name = "minute-bars"

PRICES = ("open", "high", "low", "close", "volume")
TIMES = ("timestamp", "timestamp_utc", "ts_open", "datetime", "date_time", "time", "date", "open_time")
COUNTS = ("trades", "count", "number_of_trades")
UNLISTED = "XXXX"
"""ISO 10383's code for no market, for files that name none."""
DEFAULT_INTERVAL_S = 60
HEAD_BARS = 100
_INTERVAL = re.compile(r"[_-](\d+[mhd]|\d{4,}).*$", re.IGNORECASE)


class BarFile:
    """The bars of one instrument in one file, oldest first; a time is a bar's opening."""

    def __init__(self, head: Head, options: RecordingOptions) -> None:
        self.paths = [head.path]
        self._header = head.first_line
        self._names = _columns(self._header)
        self._id = options.instrument or instrument_of(head.path)
        self._rows = options.chunk_rows
        parts = [self._names.index(part) for part in _time_columns(self._names)]
        self._times = BarTimes(parts, zone_of(options.timezone))
        self._interval_s = options.interval_s or self._smallest_step(head)

    @property
    def identity(self) -> str:
        """Kind, instrument and interval."""
        return f"{name} {self._id} {self._interval_s}"

    @property
    def instruments(self) -> Sequence[Instrument]:
        """The one instrument; a file of bars says nothing more about it."""
        return [
            Instrument(
                id=self._id, name=self._id.partition(".")[0], kind="perpetual" if "-PERP." in self._id else "share"
            )
        ]

    def blocks(self, report: RecordingReport) -> Blocks:
        """BAR rows, received at the bar's end."""
        newest = 0
        (path,) = self.paths
        for first, lines in line_blocks(path, report, self._rows):
            rows = self._bars(path, first, lines, newest, report)
            if len(rows):
                newest = int(rows.ts_recv[-1])
                yield [rows]

    def _bars(self, path: Path, first: int, lines: list[bytes], newest: int, report: RecordingReport) -> Rows:
        if first == 1:
            lines = [b"", *lines[1:]]
        table, places = parsed_lines(lines, dict.fromkeys(self._names, pa.string()))
        present = sum(map(bool, lines))
        report.lines += present
        report.records["bar"] += present
        texts = [table.column(index).to_pylist() for index in range(len(self._names))]
        opened = self._times.nanoseconds(texts)
        values = {column: exact_column(table[column]) for column in PRICES}
        counts = next((exact_column(table[column])[0] for column in COUNTS if column in self._names), None)
        reasons = np.full(len(lines), "malformed_line", object)
        reasons[places] = ""
        reasons[places[opened == 0]] = "malformed_time"
        for _, fits in values.values():
            reasons[places[~fits]] = "not_exact_float"
        for index in np.flatnonzero(reasons != "").tolist():
            if lines[index]:
                report.refuse(path.name, first + index, reasons[index], lines[index])
        good = reasons[places] == ""
        trades = np.zeros(len(places)) if counts is None else np.nan_to_num(counts)
        return self._contract_rows(
            opened[good], {key: value[good] for key, (value, _) in values.items()}, trades[good], newest, report
        )

    def _contract_rows(
        self, opened: Column, values: dict[str, Column], trades: Column, newest: int, report: RecordingReport
    ) -> Rows:
        ends = opened + self._interval_s * NANOS
        columns = columns_of(
            0,
            never_back(ends, newest, report),
            ts_open=opened,
            interval_s=np.full(len(opened), self._interval_s, np.int32),
            **values,
            trades=trades.astype(np.int64),
        )
        columns["ts_event"] = ends
        return Rows(RowType.BAR, (self._id,), columns)

    def _smallest_step(self, head: Head) -> int:
        """Seconds between the closest two of the first bars; TapewatchError if they run backwards."""
        lines = [line for line in head.text.split(b"\n")[1 : HEAD_BARS + 1] if line.strip()]
        table, _ = parsed_lines(lines, dict.fromkeys(self._names, pa.string()))
        times = self._times.nanoseconds([table.column(index).to_pylist() for index in range(len(self._names))])
        steps = np.diff(times[times > 0])
        if len(steps) and np.all(steps < 0):
            raise TapewatchError(f"{head.path.name} lies newest first", "Sort it oldest first.")
        whole = steps[steps >= NANOS]
        return int(whole.min()) // NANOS if len(whole) else DEFAULT_INTERVAL_S


def recognises(head: Head) -> bool:
    """A header with a time and the five values of a bar."""
    names = _columns(head.first_line)
    return all(column in names for column in PRICES) and bool(_time_columns(names))


def open(heads: Sequence[Head], options: RecordingOptions) -> list[Series]:
    """One series a file."""
    for head in heads:
        names = _columns(head.first_line)
        missing = [column for column in PRICES if column not in names]
        if len(set(names)) < len(names):
            raise TapewatchError(f"{head.path.name} has two columns of one name", "Give each column a name of its own.")
        if missing or not _time_columns(names):
            raise TapewatchError(
                f"{head.path.name} lacks the columns {', '.join(missing or ['timestamp'])}",
                "Give a header line with a time, open, high, low, close and volume.",
            )
    return [BarFile(head, options) for head in heads]


def instrument_of(path: Path) -> str:
    """The instrument id in the file's name, or its first part at XXXX (`btc_perp_1m_2022.csv`: BTC-PERP.XXXX)."""
    stem = re.sub(r"(\.csv|\.txt)?(\.gz)?$", "", path.name)
    found = INSTRUMENT_ID.match(stem)
    if found:
        return found[0]
    symbol = re.sub(r"[^A-Z0-9]+", "-", _INTERVAL.sub("", stem).upper()).strip("-")[:40]
    return f"{symbol or 'BARS'}.{UNLISTED}"


def _columns(header: str) -> list[str]:
    return [column.strip().strip('"').lower() for column in header.split(",")]


def _time_columns(names: list[str]) -> list[str]:
    """`date` and `time` together, or the first known time column."""
    if "date" in names and "time" in names:
        return ["date", "time"]
    return [column for column in TIMES if column in names][:1]
