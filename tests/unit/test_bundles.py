"""A kernel opens a bundle as the tree it was made from, and a tree of another type makes no bundle."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

from tapewatch.bundles import Layout
from tapewatch.kernels import kernel


class Leaf(NamedTuple):
    """A part of a tree."""

    grid: npt.NDArray[np.float64]
    on: bool


class Tree(NamedTuple):
    """A tree."""

    leaf: Leaf
    counts: npt.NDArray[np.int64]
    many: int


def tree(rows: int = 2) -> Tree:
    return Tree(Leaf(np.arange(3.0 * rows).reshape(rows, 3), True), np.array([4, 5, 6]), 7)


LAYOUT = Layout(tree())
_open = LAYOUT.open


@kernel
def looked_at(words: npt.NDArray[np.int64], found: npt.NDArray[np.float64]) -> None:
    """Write what the tree holds into `found`, and 9 into its first count."""
    leaf, counts, many = _open(words)
    found[0], found[1], found[2] = leaf.grid[1, 2], leaf.grid.shape[0], leaf.grid[:, 0].sum()
    found[3], found[4], found[5] = 1.0 if leaf.on else 0.0, counts[2], many
    counts[0] = 9


def test_a_kernel_sees_the_tree_and_changes_its_arrays():
    bundle = LAYOUT.bundle(tree(rows=4))
    found = np.zeros(6)
    looked_at(bundle.words, found)
    assert found.tolist() == [5.0, 4.0, 18.0, 1.0, 6.0, 7.0]
    assert bundle.tree.counts[0] == 9


@pytest.mark.parametrize(
    "grid", [np.zeros((2, 3), dtype=np.float32), np.zeros(6), np.zeros((2, 3), dtype=np.int64)], ids=str
)
def test_an_array_of_another_type_is_refused(grid: npt.NDArray[np.float64]):
    with pytest.raises(TypeError):
        LAYOUT.bundle(tree()._replace(leaf=Leaf(grid, True)))


def test_an_array_that_is_not_in_c_order_is_refused():
    with pytest.raises(ValueError, match="C order"):
        LAYOUT.bundle(tree()._replace(leaf=Leaf(np.zeros((3, 2)).T, True)))
