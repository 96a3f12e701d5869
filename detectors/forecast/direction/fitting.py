"""Fitting one learner to one fold: labels by cuts of the fitted rows, nothing of the test rows, then calibration."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from detectors.forecast.classes import classes, cuts
from detectors.forecast.direction.calibration import calibrated, temperature
from detectors.forecast.direction.learner import Classifier, Learner
from detectors.forecast.direction.rows import NEVER, Rows
from detectors.forecast.walk import Fold, before

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class CalibratedClassifier:
    """A fitted learner with what makes its probabilities classes.

    cuts : float64[6], log returns; temperature : 1 leaves the learner's probabilities as they are
    """

    fitted: Classifier
    cuts: F8
    temperature: float

    def probabilities(self, rows: Rows, wanted: Bools) -> F8:
        """Calibrated probability of each class, float64[wanted rows, 7]."""
        return calibrated(self.fitted.probabilities(rows, wanted), self.temperature)


def within(fold: Fold, rows: Rows) -> Fold:
    """The fold without rows that are not warm or whose target is not known."""
    whole = rows.usable() & np.isfinite(rows.returns)
    return Fold(fold.fit & whole, fold.calibrate & whole, fold.test & whole)


def newest(rows: Rows) -> Fold:
    """A fold for forecasts of what comes after all rows: every row whose target is known serves, none is tested.

    ValueError where there is too little
    """
    fit, calibrate = before(rows.at, rows.known, NEVER)
    fold = within(Fold(fit, calibrate, np.zeros(len(rows), dtype=bool)), rows)
    if not (fold.fit.any() and fold.calibrate.any()):
        raise ValueError("too few bars to fit to")
    return fold


def labelled(rows: Rows, fold: Fold) -> tuple[I8, F8]:
    """Labels of the rows to learn from, int64[rows], -1 elsewhere, and the cuts, of fitted rows alone."""
    parts = cuts(rows.returns[fold.fit])
    seen = fold.fit | fold.calibrate
    labels = np.full(len(rows), -1, dtype=np.int64)
    labels[seen] = classes(rows.returns[seen], parts)
    return labels, parts


def blinded(rows: Rows, fold: Fold) -> Rows:
    """The rows as a learner sees them: without what came after any row that is neither fitted nor calibrated to."""
    return replace(rows, returns=np.where(fold.fit | fold.calibrate, rows.returns, np.nan))


def fit(learner: Learner, rows: Rows, fold: Fold, seed: int) -> CalibratedClassifier:
    """Fit and calibrate. fold : as `within` gave it"""
    labels, parts = labelled(rows, fold)
    seen = blinded(rows, fold)
    fitted = learner(seen, labels, fold, seed)
    raw = fitted.probabilities(seen, fold.calibrate)
    return CalibratedClassifier(fitted, parts, temperature(raw, labels[fold.calibrate]))
