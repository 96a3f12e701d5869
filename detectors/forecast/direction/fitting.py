"""Fitting one learner to one fold: labels by cuts of the fitted rows, nothing of the test rows, then calibration.

Temperature scaling: one number that makes a classifier as sure as it is right (Guo et al. 2017).

What every learner of the seven classes looks like; labels, folds, calibration and judging are common to all.

Rows of the seven-class problem: one a bar, instrument after instrument, each with what came after it.
"""

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from detectors.forecast.classes import classes, cuts
from detectors.forecast.walk import Fold, before

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

NEVER = np.iinfo(np.int64).max
"""When the target of an instrument's newest bar is known."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Bars of a panel as learners take them: those of one instrument stand together, oldest first.

    names : of the inputs; instruments : in the order of their rows
    starts : int64[instruments + 1], where each one's rows begin, and their end
    at : int64[rows], UTC ns, when the inputs were known; known : int64[rows], when the target was, NEVER for the newest
    values : float64[rows, inputs], pure numbers that do not depend on the price's unit; NaN where not known
    scale : float64[rows], deviation of the instrument's daily returns as known at `at`; NaN until warm
    returns : float64[rows], log return from this bar's close to the next one's; NaN for the newest, and before a stop
        of trading of weeks
    """

    names: tuple[str, ...]
    instruments: tuple[str, ...]
    starts: I8
    at: I8
    known: I8
    values: F8
    scale: F8
    returns: F8

    def __len__(self) -> int:
        return len(self.at)

    def instrument(self) -> I8:
        """Place of each row's instrument, int64[rows]."""
        return np.repeat(np.arange(len(self.instruments)), np.diff(self.starts))

    def usable(self) -> Bools:
        """Rows warm enough to be learnt from and judged, bool[rows]; a row before may stand in a window."""
        return np.isfinite(self.scale)


class Classifier(Protocol):
    """A fitted learner."""

    def probabilities(self, rows: Rows, wanted: Bools) -> F8:
        """Raw probability of each class, float64[wanted rows, 7], rows in their order, sums of 1.

        wanted : bool[rows]. A window reaches back over the rows before a wanted one, never across `rows.starts`, and
        never forward. Where a window begins before the instrument's first row, or an input is NaN, what stands for it
        is the learner's choice, learnt from fitted rows alone.
        """
        ...


class Learner(Protocol):
    """Fits seven classes to rows."""

    def __call__(self, rows: Rows, labels: I8, fold: Fold, seed: int) -> Classifier:
        """Fit to the rows of `fold.fit`; `fold.calibrate` serves early stopping and choices.

        rows : all of them, so that windows can reach back; `returns` is NaN outside fit and calibrate
        labels : int64[rows], 0 to 6, by cuts of the fitted rows; -1 outside fit and calibrate
        seed : of everything drawn; the same seed gives the same bits
        The module's constant NAME names the learner. ValueError where there is too little to fit to.
        """
        ...


_LEAST = 1e-12
_RANGE = (0.25, 20.0)


def temperature(chances: F8, labels: I8) -> float:
    """What the log probabilities are divided by so that the labels are likeliest, within .25 and 20.

    chances : float64[rows, classes], of rows that were not fitted to; labels : int64[rows]
    """
    from scipy.optimize import minimize_scalar  # only who fits pays for it

    place = np.arange(len(labels))

    def loss(logarithm: float) -> float:
        return -float(np.log(calibrated(chances, float(np.exp(logarithm)))[place, labels] + _LEAST).mean())

    found = minimize_scalar(loss, bounds=tuple(np.log(_RANGE)), method="bounded", options={"xatol": 1e-4})
    return float(f"{np.exp(found.x):.6g}")


def calibrated(chances: F8, by: float) -> F8:
    """Probabilities at a temperature, float64[rows, classes]; their order stays. by : 1 changes nothing"""
    logs = np.log(np.maximum(chances, _LEAST)) / by
    powers: F8 = np.exp(logs - logs.max(axis=1, keepdims=True))
    powers /= powers.sum(axis=1, keepdims=True)
    return powers


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
