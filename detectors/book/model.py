"""A book model as a file: boosted trees for each scenario with their card, JSON named by its content's hash."""

import hashlib
import math
from functools import cache
from importlib import resources
from typing import Any

import msgspec
import numpy as np

from detectors.book.features import COUNT, NAMES
from detectors.book.trees import SCENARIOS, Trees, score

__all__ = ["DETECTOR", "SCENARIOS", "BookModel", "Booster", "Card", "Trees", "decode", "score", "shipped", "summary"]

DETECTOR = "book"


class Card(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a model comes from and how far it can be trusted.

    data, data_hash : what it was trained on; command : makes it again; seed : of everything drawn; rows : training
    seconds by kind
    threshold : how the alert probabilities were chosen; metrics : figures on what the judged models never saw; limits :
    what it cannot do
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
    """Boosted trees of one scenario, all nodes of all trees one behind the other.

    scenario : its name; base : log odds before any tree; slope, shift : calibrated log odds are slope x log odds +
    shift; alert : probability from which the scenario is reported; roots : each tree's first node
    feature : place in the inputs, -1 at a leaf; threshold : up to it (inclusive) to `left`, beyond to `right`; value :
    log odds of a leaf, 0 elsewhere
    """

    scenario: str
    base: float
    slope: float
    shift: float
    alert: float
    roots: tuple[int, ...]
    feature: tuple[int, ...]
    threshold: tuple[float, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    value: tuple[float, ...]

    def problem(self) -> str:
        """What is wrong with the trees; empty where nothing is."""
        count = len(self.feature)
        if any(len(each) != count for each in (self.threshold, self.left, self.right, self.value)):
            return "arrays of nodes differ in length"
        numbers = (self.base, self.slope, self.shift, *self.threshold, *self.value)
        if not all(map(math.isfinite, numbers)):
            return "a number is not finite"
        if not 0.0 < self.alert <= 1.0:
            return "the alert probability is not within 0 and 1"
        if self.slope < 0.0:
            return "the calibration turns the order round"
        if not all(0 <= root < count for root in self.roots):
            return "a root is no node"
        for node, (feature, left, right) in enumerate(zip(self.feature, self.left, self.right, strict=True)):
            if not -1 <= feature < COUNT:
                return "a node splits on an unknown input"
            # Children lie behind their parent, so that no walk is endless.
            if feature >= 0 and not (node < left < count and node < right < count):
                return "a node's children do not lie behind it"
        return ""


class BookModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Boosted trees over the features of a second of book flow.

    inputs : names of the features; boosters : one a scenario, in the order of SCENARIOS
    """

    inputs: tuple[str, ...]
    boosters: tuple[Booster, ...]
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

        def each(name: str) -> Any:
            return np.array([getattr(booster, name) for booster in self.boosters], dtype=np.float64)

        return Trees(
            feature=joined("feature", np.int64),
            threshold=joined("threshold", np.float64),
            left=joined("left", np.int64, moved=True),
            right=joined("right", np.int64, moved=True),
            value=joined("value", np.float64),
            roots=joined("roots", np.int64, moved=True),
            starts=np.cumsum([0, *(len(booster.roots) for booster in self.boosters)]).astype(np.int64),
            base=each("base"),
            slope=each("slope"),
            shift=each("shift"),
            alerts=each("alert"),
        )

    def problem(self) -> str:
        """What is wrong with the model as a whole; empty where nothing is."""
        found = {
            f"detector {self.detector!r} is not {DETECTOR}": self.detector != DETECTOR,
            f"contract version {self.version!r} is not 1.x": self.version.partition(".")[0] != "1",
            "inputs are not the book features": self.inputs != NAMES,
            f"scenarios are not {', '.join(SCENARIOS)}": tuple(each.scenario for each in self.boosters) != SCENARIOS,
        }
        wrong = next((what for what, is_wrong in found.items() if is_wrong), "")
        return wrong or next((booster.problem() for booster in self.boosters if booster.problem()), "")


def decode(data: bytes) -> BookModel:
    """Read a model file; msgspec.ValidationError names what is wrong in it, ValueError what does not fit together."""
    model = msgspec.json.decode(data, type=BookModel)
    problem = model.problem()
    if problem:
        raise ValueError(problem)
    return model


@cache
def shipped() -> BookModel:
    """The model that comes with the product."""
    return decode(resources.files("detectors.book").joinpath("shipped", "book.json").read_bytes())


def summary(model: BookModel) -> dict[str, Any]:
    """What a listing shows."""
    return {
        "detector": model.detector,
        "hash": model.hash,
        "trees": sum(len(booster.roots) for booster in model.boosters),
        "inputs": len(model.inputs),
        "rows": sum(model.card.rows.values()),
        "data": model.card.data,
    }
