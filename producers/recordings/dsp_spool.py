"""A TWSE dsp file's valid rows in a temporary file, to be read by time: the exchange writes code after code."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import IO
from zoneinfo import ZoneInfo

import numpy as np

from producers.recordings.files import line_blocks
from producers.recordings.report import RecordingReport
from tapewatch.clock import NANOS
from tapewatch.instruments import is_instrument_id
from tapewatch.rows import Column

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
