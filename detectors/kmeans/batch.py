"""K-means scores of whole tables, through the same compiled distance that the engine calls for each second."""

import numpy as np
import numpy.typing as npt

from detectors.kmeans import score
from detectors.kmeans.score import Centres
from detectors.scenarios.episode import FIELDS, OPENED, step
from tapewatch.kernels import allocating_kernel

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]


@allocating_kernel
def distances(rows: F8, model: Centres) -> F8:
    """Distance of every row to the nearest normal centre, float64[rows].

    rows : float64[rows, n], inputs in the order that `model.index` points into; NaN where half of them are missing
    """
    found = np.empty(rows.shape[0])
    for row in range(rows.shape[0]):
        found[row] = score.distance(rows[row], model)
    return found


@allocating_kernel
def probabilities(values: F8, knots: F8) -> F8:
    """Calibrated probability of each distance, float64[rows]. knots : float64[2, m]."""
    found = np.empty(values.size)
    for row in range(values.size):
        found[row] = score.probability(values[row], knots)
    return found


@allocating_kernel
def episodes(found: F8, seconds: I8, starts: I8, limit: float, rule: F8) -> int:
    """How many episodes the rule `kmeans_anomaly` opens at the alert distance `limit`.

    found : float64[rows], distances, instrument by instrument in time order; seconds : int64[rows], the sealed second
    of each
    starts : int64[instruments + 1], where each instrument's rows begin, and the end; rule : of `kmeans_anomaly`, as its
    parameters' array()
    """
    count = 0
    for i in range(starts.size - 1):
        e = np.zeros(FIELDS)
        for row in range(starts[i], starts[i + 1]):
            # Not their ratio: the limit of a sum of log odds may be negative.
            strength = 1.0 if found[row] >= limit else 0.0
            count += step(e, strength, seconds[row], 0, rule) == OPENED
    return count


@allocating_kernel
def held(found: F8, seconds: I8, starts: I8, hold: int) -> F8:
    """The distance that the last `hold` consecutive seconds all reached, float64[rows]; NaN where they are not all
    there.
    """
    level = np.full(found.size, np.nan)
    for i in range(starts.size - 1):
        for row in range(starts[i] + hold - 1, starts[i + 1]):
            first = row - hold + 1
            if seconds[row] - seconds[first] == hold - 1:
                # np.min gives NaN where one of them is.
                level[row] = np.min(found[first : row + 1])
    return level
