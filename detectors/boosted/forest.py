"""Boosted trees compiled: several groups of trees in flat arrays, and what one group says of a row."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tapewatch.kernels import inlined

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]


class Forest(NamedTuple):
    """Groups of boosted trees as the kernels take them, one group for each thing that is judged.

    feature : int64[nodes], place in the features, -1 at a leaf; threshold : float64[nodes], up to it (inclusive) to the
    left; left, right : int64[nodes]; value : float64[nodes], log odds a leaf adds
    roots : int64[trees]; starts : int64[groups + 1], where each group's trees begin among the roots, and their end
    base : float64[groups], log odds before any tree
    """

    feature: I8
    threshold: F8
    left: I8
    right: I8
    value: F8
    roots: I8
    starts: I8
    base: F8


def no_trees(groups: int) -> Forest:
    """So many groups without trees: their log odds are 0."""
    none, empty = np.zeros(0, dtype=np.int64), np.zeros(0)
    return Forest(none, empty, none, none, empty, none, np.zeros(groups + 1, dtype=np.int64), np.zeros(groups))


@inlined
def log_odds(x: F8, group: int, forest: Forest) -> float:
    """What one group's trees say of a row. x : float64[features]"""
    total = forest.base[group]
    for tree in range(forest.starts[group], forest.starts[group + 1]):
        node = forest.roots[tree]
        while forest.feature[node] >= 0:
            node = forest.left[node] if x[forest.feature[node]] <= forest.threshold[node] else forest.right[node]
        total += forest.value[node]
    return float(total)
