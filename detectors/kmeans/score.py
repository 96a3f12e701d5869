"""Scoring with K-means centres, compiled: distance to the nearest centre of normal trading, and the probability it
stands for.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tapewatch.kernels import borrowed, inlined

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]


class Centres(NamedTuple):
    """A K-means model as the kernels take it.

    index : int64[d], which inputs it uses; location, scale : float64[d], robust scaling; clip : float64[1], scaled
    values are cut there
    centres : float64[d, k], scaled, one column for each centre of normal trading; totals : float64[k], scratch
    knots : float64[2, m], calibration: distance (increasing) and probability; alert : float64[1], distance at which the
    alert budget is spent
    """

    index: I8  # type: ignore[assignment]  # a field by that name hides tuple.index, which nothing calls
    location: F8
    scale: F8
    clip: F8
    centres: F8
    totals: F8
    knots: F8
    alert: F8


def no_model() -> Centres:
    """A model without centres: every score is NaN."""
    empty = np.zeros(0)
    return Centres(
        np.zeros(0, dtype=np.int64), empty, empty, np.full(1, 20.0), np.zeros((0, 0)), empty,
        np.zeros((2, 0)), np.full(1, np.inf),
    )  # fmt: skip


@inlined
def borrow(model: Centres) -> Centres:
    """The same arrays without reference counts, for a loop whose caller holds them."""
    return Centres(
        borrowed(model.index),
        borrowed(model.location),
        borrowed(model.scale),
        borrowed(model.clip),
        borrowed(model.centres),
        borrowed(model.totals),
        borrowed(model.knots),
        borrowed(model.alert),
    )


@inlined
def distance(inputs: F8, model: Centres) -> float:
    """Distance of one row to the nearest normal centre, in scaled units per square root of input.

    inputs : float64[n]; a NaN among the inputs the model uses is left out of the sum, and the sum scaled up for it; NaN
    where more than half are missing (not warm, or not assessable with this feed's data).
    """
    used = model.index.size
    totals = model.totals
    centres = totals.size
    if centres == 0:
        return np.nan
    for k in range(centres):
        totals[k] = 0.0
    limit = model.clip[0]
    present = 0
    for j in range(used):
        value = inputs[model.index[j]]
        if np.isnan(value):
            continue
        present += 1
        scaled = min(max((value - model.location[j]) * model.scale[j], -limit), limit)
        for k in range(centres):
            apart = scaled - model.centres[j, k]
            totals[k] += apart * apart
    if 2 * present < used or present == 0:
        return np.nan
    nearest = np.inf
    for k in range(centres):
        nearest = min(nearest, totals[k])
    return float(np.sqrt(nearest / present))


@inlined
def probability(value: float, knots: F8) -> float:
    """Calibrated probability of a distance, linear between knots; NaN for NaN."""
    count = knots.shape[1]
    if np.isnan(value) or count == 0:
        return np.nan
    if value <= knots[0, 0]:
        return float(knots[1, 0])
    for m in range(1, count):
        if value <= knots[0, m]:
            share = (value - knots[0, m - 1]) / (knots[0, m] - knots[0, m - 1])
            return float(knots[1, m - 1] + share * (knots[1, m] - knots[1, m - 1]))
    return float(knots[1, count - 1])
