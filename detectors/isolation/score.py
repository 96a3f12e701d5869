"""An isolation forest compiled: perfect trees of one depth, walked without a branch on a row's values."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tapewatch.kernels import inlined, kernel

F4 = npt.NDArray[np.float32]
F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]
I1 = npt.NDArray[np.int8]

_ROUNDING = 0.01
"""What sums of path lengths in single precision may differ by from exact ones, far more than they do."""


class Forest(NamedTuple):
    """An isolation forest as the kernels take it.

    index : int64[d], which features it uses; location : float32[d], what stands in for a missing one
    feature : int8[trees, 2^depth - 1], place in the inputs; threshold : float32 of the same shape, up to it
    (inclusive) to child 2 n + 1 of node n, beyond to 2 n + 2
    length : float32[trees, 2^depth], path length of each leaf, with what a leaf of many rows adds
    least : float64[trees], the shortest paths of a tree and all after it
    scale : float64[1], mean path length of a search for nothing, times the trees
    """

    index: I8  # type: ignore[assignment]  # a field by that name hides tuple.index, which nothing calls
    location: F4
    feature: I1
    threshold: F4
    length: F4
    least: F8
    scale: F8


def laid_out(index: I8, location: F4, feature: I1, threshold: F4, length: F4, scale: float) -> Forest:
    """A forest of these trees. scale : mean path length of a search for nothing in one tree"""
    shortest = length.min(axis=1).astype(np.float64)
    least = np.cumsum(shortest[::-1])[::-1] - _ROUNDING
    return Forest(
        index, location, feature, threshold, length, np.ascontiguousarray(least), np.array([scale * len(length)])
    )


def no_model() -> Forest:
    """A forest without trees: every score is NaN."""
    nothing = np.zeros((0, 1), dtype=np.float32)
    none = np.zeros(0, dtype=np.int64)
    return laid_out(none, nothing[:, 0].copy(), np.zeros((0, 1), dtype=np.int8), nothing, nothing, 1.0)


def longest(score: F8, forest: Forest) -> F8:
    """Path lengths, all trees together, beyond which a score is lower than this."""
    with np.errstate(divide="ignore"):
        return np.asarray(-np.log2(score) * forest.scale[0] + _ROUNDING)


@inlined
def score_of(columns: F4, row: int, forest: Forest, most: float, inputs: F4) -> float:
    """Anomaly score of one row (Liu, Ting & Zhou 2008, eq. 2): 2^(-mean path length / usual one), within 0 and 1.

    columns : float32[features, rows]; inputs : float32[d or more], scratch
    most : path length, all trees together, beyond which nobody asks for the score: it is 0 as soon as the trees left
    cannot bring it below, at their shortest paths; infinity to have every score
    NaN where fewer than half of the inputs are there.
    """
    used, inner = forest.index.size, forest.feature.shape[1]
    there = 0
    for j in range(used):
        value = columns[forest.index[j], row]
        present = value == value
        inputs[j] = value if present else forest.location[j]
        there += 1 if present else 0
    if used == 0 or 2 * there < used:
        return np.nan
    total = np.float32(0.0)
    for tree in range(forest.feature.shape[0]):
        if total + forest.least[tree] > most:
            return 0.0
        feature, threshold = forest.feature[tree], forest.threshold[tree]
        node = np.uint64(0)
        while node < np.uint64(inner):
            beyond = inputs[np.uint64(feature[node])] > threshold[node]
            node = np.uint64(2) * node + (np.uint64(2) if beyond else np.uint64(1))
        total += forest.length[tree, node - np.uint64(inner)]
    return float(2.0 ** (-np.float64(total) / forest.scale[0]))


@kernel
def scores(columns: F4, forest: Forest, inputs: F4, out: F8) -> None:
    """Scores of all rows of a table of columns. See `score_of`; out : float64[rows]."""
    for row in range(out.size):
        out[row] = score_of(columns, row, forest, np.inf, inputs)
