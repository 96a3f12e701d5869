"""Daily bars of a folder, a training and a test file an instrument, as `evaluate ddqn` and `train ddqn` read them."""

import csv
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from detectors.ddqn.daily_market import COLUMNS, Bars, bars_of, joined
from tapewatch.errors import TapewatchError

TRAINING, TEST = "_2012-1-1_2018-1-1.csv", "_2018-1-1_2020-1-1.csv"
SPLIT = "2018-01-01"
"""No row from this day on is learnt from, whatever file it stands in."""


@dataclass(frozen=True, slots=True)
class Instrument:
    """One instrument's files.

    training : rows before 2018; test : the second file; whole, begins : both in one, and the row where the test begins
    """

    name: str
    training: Bars
    test: Bars
    whole: Bars
    begins: int


def read_folder(folder: Path) -> list[Instrument]:
    """The instruments of a folder by name. TapewatchError where there are none, or one cannot be read."""
    names = sorted(path.name.removesuffix(TRAINING) for path in folder.glob(f"*{TRAINING}"))
    if not names:
        raise TapewatchError(f"{folder} has no *{TRAINING}", "Name a folder of daily bars with --daily.")
    return [_instrument(folder, name) for name in names]


def digest(folder: Path, instruments: Sequence[Instrument]) -> str:
    """sha256 over names and contents of the instruments' files."""
    return hashed(folder / f"{one.name}{suffix}" for one in instruments for suffix in (TRAINING, TEST))


def hashed(paths: Iterable[Path]) -> str:
    """sha256 over names and contents of files."""
    sha = hashlib.sha256()
    for path in paths:
        sha.update(path.name.encode() + b"\0" + path.read_bytes())
    return sha.hexdigest()


def _instrument(folder: Path, name: str) -> Instrument:
    older, newer = read_bars(folder / f"{name}{TRAINING}").before(SPLIT), read_bars(folder / f"{name}{TEST}")
    whole, begins = joined(older, newer)
    return Instrument(name, older, newer, whole, begins)


def read_bars(path: Path) -> Bars:
    """Bars of one file; an empty cell or a zero is a missing value, which takes the last one known."""
    try:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        dates = np.array([row["Timestamp"][:10] for row in rows], dtype="datetime64[D]")
        return bars_of(dates, {name: np.array([float(row[name] or 0.0) for row in rows]) for name in COLUMNS})
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise TapewatchError(
            f"{path} cannot be read as daily bars: {error}", f"It needs Timestamp,{','.join(COLUMNS)}, oldest first."
        ) from error
