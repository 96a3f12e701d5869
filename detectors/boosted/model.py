"""What model files of boosted trees share: the card, what makes their nodes a tree, and their flat arrays joined."""

import math
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from detectors.boosted.forest import Forest
from detectors.model_file import Origin


class Card(Origin, frozen=True, forbid_unknown_fields=True):
    """Where a model comes from and how far it can be trusted.

    rows : training rows by kind
    threshold : how the alert probability was chosen; metrics : figures on what training never saw; limits : what it
    cannot do
    """

    rows: dict[str, int] = msgspec.field(default_factory=dict)
    threshold: str = ""
    metrics: dict[str, float] = msgspec.field(default_factory=dict)
    limits: str = ""


# By keyword alone: in the file these fields follow those that a kind of model adds.
class Nodes(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One group's boosted trees, all nodes of all trees one behind the other.

    roots : each tree's first node; feature : place in the inputs, -1 at a leaf
    threshold : up to it (inclusive) to `left`, beyond to `right`; value : log odds of a leaf, 0 elsewhere
    """

    roots: tuple[int, ...]
    feature: tuple[int, ...]
    threshold: tuple[float, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    value: tuple[float, ...]

    def node_problem(self, features: int) -> str:
        """What is wrong with the trees over so many features; empty where nothing is."""
        count = len(self.feature)
        if any(len(each) != count for each in (self.threshold, self.left, self.right, self.value)):
            return "arrays of nodes differ in length"
        if not all(map(math.isfinite, (*self.threshold, *self.value))):
            return "a number is not finite"
        if not all(0 <= root < count for root in self.roots):
            return "a root is no node"
        for node, (feature, left, right) in enumerate(zip(self.feature, self.left, self.right, strict=True)):
            if not -1 <= feature < features:
                return "a node splits on an unknown input"
            # Children lie behind their parent, so that no walk is endless.
            if feature >= 0 and not (node < left < count and node < right < count):
                return "a node's children do not lie behind it"
        return ""


def summary(model: Any) -> dict[str, Any]:
    """What a listing shows of a model that has `boosters`, `inputs` and a `card`."""
    return {
        "detector": model.detector,
        "hash": model.hash,
        "trees": sum(len(booster.roots) for booster in model.boosters),
        "inputs": len(model.inputs),
        "rows": sum(model.card.rows.values()),
        "data": model.card.data,
    }


def forest(groups: Sequence[Nodes], base: Sequence[float]) -> Forest:
    """As the kernels take them. base : log odds of each group before any tree"""
    nodes = np.cumsum([0, *(len(group.feature) for group in groups)])
    shifted = list(zip(groups, nodes.tolist(), strict=False))

    def joined(name: str, dtype: type, moved: bool = False) -> Any:
        parts: list[Any] = [np.array(getattr(group, name), dtype=dtype) + (by if moved else 0) for group, by in shifted]
        return np.concatenate(parts).astype(dtype)

    return Forest(
        feature=joined("feature", np.int64),
        threshold=joined("threshold", np.float64),
        left=joined("left", np.int64, moved=True),
        right=joined("right", np.int64, moved=True),
        value=joined("value", np.float64),
        roots=joined("roots", np.int64, moved=True),
        starts=np.cumsum([0, *(len(group.roots) for group in groups)]).astype(np.int64),
        base=np.array(base, dtype=np.float64),
    )
