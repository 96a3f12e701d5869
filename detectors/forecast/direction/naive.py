"""Forecasts of the seven classes that know next to nothing: what a learner has to beat."""

import numpy as np
import numpy.typing as npt

from detectors.forecast.classes import CLASSES, classes
from detectors.forecast.direction.fitting import Rows
from detectors.forecast.walk import Fold

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]

NAMES = ("majority", "persistence", "momentum", "volatility")
MOMENTUM_BARS = 20


def chances(rows: Rows, labels: I8, fold: Fold, cuts: F8) -> dict[str, F8]:
    """Probabilities of the test rows' classes by name, float64[tested rows, 7] each.

    majority : the fitted rows' shares, whatever the row; persistence : the class of the return that ended at the bar
    momentum : the class of the last 20 bars' return divided by the root of 20, as if one day's
    volatility : the fitted rows' returns in units of their deviation, times the row's own deviation, and which share of
    them falls into each class: knows how much the instrument moves, and nothing of where to
    """
    shares = np.bincount(labels[fold.fit], minlength=len(CLASSES)) / fold.fit.sum()
    tested = int(fold.test.sum())
    # What is not known is flat: the first return after trading stopped for weeks.
    before = np.nan_to_num(_before(rows))
    today, lately = (classes(each[fold.test], cuts) for each in (before, _lately(before, rows)))
    standard = np.sort(rows.returns[fold.fit] / rows.scale[fold.fit])
    # Falls and rises alike: the fitted rows' drift is no part of what this one knows.
    standard = np.sort(np.concatenate([standard, -standard]))
    below = np.searchsorted(standard, cuts / rows.scale[fold.test][:, None]) / len(standard)
    return {
        "majority": np.tile(shares, (tested, 1)),
        "persistence": np.eye(len(CLASSES))[today],
        "momentum": np.eye(len(CLASSES))[lately],
        "volatility": np.diff(below, axis=1, prepend=0.0, append=1.0),
    }


def _before(rows: Rows) -> F8:
    """The return that ended at each row's bar, float64[rows]; NaN for an instrument's first."""
    found = np.append(np.nan, rows.returns[:-1])
    found[rows.starts[:-1]] = np.nan
    return found


def _lately(before: F8, rows: Rows) -> F8:
    """The returns of the MOMENTUM_BARS before each row, over their root; of those there are near an instrument's first.

    before : as `_before` gives them, 0 where not known
    """
    sums = np.concatenate([[0.0], np.cumsum(before)])
    end = np.arange(1, len(before) + 1)
    first = np.maximum(end - MOMENTUM_BARS, np.repeat(rows.starts[:-1], np.diff(rows.starts)))
    found: F8 = (sums[end] - sums[first]) / MOMENTUM_BARS**0.5
    return found
