"""Figures of classified texts: accuracy, macro F1 and calibration, with intervals of a bootstrap over groups."""

from collections.abc import Callable
from typing import Any

import numpy as np

from detectors.sentiment.labels import I8
from detectors.sentiment.scorer import CLASSES, F8

RESAMPLES = 2000
_COUNT = len(CLASSES)


def confusions(labels: I8, groups: I8, classes: F8) -> F8:
    """Truth by prediction of each group, mean over repeats, float64[groups, 9]. classes : float64[repeats, rows, 3]"""
    found = np.zeros((int(groups.max()) + 1, _COUNT * _COUNT))
    for one in classes:
        np.add.at(found, (groups, labels * _COUNT + one.argmax(axis=1)), 1.0 / len(classes))
    return found


def accuracy(confusion: F8) -> float:
    """Share on the diagonal. confusion : float64[9]"""
    square = confusion.reshape(_COUNT, _COUNT)
    return float(np.trace(square) / max(square.sum(), 1e-300))


def macro_f1(confusion: F8) -> float:
    """Mean F1 of the classes that occur. confusion : float64[9]"""
    square = confusion.reshape(_COUNT, _COUNT)
    truth, said, hit = square.sum(axis=1), square.sum(axis=0), np.diag(square)
    return float(np.mean((2.0 * hit / np.maximum(truth + said, 1e-300))[truth > 0.0]))


def drawn(groups: int, seed: int = 0) -> F8:
    """How often each draw holds each group, float64[RESAMPLES, groups]."""
    rng = np.random.default_rng(seed)
    return np.array([np.bincount(rng.integers(0, groups, groups), minlength=groups) for _ in range(RESAMPLES)], float)


def interval(figure: Callable[[F8], float], confusion: F8, draws: F8, less: F8 | None = None) -> dict[str, float]:
    """A figure with its 95 % interval; of the difference to another's confusions, drawn alike, where one is given."""

    def value(weights: F8) -> float:
        return figure(weights @ confusion) - (0.0 if less is None else figure(weights @ less))

    found = [value(weights) for weights in draws]
    low, high = np.percentile(found, [2.5, 97.5])
    return {"mean": value(np.ones(draws.shape[1])), "low": float(low), "high": float(high)}


def calibration_error(labels: I8, classes: F8, bins: int = 10) -> float:
    """Expected calibration error of the likeliest class (Guo et al. 2017). classes : float64[repeats, rows, 3]"""
    sure = classes.max(axis=2).ravel()
    right = (classes.argmax(axis=2) == labels).ravel().astype(float)
    which = np.minimum((sure * bins).astype(int), bins - 1)
    gaps = np.abs(np.bincount(which, right, bins) - np.bincount(which, sure, bins))
    return float(gaps.sum() / len(sure))


def judged(labels: I8, groups: I8, classes: F8, draws: F8) -> dict[str, Any]:
    """The figures of one classifier."""
    confusion = confusions(labels, groups, classes)
    return {
        "accuracy": interval(accuracy, confusion, draws),
        "macro_f1": interval(macro_f1, confusion, draws),
        "calibration_error": calibration_error(labels, classes),
        "confusion": confusion.sum(axis=0).reshape(_COUNT, _COUNT).round(2).tolist(),
    }
