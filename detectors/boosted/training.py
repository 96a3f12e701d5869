"""Boosted trees out of scikit-learn: their nodes as a model file holds them, and the level that spends a budget."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import TypedDict

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingClassifier

F8 = npt.NDArray[np.float64]


class Exported(TypedDict):
    """Fields of `model.Nodes`, and the log odds before any tree."""

    base: float
    roots: tuple[int, ...]
    feature: tuple[int, ...]
    threshold: tuple[float, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    value: tuple[float, ...]


def exported(fitted: HistGradientBoostingClassifier, places: Sequence[int]) -> Exported:
    """The trees as flat arrays. Values are cut to nine digits; thresholds are not, since training rows lie on them.

    places : where each of the features it was fitted to stands in the model's inputs
    """
    roots: list[int] = []
    feature: list[int] = []
    threshold: list[float] = []
    left: list[int] = []
    right: list[int] = []
    value: list[float] = []
    # scikit-learn has no public door to its trees; tests hold the exported ones to predict_proba.
    for (predictor,) in fitted._predictors:
        start = len(feature)
        roots.append(start)
        for node in predictor.nodes:
            leaf = bool(node["is_leaf"])
            feature.append(-1 if leaf else places[int(node["feature_idx"])])
            threshold.append(0.0 if leaf else float(node["num_threshold"]))
            left.append(0 if leaf else start + int(node["left"]))
            right.append(0 if leaf else start + int(node["right"]))
            value.append(_short(node["value"]) if leaf else 0.0)
    return Exported(
        base=_short(fitted._baseline_prediction.ravel()[0]),
        roots=tuple(roots),
        feature=tuple(feature),
        threshold=tuple(threshold),
        left=tuple(left),
        right=tuple(right),
        value=tuple(value),
    )


def _short(value: float) -> float:
    return float(f"{value:.9g}")


def first_within(levels: F8, opened: Callable[[float], int], allowed: float) -> int:
    """Place of the smallest level at which at most `allowed` alerts open; len(levels) where each opens more.

    levels : float64[n], increasing; opened : how many alerts open at a level, fewer at higher ones
    """
    return bisect_left(range(len(levels)), True, key=lambda place: opened(float(levels[place])) <= allowed)
