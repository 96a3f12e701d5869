"""An isolation forest compiled: perfect trees of one depth, walked without a branch by many rows at once."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tapewatch.kernels import inlined, kernel

F4 = npt.NDArray[np.float32]
F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]

BLOCK = 64
"""Rows that walk a tree at once."""


class Forest(NamedTuple):
    """An isolation forest as the kernels take it.

    index : int64[d], which features it uses; location : float32[d], what stands in for a missing one
    feature : int64[trees, 2^depth - 1], place in the inputs; threshold : float32 of the same shape, up to it
    (inclusive) to child 2 n + 1 of node n, beyond to 2 n + 2
    length : float32[trees, 2^depth], path length of each leaf, with what a leaf of many rows adds
    scale : float64[1], mean path length of a search for nothing, times the trees
    """

    index: I8  # type: ignore[assignment]  # a field by that name hides tuple.index, which nothing calls
    location: F4
    feature: I8
    threshold: F4
    length: F4
    scale: F8


def create_work(inputs: int) -> tuple[F4, I8]:
    """Scratch of the kernel: float32[inputs + 2, BLOCK] and int64[BLOCK]."""
    return np.zeros((inputs + 2, BLOCK), dtype=np.float32), np.zeros(BLOCK, dtype=np.int64)


def no_model() -> Forest:
    """A forest without trees: every score is NaN."""
    none, nothing = np.zeros(0, dtype=np.int64), np.zeros((0, 0), dtype=np.float32)
    index = np.zeros((0, 0), dtype=np.int64)
    return Forest(none, np.zeros(0, dtype=np.float32), index, nothing, nothing, np.ones(1))


@inlined
def step(columns: F4, rows: I8, count: int, forest: Forest, work: F4, nodes: I8, out: F8) -> None:
    """Anomaly scores of at most BLOCK rows (Liu, Ting & Zhou 2008, eq. 2): 2^(-mean path length / usual one).

    columns : float32[features, all rows]; rows : int64[count or more], which of them; work, nodes : of `create_work`
    out : float64[count or more], within 0 and 1; NaN where fewer than half of the inputs are there
    """
    used = forest.index.size
    there, total = work[used], work[used + 1]
    zero, one = np.float32(0.0), np.float32(1.0)
    for r in range(count):
        there[r] = total[r] = zero
    for j in range(used):
        source, target, location = columns[forest.index[j]], work[j], forest.location[j]
        for r in range(count):
            value = source[rows[r]]
            present = value == value
            target[r] = value if present else location
            there[r] += one if present else zero
    inner = forest.feature.shape[1]
    for tree in range(forest.feature.shape[0]):
        feature, threshold, length = forest.feature[tree], forest.threshold[tree], forest.length[tree]
        for r in range(count):
            nodes[r] = 0
        first = 0
        while first < inner:
            for r in range(count):
                node = nodes[r]
                nodes[r] = 2 * node + 1 + (work[feature[node], r] > threshold[node])
            first = 2 * first + 1
        for r in range(count):
            total[r] += length[nodes[r] - inner]
    for r in range(count):
        out[r] = 2.0 ** (-np.float64(total[r]) / forest.scale[0]) if used > 0 and 2.0 * there[r] >= used else np.nan


@kernel
def scores(columns: F4, forest: Forest, work: F4, nodes: I8, rows: I8, out: F8) -> None:
    """Scores of all rows of a table of columns, any number. See `step`; rows : int64[BLOCK], scratch; out :
    float64[rows].
    """
    for begin in range(0, out.size, BLOCK):
        count = min(BLOCK, out.size - begin)
        for r in range(count):
            rows[r] = begin + r
        step(columns, rows, count, forest, work, nodes, out[begin:])
