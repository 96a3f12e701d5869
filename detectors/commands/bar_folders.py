"""Daily bars of folders of CSV files as series for forecasts, in every layout such files are known to come in.

Daily bars of any folder of CSV files: one instrument a file, or its parts under names with the same beginning.
"""

import csv
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from detectors.ddqn.daily_market import COLUMNS, Bars, bars_of, carried
from detectors.forecast.series import Panel, Series
from tapewatch.errors import TapewatchError

_DATES = ("timestamp", "date")


def read_folders(folders: list[Path]) -> tuple[dict[str, Bars], list[str]]:
    """Bars by instrument, and the files that are no daily bars with a header.

    The name of an instrument is its folder's, and its file's up to the first `_`; of a day that several of its files
    hold the first counts. TapewatchError where nothing is found.
    """
    parts: dict[str, list[Bars]] = defaultdict(list)
    strange = []
    for path in sorted(path for folder in folders for path in folder.glob("*.csv")):
        try:
            parts[f"{path.parent.name}/{path.stem.partition('_')[0]}"].append(_read(path))
        except (OSError, KeyError, ValueError, TypeError):
            strange.append(path.name)
    found = {name: _joined(each) for name, each in sorted(parts.items()) if each}
    if not found:
        raise TapewatchError(
            f"no daily bars in {', '.join(map(str, folders))}", f"They need Date,{','.join(COLUMNS)}, oldest first."
        )
    return found, strange


def _read(path: Path) -> Bars:
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = [{key.strip().lower(): value for key, value in row.items() if key} for row in csv.DictReader(file)]
    if not rows:
        raise ValueError("no rows")
    name = next(name for name in (*_DATES, "") if name in rows[0] or not name)
    dates = np.array([iso(row[name]) for row in rows], dtype="datetime64[D]")
    return bars_of(dates, {each: np.array([float(row[each.lower()] or 0.0) for row in rows]) for each in COLUMNS})


def iso(text: str) -> str:
    """The date of a time stamp, or of eight digits."""
    return f"{text[:4]}-{text[4:6]}-{text[6:8]}" if text[:8].isdigit() else text[:10]


def _joined(parts: list[Bars]) -> Bars:
    dates = np.concatenate([part.dates for part in parts])
    _, first = np.unique(dates, return_index=True)
    return Bars(*(np.concatenate([getattr(part, name) for part in parts])[first] for name in Bars.__slots__))


F8 = npt.NDArray[np.float64]
Dates = npt.NDArray[np.datetime64]

FIELDS = {
    "date": ("date", "timestamp", "日期"),
    "open": ("open", "开盘", "开盘价", "開盤價"),
    "high": ("high", "最高", "最高价", "最高價"),
    "low": ("low", "最低", "最低价", "最低價"),
    "close": ("close", "收盘", "收盘价", "收盤價"),
    "volume": ("volume", "成交量"),
}
HEADLESS = ("date", "open", "high", "low", "close", "volume")
_PRICES = ("open", "high", "low", "close")
PART = re.compile(r"_\d{4}-\d{1,2}-\d{1,2}_\d{4}-\d{1,2}-\d{1,2}$")
"""What a file's name ends with that holds one stretch of an instrument's days."""
_DAY = np.timedelta64(1, "D")


def read_bars(*folders: Path) -> tuple[Panel, list[str]]:
    """Daily bars by instrument, and the names of the CSV files that are none.

    An instrument is named as its file, without the two dates of a file that holds a stretch of days: such files are
    joined, and of a day that two hold the first counts. With several folders the folder's name comes before it.
    A bar's `at` is the midnight UTC after its date. A zero, an empty cell or a word is missing and takes the last value
    known; days before the first close are left out; a column that a file lacks is NaN. TapewatchError where no file is.
    """
    parts: dict[str, list[Series]] = defaultdict(list)
    strange = []
    for path in sorted(path for folder in folders for path in folder.glob("*.csv")):
        name = PART.sub("", path.stem)
        if len(folders) > 1:
            name = f"{path.parent.name}/{name}"
        try:
            parts[name].append(_series(name, _rows(path)))
        except (OSError, ValueError, csv.Error):
            strange.append(path.name)
    found = {name: joined(name, each) for name, each in sorted(parts.items()) if each}
    if not found:
        raise TapewatchError(
            f"no daily bars in {', '.join(map(str, folders))}",
            "They are CSV files with a date and a close at least, with a header or as date,open,high,low,close,volume.",
        )
    return Panel(found), strange


def _rows(path: Path) -> dict[str, list[str]]:
    """A file's cells by our names of its columns. ValueError where it has no date or close"""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        text = path.read_text(encoding="gbk")
    lines = text.splitlines()
    delimiter = "\t" if lines and "\t" in lines[0] else ","
    rows = [row for row in csv.reader(lines, delimiter=delimiter) if row and row[0].strip()]
    if not rows:
        raise ValueError("no rows")
    headless = rows[0][0][:4].isdigit()
    places = dict(zip(HEADLESS, range(len(rows[0])), strict=False)) if headless else _places(rows.pop(0))
    if not {"date", "close"} <= places.keys():
        raise ValueError("no date or no close")
    full = [row for row in rows if len(row) > max(places.values()) and row[places["date"]].strip()]
    return {name: [row[place] for row in full] for name, place in places.items()}


def _places(header: Sequence[str]) -> dict[str, int]:
    """Where the columns stand by a header's words."""
    words = [word.strip().lower() for word in header]
    found = {
        name: next((words.index(each) for each in each_of if each in words), -1) for name, each_of in FIELDS.items()
    }
    return {name: place for name, place in found.items() if place >= 0}


def _series(name: str, cells: dict[str, list[str]]) -> Series:
    """Bars of one file, oldest first. ValueError where a date is none or no close is known"""
    dates = np.array([iso(text) for text in cells["date"]], dtype="datetime64[D]")
    if np.isnat(dates).any():
        raise ValueError("a date is none")
    dates, first = np.unique(dates, return_index=True)
    absent = np.full(len(dates), np.nan)
    columns = {
        column: carried(np.array([_number(text) for text in cells[column]])[first]) if column in cells else absent
        for column in (*_PRICES, "volume")
    }
    known = np.isfinite(columns["close"])
    if not known.any():
        raise ValueError("no close is known")
    at = (dates + _DAY).astype("datetime64[ns]").astype(np.int64)
    return Series(name, at, **columns)[int(np.argmax(known)) :]


def _number(text: str) -> float:
    """A cell's number, with or without thousands separators; NaN where it is none."""
    try:
        return float(text.replace(",", ""))
    except ValueError:
        return np.nan


def joined(name: str, parts: Sequence[Series]) -> Series:
    """Parts of one instrument in one, oldest first; of a time that two hold the first counts."""
    at, first = np.unique(np.concatenate([part.at for part in parts]), return_index=True)
    rest = (np.concatenate([getattr(part, column) for part in parts])[first] for column in (*_PRICES, "volume"))
    return Series(name, at, *rest)
