"""The published feature rows: one at the onset of each announced pump, and those around natural price spikes."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.pumps import features
from tapewatch.errors import TapewatchError

F8 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FeatureRows:
    """Rows of one chunk length.

    x : float64[rows, 8]; symbol : object[rows], the coin; event : int64[rows], which rows belong together
    """

    x: F8
    symbol: npt.NDArray[np.object_]
    event: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.x)

    def take(self, index: Any) -> "FeatureRows":
        """The rows at `index`."""
        return FeatureRows(self.x[index], self.symbol[index], self.event[index])


def read(path: Path) -> FeatureRows:
    """A file's rows; the label and the clock columns are left out."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return FeatureRows(
            np.array([[float(row[name]) for name in features.NAMES] for row in rows]).reshape(-1, features.COUNT),
            np.array([row["symbol"] for row in rows], dtype=object),
            np.array([int(row["pump_index"]) for row in rows], dtype=np.int64),
        )
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise TapewatchError(
            f"{path} holds no pump features: {error}",
            f"Give a CSV with pump_index, symbol and {', '.join(features.NAMES)}.",
        ) from error


def read_all(folder: Path, kind: str) -> list[FeatureRows]:
    """`positives` or `natural_spikes` of every chunk length, in the order of features.WINDOWS."""
    return [read(folder / f"{kind}_{window}S.csv") for window in features.WINDOWS]
