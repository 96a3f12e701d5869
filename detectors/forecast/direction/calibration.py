"""Temperature scaling: one number that makes a classifier as sure as it is right (Guo et al. 2017)."""

import numpy as np
import numpy.typing as npt

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]

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
