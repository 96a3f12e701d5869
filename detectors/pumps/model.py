"""A pump model as a file: boosted trees for each chunk length with their card, JSON named by its content's hash."""

import hashlib
import math
from functools import cache
from importlib import resources
from typing import Any

import msgspec
import numpy as np

from detectors.pumps import features as f
from detectors.pumps.trees import Trees

DETECTOR = "pumps"


class Card(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a model comes from and how far it can be trusted.

    data, data_hash : what it was trained on; command : makes it again; seed : of everything drawn; rows : training rows
    by kind
    threshold : how the alert probability was chosen; metrics : figures on rows that training never saw; limits : what
    it cannot do
    """

    data: str = ""
    data_hash: str = ""
    command: str = ""
    seed: int = 0
    rows: dict[str, int] = {}
    threshold: str = ""
    metrics: dict[str, float] = {}
    limits: str = ""


class Booster(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Boosted trees of one chunk length, all nodes of all trees one behind the other.

    window_s : chunk length; base : log odds before any tree; roots : each tree's first node
    feature : place in the inputs, -1 at a leaf; threshold : up to it (inclusive) to `left`, beyond to `right`; value :
    log odds of a leaf, 0 elsewhere
    """

    window_s: int
    base: float
    roots: tuple[int, ...]
    feature: tuple[int, ...]
    threshold: tuple[float, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    value: tuple[float, ...]

    def problem(self) -> str:
        """What is wrong with the trees; empty where nothing is."""
        count = len(self.feature)
        arrays = (self.threshold, self.left, self.right, self.value)
        if any(len(each) != count for each in arrays):
            return "arrays of nodes differ in length"
        if not all(map(math.isfinite, (self.base, *self.threshold, *self.value))):
            return "a number is not finite"
        if not all(0 <= root < count for root in self.roots):
            return "a root is no node"
        for node, (feature, left, right) in enumerate(zip(self.feature, self.left, self.right, strict=True)):
            if not -1 <= feature < f.COUNT:
                return "a node splits on an unknown input"
            # Children lie behind their parent, so that no walk is endless.
            if feature >= 0 and not (node < left < count and node < right < count):
                return "a node's children do not lie behind it"
        return ""


class PumpModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Boosted trees over the eight features of each chunk length.

    inputs : names of the features; boosters : one a chunk length, in the order of features.WINDOWS
    least_volume, least_rise : the gate: volume of a running chunk over the mean chunk's, and its high over the price
    ten chunks before, below which the probability is 0
    alert : probability from which a pump is reported
    """

    inputs: tuple[str, ...]
    boosters: tuple[Booster, ...]
    least_volume: float
    least_rise: float
    alert: float
    card: Card = Card()
    detector: str = DETECTOR
    version: str = "1.0"

    def encoded(self) -> bytes:
        """Canonical JSON."""
        return msgspec.json.encode(self, order="deterministic")

    @property
    def hash(self) -> str:
        """First 16 hex digits of the sha256 of the canonical JSON."""
        return hashlib.sha256(self.encoded()).hexdigest()[:16]

    def trees(self) -> Trees:
        """As the kernels take it."""
        nodes = np.cumsum([0, *(len(booster.feature) for booster in self.boosters)])
        shifted = list(zip(self.boosters, nodes.tolist(), strict=False))

        def joined(name: str, dtype: type, moved: bool = False) -> Any:
            parts: list[Any] = [
                np.array(getattr(booster, name), dtype=dtype) + (by if moved else 0) for booster, by in shifted
            ]
            return np.concatenate(parts).astype(dtype)

        return Trees(
            feature=joined("feature", np.int64),
            threshold=joined("threshold", np.float64),
            left=joined("left", np.int64, moved=True),
            right=joined("right", np.int64, moved=True),
            value=joined("value", np.float64),
            roots=joined("roots", np.int64, moved=True),
            starts=np.cumsum([0, *(len(booster.roots) for booster in self.boosters)]).astype(np.int64),
            base=np.array([booster.base for booster in self.boosters]),
            limits=np.array([self.least_volume, self.least_rise, self.alert]),
            x=np.zeros(f.COUNT),
        )

    def problem(self) -> str:
        """What is wrong with the model as a whole; empty where nothing is."""
        found = {
            f"detector {self.detector!r} is not {DETECTOR}": self.detector != DETECTOR,
            f"contract version {self.version!r} is not 1.x": self.version.partition(".")[0] != "1",
            f"inputs are not {', '.join(f.NAMES)}": self.inputs != f.NAMES,
            f"chunk lengths are not {f.WINDOWS}": tuple(each.window_s for each in self.boosters) != f.WINDOWS,
            "the alert probability is not within 0 and 1": not 0.0 < self.alert <= 1.0,
            "the gate must not be negative": not (self.least_volume >= 0.0 and self.least_rise >= 0.0),
        }
        wrong = next((what for what, is_wrong in found.items() if is_wrong), "")
        return wrong or next((booster.problem() for booster in self.boosters if booster.problem()), "")


def decode(data: bytes) -> PumpModel:
    """Read a model file; msgspec.ValidationError names what is wrong in it, ValueError what does not fit together."""
    model = msgspec.json.decode(data, type=PumpModel)
    problem = model.problem()
    if problem:
        raise ValueError(problem)
    return model


@cache
def shipped() -> PumpModel:
    """The model that comes with the product."""
    return decode(resources.files("detectors.pumps").joinpath("shipped", "pumps.json").read_bytes())


def summary(model: PumpModel) -> dict[str, Any]:
    """What a listing shows."""
    return {
        "detector": model.detector,
        "hash": model.hash,
        "trees": sum(len(booster.roots) for booster in model.boosters),
        "inputs": len(model.inputs),
        "rows": sum(model.card.rows.values()),
        "data": model.card.data,
    }
