"""Seven classes of a next move, from big fall to big rise, cut at quantiles of what was learnt from."""

import numpy as np
import numpy.typing as npt

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]

CLASSES = ("fall_big", "fall_mid", "fall_small", "flat", "rise_small", "rise_mid", "rise_big")
"""In order; a class is its place here."""
SHARES = (0.05, 0.20, 0.40, 0.60, 0.80, 0.95)
"""Quantiles of the training returns between the classes."""


def cuts(returns: F8) -> F8:
    """Where the classes part, float64[6], increasing. returns : float64[rows] of training rows only"""
    found: F8 = np.quantile(returns, SHARES)
    if not np.all(np.diff(found) > 0.0):
        raise ValueError("returns vary too little for seven classes")
    return found


def classes(returns: F8, parts: F8) -> I8:
    """The class of each return, int64[rows], 0 to 6. parts : as `cuts` gave them"""
    found: I8 = np.searchsorted(parts, returns, side="right").astype(np.int64)
    return found
