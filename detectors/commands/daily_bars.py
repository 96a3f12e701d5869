"""Daily bars of any folder of CSV files: one instrument a file, or its parts under names with the same beginning."""

import csv
from collections import defaultdict
from pathlib import Path

import numpy as np

from detectors.ddqn.daily_market import COLUMNS, Bars, bars_of
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
