"""What every learner of the seven classes looks like; labels, folds, calibration and judging are common to all."""

from typing import Protocol

import numpy as np
import numpy.typing as npt

from detectors.forecast.direction.rows import Rows
from detectors.forecast.walk import Fold

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


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
