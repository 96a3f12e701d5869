"""The ordinal regression as a learner of the seven classes: inputs filled and scaled as the fitted rows tell."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from detectors.forecast.classes import CLASSES
from detectors.forecast.direction.filling import medians, scaled, spreads
from detectors.forecast.direction.rows import Rows
from detectors.forecast.ordinal.regression import Coefficients, fit, probabilities
from detectors.forecast.walk import Fold

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

NAME = "ordinal"
PENALTIES = (0.003, 0.03, 0.3)
"""Tried on the calibrating rows."""


@dataclass(frozen=True, slots=True)
class OrdinalClassifier:
    """As learner.Fitted asks. middle, scale : float64[inputs], of the fitted rows; penalty : the one chosen"""

    middle: F8
    scale: F8
    coefficients: Coefficients
    penalty: float

    def probabilities(self, rows: Rows, wanted: Bools) -> F8:
        """Of each class, float64[wanted rows, 7]."""
        return probabilities(scaled(rows.values[wanted], self.middle, self.scale), self.coefficients)


def learn(rows: Rows, labels: I8, fold: Fold, seed: int) -> OrdinalClassifier:
    """As learner.Learner asks; nothing is drawn, so that the seed changes nothing."""
    raw = rows.values[fold.fit]
    middle = medians(raw)
    scale = spreads(raw, middle)
    x, newer = scaled(raw, middle, scale), scaled(rows.values[fold.calibrate], middle, scale)
    found = [OrdinalClassifier(middle, scale, fit(x, labels[fold.fit], len(CLASSES), each), each) for each in PENALTIES]

    def loss(one: OrdinalClassifier) -> float:
        chances = probabilities(newer, one.coefficients)
        return -float(np.log(np.maximum(chances[np.arange(len(newer)), labels[fold.calibrate]], 1e-12)).mean())

    return min(found, key=loss)
