"""Figures of forecasts in classes as functions of counts, so that an interval's draws need counts alone.

Each takes any number of counts at once over its leading axes; tests hold them to scikit-learn's on single rows.
"""

import numpy as np
import numpy.typing as npt

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]

BINS = 128
"""Steps of a score by which an area under the curve is counted."""


def accuracy(confusion: F8) -> F8:
    """Share of right ones, float64[...]. confusion : float64[..., classes, classes], rows by what happened, columns by
    what was forecast
    """
    found: F8 = np.trace(confusion, axis1=-2, axis2=-1) / confusion.sum(axis=(-2, -1))
    return found


def balanced_accuracy(confusion: F8) -> F8:
    """Mean over classes that happened of the share forecast right, float64[...]."""
    happened = confusion.sum(axis=-1)
    with np.errstate(invalid="ignore"):
        right = np.diagonal(confusion, axis1=-2, axis2=-1) / happened
    found: F8 = np.nanmean(right, axis=-1)
    return found


def macro_f1(confusion: F8) -> F8:
    """Mean over classes that happened or were forecast of their F1, float64[...]."""
    both = confusion.sum(axis=-1) + confusion.sum(axis=-2)
    with np.errstate(invalid="ignore"):
        each = 2.0 * np.diagonal(confusion, axis1=-2, axis2=-1) / both
    found: F8 = np.nanmean(each, axis=-1)
    return found


def kappa(confusion: F8) -> F8:
    """Agreement beyond chance, misses weighted by the square of their distance, float64[...] (Cohen 1968)."""
    place = np.arange(confusion.shape[-1])
    weight = (place[:, None] - place) ** 2.0
    rows = confusion.sum(axis=(-2, -1))
    chance = confusion.sum(axis=-1)[..., :, None] * confusion.sum(axis=-2)[..., None, :] / rows[..., None, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        found: F8 = 1.0 - (weight * confusion).sum(axis=(-2, -1)) / (weight * chance).sum(axis=(-2, -1))
    return found


def ranked(scores: F8) -> I8:
    """The bin of each score, int64[rows] below BINS: bins of equally many rows, equal scores in one."""
    edges = np.unique(np.quantile(scores, np.linspace(0.0, 1.0, BINS + 1)[1:-1]))
    return np.searchsorted(edges, scores, side="right").astype(np.int64)


def auc(counts: F8) -> F8:
    """Chance that one that happened has a higher score than one that did not, ties half, float64[...].

    counts : float64[..., bins, 2], by bin of the score those that did not happen and those that did; NaN where either
    is none
    """
    absent, present = counts[..., 0], counts[..., 1]
    below = np.cumsum(absent, axis=-1) - 0.5 * absent
    with np.errstate(invalid="ignore", divide="ignore"):
        found: F8 = (present * below).sum(axis=-1) / (present.sum(axis=-1) * absent.sum(axis=-1))
    return found
