"""Boosted trees out of scikit-learn: their nodes as a model file holds them, and the level that spends a budget."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypedDict

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:  # A second of every engine's start otherwise, and none of it needed to read trees.
    from sklearn.ensemble import HistGradientBoostingClassifier

F8 = npt.NDArray[np.float64]


class TreeArrays(TypedDict):
    """Fields of `model.Nodes`, and the log odds before any tree."""

    base: float
    roots: tuple[int, ...]
    feature: tuple[int, ...]
    threshold: tuple[float, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    value: tuple[float, ...]


class TreeBuilder:
    """Trees as flat arrays in the making. Values are cut to nine digits; thresholds are not, since training rows lie on
    them.
    """

    def __init__(self) -> None:
        self._roots: list[int] = []
        self._nodes: list[tuple[int, float, int, int, float]] = []

    def root(self) -> int:
        """Let the next node be a tree's first; returns its place."""
        self._roots.append(len(self._nodes))
        return len(self._nodes)

    def node(self, feature: int, threshold: float = 0.0, left: int = 0, right: int = 0, value: float = 0.0) -> None:
        """Add a node; of a leaf (`feature` -1) only the value counts."""
        self._nodes.append((feature, threshold, left, right, _short(value)))

    def tree(self, nodes: npt.NDArray[np.void], places: Sequence[int]) -> None:
        """Add scikit-learn's nodes of a tree. places : where each of its features stands in the model's inputs"""
        start = len(self._nodes)
        for node in nodes:
            if node["is_leaf"]:
                self.node(-1, value=float(node["value"]))
            else:
                place, threshold = places[int(node["feature_idx"])], float(node["num_threshold"])
                self.node(place, threshold, start + int(node["left"]), start + int(node["right"]))

    def add(self, fitted: "HistGradientBoostingClassifier", places: Sequence[int]) -> None:
        """Add all trees of a classifier."""
        for nodes in trees_of(fitted):
            self.root()
            self.tree(nodes, places)

    def exported(self, base: float) -> TreeArrays:
        """The arrays. base : log odds before any tree"""
        feature, threshold, left, right, value = (tuple(column) for column in zip(*self._nodes, strict=True))
        return TreeArrays(
            base=_short(base),
            roots=tuple(self._roots),
            feature=feature,
            threshold=threshold,
            left=left,
            right=right,
            value=value,
        )


def exported(fitted: "HistGradientBoostingClassifier", places: Sequence[int]) -> TreeArrays:
    """A classifier's trees. places : where each of the features it was fitted to stands in the model's inputs"""
    flat = TreeBuilder()
    flat.add(fitted, places)
    return flat.exported(baseline(fitted))


def baseline(fitted: "HistGradientBoostingClassifier") -> float:
    """Log odds before any tree."""
    return float(fitted._baseline_prediction.ravel()[0])


def trees_of(fitted: "HistGradientBoostingClassifier") -> list[npt.NDArray[np.void]]:
    """The nodes of each tree. scikit-learn has no public door to them; tests hold the exported ones to
    predict_proba.
    """
    return [predictor.nodes for (predictor,) in fitted._predictors]


def _short(value: float) -> float:
    return float(f"{value:.9g}")


def first_within(levels: F8, opened: Callable[[float], int], allowed: float) -> int:
    """Place of the smallest level at which at most `allowed` alerts open; len(levels) where each opens more.

    levels : float64[n], increasing; opened : how many alerts open at a level, fewer at higher ones
    """
    return bisect_left(range(len(levels)), True, key=lambda place: opened(float(levels[place])) <= allowed)
