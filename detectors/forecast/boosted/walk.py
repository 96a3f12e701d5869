"""What boosted trees of several classes say of rows."""

import numpy as np
import numpy.typing as npt

from detectors.boosted.forest import Forest
from detectors.boosted.forest import log_odds as of_group
from tapewatch.kernels import kernel

F8 = npt.NDArray[np.float64]


def log_odds(x: F8, trees: Forest) -> F8:
    """Of each class, float64[rows, classes]. x : float64[rows, inputs]"""
    found = np.zeros((len(x), len(trees.base)))
    _walk(np.ascontiguousarray(x), trees, found)
    return found


@kernel
def _walk(x: F8, trees: Forest, found: F8) -> None:
    for row in range(x.shape[0]):
        for group in range(found.shape[1]):
            found[row, group] = of_group(x[row], group, trees)
