"""Cumulative logits with location and scale: P(class <= k) = logistic((cut_k - x'b) / exp(z'g)).

McCullagh (1980, section 6). Without g it is the proportional-odds model; a day that is likely to move far is likelier
to fall far and to rise far, which a location alone cannot say. Fitted by L-BFGS on the exact gradient.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import expit
from threadpoolctl import threadpool_limits

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]

_LEAST = 1e-300


class Coefficients(NamedTuple):
    """cuts : float64[classes - 1], increasing; location, spread : float64[inputs]; spread of zeros for proportional
    odds
    """

    cuts: F8
    location: F8
    spread: F8


def probabilities(x: F8, by: Coefficients) -> F8:
    """Of each class, float64[rows, classes]. x : float64[rows, inputs]"""
    # Added up input by input: a product of matrices may round otherwise for other rows.
    middle, wide = np.zeros(len(x)), np.zeros(len(x))
    for column, location, spread in zip(x.T, by.location, by.spread, strict=True):
        middle += column * location
        wide += column * spread
    below = expit((by.cuts - middle[:, None]) * np.exp(-wide)[:, None])
    return np.diff(below, axis=1, prepend=0.0, append=1.0)


def fit(x: F8, labels: I8, classes: int, penalty: float, spread: bool = True, rounds: int = 300) -> Coefficients:
    """Coefficients of the likeliest labels less `penalty` half squared coefficients (cuts are free), a row's mean.

    x : float64[rows, inputs], on one scale; labels : int64[rows], 0 to classes - 1; every class must stand among them
    """
    from scipy.optimize import minimize  # only who fits pays for it

    shares = np.bincount(labels, minlength=classes) / len(labels)
    if not shares.all():
        raise ValueError("a class has no row to fit to")
    logits = np.log(np.cumsum(shares)[:-1] / (1.0 - np.cumsum(shares)[:-1]))
    start = np.concatenate([logits[:1], np.log(np.diff(logits)), np.zeros(2 * x.shape[1])])

    def loss(packed: F8) -> tuple[float, F8]:
        return _loss(packed, x, labels, classes, penalty, spread)

    # One thread: sums in the same order, and so the same coefficients, whatever the number of cores.
    with threadpool_limits(1):
        found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": rounds, "ftol": 1e-9})
    return _unpacked(found.x, classes, x.shape[1])


def _unpacked(packed: F8, classes: int, inputs: int) -> Coefficients:
    """Cuts are packed as the first and the logarithms of the steps, so that they increase whatever is tried."""
    cuts = np.cumsum(np.concatenate([packed[:1], np.exp(packed[1 : classes - 1])]))
    rest = packed[classes - 1 :]
    return Coefficients(cuts, rest[:inputs], rest[inputs:])


def _loss(packed: F8, x: F8, labels: I8, classes: int, penalty: float, spread: bool) -> tuple[float, F8]:
    """Penalised mean negative log likelihood, and its gradient."""
    rows, inputs = x.shape
    by = _unpacked(packed, classes, inputs)
    narrow = np.exp(-(x @ by.spread))
    middle = x @ by.location
    edges = np.concatenate([[-np.inf], by.cuts, [np.inf]])
    upper, lower = (edges[labels + 1] - middle) * narrow, (edges[labels] - middle) * narrow
    above, below = expit(upper), expit(lower)
    chance = np.maximum(above - below, _LEAST)
    slope_up, slope_down = above * (1.0 - above) / chance, below * (1.0 - below) / chance
    # An infinite edge has no slope; infinity times 0 would be NaN.
    reach = np.where(np.isfinite(upper), upper, 0.0) * slope_up - np.where(np.isfinite(lower), lower, 0.0) * slope_down
    by_cut = np.bincount(labels, slope_up * narrow, minlength=classes)[:-1]
    by_cut = by_cut - np.bincount(labels, slope_down * narrow, minlength=classes)[1:]
    to_right = np.cumsum(by_cut[::-1])[::-1]
    steps = np.exp(packed[1 : classes - 1])
    by_location = -(x.T @ ((slope_up - slope_down) * narrow))
    by_spread = -(x.T @ reach) if spread else np.zeros(inputs)
    gradient = -np.concatenate([to_right[:1], to_right[1:] * steps, by_location, by_spread]) / rows
    gradient[classes - 1 :] += penalty * packed[classes - 1 :]
    loss = -np.log(chance).mean() + 0.5 * penalty * float(packed[classes - 1 :] @ packed[classes - 1 :])
    return float(loss), gradient
