"""A fitted network: inputs scaled, windows gathered, probabilities told by numpy."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.special

from detectors.forecast.classes import CLASSES
from detectors.forecast.direction.filling import medians, scaled, spreads
from detectors.forecast.direction.rows import Rows
from detectors.forecast.networks import architectures
from detectors.forecast.networks.arithmetic import Numpy

F4 = npt.NDArray[np.float32]
F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

SCALING = ("location", "scale")
"""Arrays of a network beside its weights, float32[inputs] each."""
_AT_ONCE = 2048


def scaling_of(values: F8) -> dict[str, F4]:
    """Location and scale of each input. values : float64[rows, inputs], fitted rows alone"""
    location = medians(values)
    return {
        name: each.astype(np.float32) for name, each in zip(SCALING, (location, spreads(values, location)), strict=True)
    }


def table(values: F8, arrays: dict[str, F4]) -> F4:
    """Scaled inputs, float32[rows + 1, inputs]; the last row, of zeros, is every day before an instrument's first."""
    location, scale = (arrays[name].astype(np.float64) for name in SCALING)
    found = scaled(values, location, scale).astype(np.float32)
    return np.concatenate([found, np.zeros((1, values.shape[1]), np.float32)])


def windows(starts: I8, rows: I8) -> I8:
    """For each of some rows the rows of its window, int64[rows, STEPS], oldest first; -1 before its instrument's first.

    starts : int64[instruments + 1], where each instrument's rows begin, and their end
    """
    first = starts[np.searchsorted(starts, rows, side="right") - 1]
    found: I8 = rows[:, None] + np.arange(1 - architectures.STEPS, 1)
    return np.where(found >= first[:, None], found, -1)


@dataclass(frozen=True, slots=True)
class Network:
    """As detectors.forecast.direction.learner.Fitted asks. name : of the architecture; arrays : weights and SCALING"""

    name: str
    arrays: dict[str, F4]

    def outputs(self, rows: Rows, wanted: Bools) -> F4:
        """Logits of the classes, and the return in units of its spread, float32[wanted rows, 8]."""
        inputs, places = table(rows.values, self.arrays), windows(rows.starts, np.flatnonzero(wanted))
        parts = [
            architectures.outputs(self.name, Numpy(), self.arrays, inputs[places[first : first + _AT_ONCE]])
            for first in range(0, len(places), _AT_ONCE)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, architectures.OUTPUTS), np.float32)

    def probabilities(self, rows: Rows, wanted: Bools) -> F8:
        """Of each class before calibration, float64[wanted rows, 7]."""
        logits = self.outputs(rows, wanted)[:, : len(CLASSES)].astype(np.float64)
        found: F8 = scipy.special.softmax(logits, axis=1)
        return found
