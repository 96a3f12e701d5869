"""Scoring with K-means centres, compiled: distance to the nearest centre of normal trading, and the probability it
stands for.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.feeds import COUNT
from tapewatch.kernels import inlined

F8 = npt.NDArray[np.float64]
F4 = npt.NDArray[np.float32]
I8 = npt.NDArray[np.int64]


BLOCK = 64
"""Rows that `distances` takes at once at most."""

CLIP = 0
"""Field of `limits`."""


class Centres(NamedTuple):
    """A K-means model as the kernels take it.

    index : int64[d], which inputs it uses; scaling : float64[2, d], location and factor of the robust scaling
    centres : float64[d, k], scaled, one column for each centre of normal trading
    knots : float64[2, m], calibration: distance (increasing) and probability
    limits : float64[1], where scaled values are cut
    alerts : float64[feeds + 1], distances at which the alert budget is spent, as detectors.feeds.by_feed has them
    """

    index: I8  # type: ignore[assignment]  # a field by that name hides tuple.index, which nothing calls
    scaling: F8
    centres: F8
    knots: F8
    limits: F8
    alerts: F8


def no_model() -> Centres:
    """A model without centres: every score is NaN."""
    nothing = np.zeros((2, 0))
    nowhere = np.full(COUNT + 1, np.inf)
    return Centres(np.zeros(0, dtype=np.int64), nothing, np.zeros((0, 0)), nothing, np.array([20.0]), nowhere)


@inlined
def _scaled(value: float, model: Centres, j: int) -> float:
    """Input `j` in scaled units, cut at the limit; NaN stays NaN."""
    if np.isnan(value):
        return np.nan
    limit = model.limits[CLIP]
    return float(min(max((value - model.scaling[0, j]) * model.scaling[1, j], -limit), limit))


@inlined
def distance(inputs: F8, model: Centres) -> float:
    """Distance of one row to the nearest normal centre, in scaled units per square root of input.

    inputs : float64[n]; a NaN among the inputs the model uses is left out of the sum, and the sum scaled up for it; NaN
    where more than half are missing (not warm, or not assessable with this feed's data).
    """
    used, centres = model.centres.shape
    present = 0
    for j in range(used):
        present += not np.isnan(inputs[model.index[j]])
    if centres == 0 or 2 * present < used or present == 0:
        return np.nan
    nearest = np.inf
    for k in range(centres):
        total = 0.0
        for j in range(used):
            value = inputs[model.index[j]]
            if not np.isnan(value):
                apart = _scaled(value, model, j) - model.centres[j, k]
                total += apart * apart
        nearest = min(nearest, total)
    return float(np.sqrt(nearest / present))


@inlined
def distances(columns: F4, first: int, count: int, model: Centres, work: F8, found: F8) -> None:
    """The same for `count` rows (BLOCK at most) of a table of columns, bit for bit, many rows an instruction.

    columns : float32[n, rows], from row `first` on; work : float64[d + 3, BLOCK], scratch; found : float64[BLOCK] out
    """
    used, centres = model.centres.shape
    total, nearest, present = work[used], work[used + 1], work[used + 2]
    for row in range(count):
        nearest[row] = np.inf
        present[row] = 0.0
    for j in range(used):
        inputs, scaled = columns[model.index[j]], work[j]
        location, factor, limit = model.scaling[0, j], model.scaling[1, j], model.limits[CLIP]
        for row in range(count):
            value = np.float64(inputs[first + row])
            there = value == value
            present[row] += 1.0 if there else 0.0
            cut = min(max((value - location) * factor, -limit), limit)
            scaled[row] = cut if there else np.nan
    for k in range(centres):
        for row in range(count):
            total[row] = 0.0
        for j in range(used):
            scaled, centre = work[j], model.centres[j, k]
            for row in range(count):
                apart = scaled[row] - centre
                total[row] += apart * apart if apart == apart else 0.0
        for row in range(count):
            nearest[row] = min(nearest[row], total[row])
    for row in range(count):
        enough = centres > 0 and 2.0 * present[row] >= used and present[row] > 0.0
        found[row] = np.sqrt(nearest[row] / present[row]) if enough else np.nan


@inlined
def probability(value: float, knots: F8) -> float:
    """Calibrated probability of a distance, linear between knots; NaN for NaN."""
    count = knots.shape[1]
    if np.isnan(value) or count == 0:
        return np.nan
    if value <= knots[0, 0]:
        return float(knots[1, 0])
    if value > knots[0, count - 1]:
        return float(knots[1, count - 1])
    low, high = 0, count - 1
    while high - low > 1:
        middle = (low + high) >> 1
        if value <= knots[0, middle]:
            high = middle
        else:
            low = middle
    share = (value - knots[0, low]) / (knots[0, high] - knots[0, low])
    return float(knots[1, low] + share * (knots[1, high] - knots[1, low]))
