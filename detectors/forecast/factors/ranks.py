"""Classes by rank: where today's value stands among the last five, and how often the last five days rose."""

import numpy as np
import numpy.typing as npt

F8 = npt.NDArray[np.float64]

DAYS = 5
OF = ("close", "high", "low")
NAMES = tuple(f"{column}_{kind}_{DAYS}" for column in OF for kind in ("rank", "increase"))
"""Ranks of a bar's own columns; those of an outside series are named after it."""


def rank(values: F8) -> F8:
    """Rank of each value among the last five, itself included: 1 for the highest, ties share the better rank.

    values : float64[rows]; float64[rows] comes back, 1 to 5, NaN in the first four rows and where one of the five is
    """
    found = np.full(len(values), np.nan)
    if len(values) >= DAYS:
        five = np.lib.stride_tricks.sliding_window_view(values, DAYS)
        higher = np.count_nonzero(five > five[:, -1:], axis=1)
        found[DAYS - 1 :] = np.where(np.isnan(five).any(axis=1), np.nan, 1.0 + higher)
    return found


def increase(values: F8) -> F8:
    """6 minus the number of strict rises among the last five changes: 1 where all rose, 6 where none did.

    values : float64[rows]; float64[rows] comes back, NaN in the first five rows and where one of the six values is
    """
    found = np.full(len(values), np.nan)
    if len(values) > DAYS:
        six = np.lib.stride_tricks.sliding_window_view(values, DAYS + 1)
        rises = np.count_nonzero(six[:, 1:] > six[:, :-1], axis=1)
        found[DAYS:] = np.where(np.isnan(six).any(axis=1), np.nan, DAYS + 1.0 - rises)
    return found
