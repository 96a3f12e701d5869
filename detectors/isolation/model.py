"""An isolation forest as a file: JSON with its card, named by the hash of its content."""

from functools import cache
from importlib import resources
from typing import Any

import msgspec
import numpy as np

from detectors.autoencoder.model import Card
from detectors.feeds import problem
from detectors.isolation.score import Forest, laid_out
from detectors.model_file import ModelFile, first_problem, foreign, sound, unfit_knots

DETECTOR = "isolation"


class IsolationModel(ModelFile, frozen=True, forbid_unknown_fields=True):
    """Perfect trees of one depth over raw inputs.

    inputs : names of the features; location : stand-ins for missing ones; depth : cuts of every path
    feature, threshold : all inner nodes of all trees, tree by tree, level by level; length : all leaves
    scale : mean path length of an unsuccessful search among a tree's training rows
    knots : score and probability pairs, increasing; alert : score at which the alert budget is spent, whatever the
    feed; alerts : for each kind of feed, in the order of detectors.feeds
    conformal, conformal_rows, drift_edges, drift_shares : as in the autoencoder's file
    """

    inputs: tuple[str, ...]
    location: tuple[float, ...]
    depth: int
    feature: tuple[int, ...]
    threshold: tuple[float, ...]
    length: tuple[float, ...]
    scale: float
    knots: tuple[tuple[float, float], ...] = ()
    alert: float = 1.0
    conformal: tuple[float, ...] = ()
    conformal_rows: int = 0
    drift_edges: tuple[float, ...] = ()
    drift_shares: tuple[float, ...] = ()
    card: Card = Card()
    detector: str = DETECTOR
    version: str = "1.0"
    alerts: tuple[float, ...] | msgspec.UnsetType = msgspec.UNSET

    @property
    def trees(self) -> int:
        """How many trees."""
        return len(self.length) >> self.depth

    def forest(self, names: tuple[str, ...]) -> Forest:
        """As the kernels take it, for features in the order of `names`; ValueError where one is missing."""
        shape = (self.trees, (1 << self.depth) - 1)
        return laid_out(
            index=np.array([names.index(name) for name in self.inputs], dtype=np.int64),
            location=np.array(self.location, dtype=np.float32),
            feature=np.array(self.feature, dtype=np.int8).reshape(shape),
            threshold=np.array(self.threshold, dtype=np.float32).reshape(shape),
            length=np.array(self.length, dtype=np.float32).reshape(self.trees, 1 << self.depth),
            scale=self.scale,
        )

    def problem(self) -> str:
        """What is wrong with the model as a whole; empty where nothing is."""
        inner = self.trees * ((1 << self.depth) - 1)
        numbers = (*self.location, *self.threshold, *self.length, self.alert)
        found = foreign(self.detector, self.version, DETECTOR) | {
            "depth is not within 1 and 12": not 1 <= self.depth <= 12,
            "no trees": self.trees == 0,
            "nodes and leaves do not make perfect trees": len(self.length) != self.trees << self.depth
            or len(self.feature) != inner
            or len(self.threshold) != inner,
            "a node cuts an unknown input": any(not 0 <= each < len(self.inputs) for each in self.feature),
            "location does not match the inputs": len(self.location) != len(self.inputs),
            "scale must be positive": not self.scale > 0.0,
        }
        return first_problem(found | unfit_knots(self.knots, numbers, "score")) or problem(self.alerts, self.alert)


def decode(data: bytes) -> IsolationModel:
    """Read a model file; msgspec.ValidationError names what is wrong in it, ValueError what does not fit together."""
    return sound(msgspec.json.decode(data, type=IsolationModel))


@cache
def shipped() -> IsolationModel:
    """The model that comes with the product."""
    return decode((resources.files("detectors.isolation") / "shipped" / "isolation.json").read_bytes())


def summary(model: IsolationModel) -> dict[str, Any]:
    """What a listing shows."""
    return {
        "detector": model.detector,
        "hash": model.hash,
        "trees": model.trees,
        "inputs": len(model.inputs),
        "rows": model.card.rows,
        "data": model.card.data,
    }
