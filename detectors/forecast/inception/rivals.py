"""What the networks have to beat: logistic regression on the same factors, momentum, and the more frequent class."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from detectors.calibration import log_loss
from detectors.forecast.inception.fitting import calibration
from detectors.forecast.inception.images import Bools
from detectors.forecast.walk import Fold

F8 = npt.NDArray[np.float64]

STRENGTHS = (1e-4, 1e-3, 1e-2)
"""Inverse strengths of the L2 penalty, of which the calibrate rows choose one."""
_ITERATIONS = 500
_TOLERANCE = 1e-3


def logistic(rows: F8, up: Bools, fold: Fold, strengths: Sequence[float] = STRENGTHS) -> F8:
    """Calibrated probability of a rise of the fold's test rows, float64[test rows].

    rows : float64[rows, inputs], scaled; up : bool[rows]
    """
    best, chosen = np.inf, None
    for strength in strengths:
        model = LogisticRegression(C=strength, max_iter=_ITERATIONS, tol=_TOLERANCE).fit(rows[fold.fit], up[fold.fit])
        loss = log_loss(model.predict_proba(rows[fold.calibrate])[:, 1], up[fold.calibrate])
        if loss < best:
            best, chosen = loss, model
    if chosen is None:
        raise ValueError("no strength of the penalty gives a finite loss")
    share = float(up[fold.fit].mean())
    learnt = calibration(chosen.decision_function(rows[fold.calibrate]), up[fold.calibrate], share)
    return learnt.probabilities(chosen.decision_function(rows[fold.test]))


def majority(up: Bools, fold: Fold) -> F8:
    """The share of rises known before the test rows, for each of them, float64[test rows]."""
    known = up[fold.fit | fold.calibrate]
    return np.full(int(fold.test.sum()), float(known.mean()))
