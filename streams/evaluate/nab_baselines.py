"""Detectors to compare with: one that never alerts, one that draws lots, and NAB's windowed Gaussian."""

import math

import numpy as np
import numpy.typing as npt

F8 = npt.NDArray[np.float64]

_WINDOW = 6400
_STEP = 100
_SMALLEST = 1e-6
_DIGITS = 12
"""Digits that the benchmark's result files carry; what they merge into 1.0 decides this baseline's score."""
_TAIL = np.frompyfunc(math.erfc, 1, 1)


def null(values: F8, seed: int) -> F8:
    """The same score everywhere, float64[rows]."""
    return np.full(len(values), 0.5)


def random(values: F8, seed: int) -> F8:
    """Uniform draws, float64[rows]."""
    return np.random.default_rng(seed).random(len(values))


def windowed_gaussian(values: F8, seed: int) -> F8:
    """1 - P(further from the mean on that side), by a Gaussian over the last 6,400 values, moved 100 at a time.

    float64[rows]; the baseline that NAB's table lists at 39.6.
    """
    rows = len(values)
    upto = np.arange(rows)
    late = np.maximum(upto - _WINDOW, 0) // _STEP * _STEP
    first, last = late, np.where(upto > _WINDOW, _WINDOW + late, upto)
    shifted = values - values[0] if rows else values
    sums = np.concatenate([[0.0], np.cumsum(shifted)])
    squares = np.concatenate([[0.0], np.cumsum(shifted * shifted)])
    count = np.maximum(last - first, 1)
    mean = (sums[last] - sums[first]) / count
    spread = np.sqrt(np.maximum((squares[last] - squares[first]) / count - mean * mean, 0.0))
    spread[spread == 0.0] = _SMALLEST
    distance = np.abs(shifted - mean) / spread
    found: F8 = np.round(1.0 - 0.5 * _TAIL(distance / math.sqrt(2.0)).astype(np.float64), _DIGITS)
    if rows:
        found[0] = 0.0
    return found
