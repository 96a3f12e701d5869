"""The Numenta Anomaly Benchmark's files: series, labelled windows and cost profiles, as its repository has them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv

from tapewatch.errors import TapewatchError

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]

PROBATION_SHARE = 0.15
_PROBATION_ROWS = 5000
"""Length from which a longer series has no longer probation."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What a profile pays for a window found early, and charges for a window missed and for a false row."""

    name: str
    hit: float
    miss: float
    false: float


@dataclass(frozen=True, slots=True)
class Series:
    """One labelled series.

    name : folder/file.csv, the labels' key; seconds : float64[rows], since the epoch; values : float64[rows]
    windows : int64[n, 2], first and last row of every labelled window
    """

    name: str
    seconds: F8
    values: F8
    windows: I8

    @property
    def category(self) -> str:
        """The folder: realTweets, realAdExchange, ..."""
        return self.name.partition("/")[0]

    @property
    def probation(self) -> int:
        """Rows at the start that are not scored."""
        rows = len(self.values)
        return int(min(np.floor(PROBATION_SHARE * rows), PROBATION_SHARE * _PROBATION_ROWS))


def read_series(folder: Path) -> list[Series]:
    """Every labelled series below `folder`, by name. TapewatchError where the layout is another."""
    labels = _json(folder / "labels" / "combined_windows.json")
    found = []
    for name in sorted(labels):
        path = folder / "data" / name
        if not path.is_file():
            raise TapewatchError(f"{path} is labelled but not there", "Name a complete NAB checkout with --data.")
        table = pa.csv.read_csv(
            path, convert_options=pa.csv.ConvertOptions(column_types={"timestamp": pa.string(), "value": pa.float64()})
        )
        times = _microseconds(table["timestamp"].to_pylist())
        limits = [_microseconds(window) for window in labels[name]]
        windows = [[_row(times, limit, name) for limit in window] for window in limits]
        values = np.asarray(table["value"], dtype=np.float64)
        found.append(
            Series(name, times.astype(np.float64) / 1e6, values, np.array(windows, dtype=np.int64).reshape(-1, 2))
        )
    return found


def read_profiles(folder: Path) -> list[Profile]:
    """The cost profiles, the standard one first."""
    profiles = [
        Profile(name, costs["CostMatrix"]["tpWeight"], costs["CostMatrix"]["fnWeight"], costs["CostMatrix"]["fpWeight"])
        for name, costs in _json(folder / "profiles.json").items()
    ]
    return sorted(profiles, key=lambda profile: profile.name != "standard")


def development(series: list[Series]) -> list[bool]:
    """Which series the detector may be developed on: in every folder, by name, the first, third, fifth, ..."""
    seen: dict[str, int] = {}
    chosen = []
    for one in series:
        position = seen.get(one.category, 0)
        chosen.append(position % 2 == 0)
        seen[one.category] = position + 1
    return chosen


def _json(path: Path) -> dict[str, Any]:
    """A JSON document of the benchmark."""
    if not path.is_file():
        raise TapewatchError(f"there is no {path}", "Name the folder of a NAB checkout with --data.")
    document: dict[str, Any] = json.loads(path.read_text())
    return document


def _microseconds(times: list[str]) -> I8:
    """Microseconds since the epoch, int64[n]."""
    return np.array(times, dtype="datetime64[us]").astype(np.int64)


def _row(times: I8, limit: int, name: str) -> int:
    """The first row at a window's limit."""
    rows = np.flatnonzero(times == limit)
    if not len(rows):
        raise TapewatchError(f"{name}: no row lies at a window's limit", "Use the labels that belong to the data.")
    return int(rows[0])
