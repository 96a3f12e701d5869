"""K-means' unsupervised peers as the kernels take them: autoencoder, isolation forest, and the fusion of all three."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.autoencoder import score as autoencoder
from detectors.autoencoder.model import DETECTOR as AUTOENCODER
from detectors.autoencoder.model import AutoencoderModel
from detectors.autoencoder.score import Network
from detectors.fusion import DETECTOR as FUSION
from detectors.fusion import LEAST, FusionModel, fuse
from detectors.isolation import score as isolation
from detectors.isolation.model import DETECTOR as ISOLATION
from detectors.isolation.model import IsolationModel
from detectors.isolation.score import Forest
from tapewatch.kernels import inlined

__all__ = ["AUTOENCODER", "DETECTORS", "FUSION", "ISOLATION", "Peers", "fused", "no_models", "problem", "with_model"]

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]

DETECTORS = ("kmeans", AUTOENCODER, ISOLATION)
"""What can be fused; a fusion's inputs are some of them."""

Model = AutoencoderModel | IsolationModel | FusionModel

ALERT, FOREST_TOP = 0, 1
"""Fields of `limits`."""


class Peers(NamedTuple):
    """The models in force.

    network_knots, forest_knots, knots : float64[2, m], calibration of the autoencoder's error, the forest's score, and
    the fused log odds
    inputs : int64[n], places of the fusion's inputs in DETECTORS; table : FusionModel.table(); both empty without one
    limits : float64[2], log odds at which the alert budget is spent, and the highest probability that the forest can
    stand for, a missing one included
    """

    network: Network
    network_knots: F8
    forest: Forest
    forest_knots: F8
    inputs: I8
    table: F8
    knots: F8
    limits: F8


def no_models() -> Peers:
    """Nothing in force."""
    none, nothing = np.zeros(0, dtype=np.int64), np.zeros((2, 0))
    limits = np.array([np.inf, 1.0 - LEAST])
    return Peers(autoencoder.no_model(), nothing, isolation.no_model(), nothing, none, nothing, nothing, limits)


def problem(model: Model, names: tuple[str, ...]) -> str:
    """Why the kernels cannot take a model; empty where they can. names : of the features, in their order"""
    if model.problem():
        return model.problem()
    known, wanted = names, model.inputs if isinstance(model, IsolationModel) else ()
    if isinstance(model, FusionModel):
        known, wanted = DETECTORS, model.inputs
    missing = [name for name in wanted if name not in known]
    return f"no such input: {', '.join(missing)}" if missing else ""


def with_model(peers: Peers, model: Model, names: tuple[str, ...]) -> Peers:
    """With one of the models replaced. names : of the features, in their order"""
    if isinstance(model, AutoencoderModel):
        return peers._replace(network=model.network(names), network_knots=_table(model.described.knots))
    if isinstance(model, IsolationModel):
        return peers._replace(forest=model.forest(names), forest_knots=_table(model.knots))
    places = np.array([DETECTORS.index(name) for name in model.inputs], dtype=np.int64)
    top = 1.0 - LEAST
    if ISOLATION in model.inputs:
        top = max(top, 1.0 / (1.0 + np.exp(-model.absent[model.inputs.index(ISOLATION)])))
    limits = np.array([model.alert, top])
    return peers._replace(inputs=places, table=model.table(), knots=_table(model.knots), limits=limits)


def _table(knots: tuple[tuple[float, float], ...]) -> F8:
    """Knots as float64[2, m]."""
    return np.ascontiguousarray(np.array(knots, dtype=np.float64).reshape(-1, 2).T)


@inlined
def fused(kmeans: float, network: float, forest: float, peers: Peers, chances: F8) -> float:
    """Log odds of the three probabilities together, each NaN where its detector says nothing (detectors.fusion.fuse).

    chances : float64[3], scratch
    """
    for j in range(peers.inputs.size):
        place = peers.inputs[j]
        chances[j] = kmeans if place == 0 else (network if place == 1 else forest)
    return fuse(chances[: peers.inputs.size], peers.table)
