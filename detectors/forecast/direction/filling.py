"""What stands for an input that is not known: the median of the fitted rows; and inputs on one scale."""

import numpy as np
import numpy.typing as npt

F8 = npt.NDArray[np.float64]

_CLIP = 4.0
"""Deviations beyond which an input is as far out as any."""


def medians(values: F8) -> F8:
    """Median of each column's known values, float64[columns]; 0 where a column has none. values : fitted rows alone"""
    known = np.isfinite(values)
    return np.array(
        [
            float(np.median(column[there])) if there.any() else 0.0
            for column, there in zip(values.T, known.T, strict=True)
        ]
    )


def filled(values: F8, by: F8) -> F8:
    """The rows with `by`, one a column, where a value is not known, float64[rows, columns]."""
    return np.where(np.isfinite(values), values, by)


def spreads(values: F8, location: F8) -> F8:
    """Deviation of each filled column, float64[columns], clipped values left out; 1 where a column does not vary."""
    full = filled(values, location)
    low, high = np.quantile(full, [0.01, 0.99], axis=0)
    found = np.std(np.clip(full, low, high), axis=0)
    return np.where(found > 0.0, found, 1.0)


def scaled(values: F8, location: F8, scale: F8) -> F8:
    """Filled and scaled rows within four deviations, float64[rows, columns]."""
    return np.clip((filled(values, location) - location) / scale, -_CLIP, _CLIP)
