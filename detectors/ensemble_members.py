"""K-means' unsupervised peers as the kernels take them: autoencoder, isolation forest, and the fusion of all three."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.autoencoder import score as autoencoder
from detectors.autoencoder.model import CRYPTO_DETECTOR as AUTOENCODER_CRYPTO
from detectors.autoencoder.model import DETECTOR as AUTOENCODER
from detectors.autoencoder.model import AutoencoderModel
from detectors.autoencoder.score import Network
from detectors.fusion import DETECTOR as FUSION
from detectors.fusion import FusionModel, fuse, log_odds, log_odds_of
from detectors.isolation import score as isolation
from detectors.isolation.model import DETECTOR as ISOLATION
from detectors.isolation.model import IsolationModel
from detectors.isolation.score import Forest
from tapewatch.kernels import inlined

__all__ = [
    "AUTOENCODER",
    "AUTOENCODER_CRYPTO",
    "COINS",
    "DETECTORS",
    "FUSION",
    "ISOLATION",
    "Ensemble",
    "fused",
    "longest_path",
    "no_models",
    "problem",
    "with_model",
]

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]

DETECTORS = ("kmeans", AUTOENCODER, ISOLATION)
"""What can be fused; a fusion's inputs are some of them. The probability of a coin's own autoencoder goes in as the
autoencoder's.
"""

COINS = ("spot", "perpetual")
"""Kinds of instruments, as reference data has them, that the autoencoder of class crypto judges."""

_FOREST = 2

Model = AutoencoderModel | IsolationModel | FusionModel

ALERT, FOREST_WEIGHT, FOREST_ABSENT = 0, 1, 2
"""Fields of `limits`."""

_SLACK = 1e-9
"""Of log odds added in another order."""


class Ensemble(NamedTuple):
    """The models in force.

    network, crypto : autoencoders of shares and other instruments, and of coins
    network_knots, crypto_knots, forest_knots, knots : float64[2, m], calibration of the autoencoders' errors, the
    forest's score, and the fused log odds
    inputs : int64[n], places of the fusion's inputs in DETECTORS; table : FusionModel.table(); both empty without one
    reach : float64[2, m], log odds that the forest's score stands for at its knots, and the path length beyond which
    the score is below the knot before
    limits : float64[3], log odds at which the alert budget is spent, weight of the forest, and log odds that stand in
    for it
    """

    network: Network
    network_knots: F8
    crypto: Network
    crypto_knots: F8
    forest: Forest
    forest_knots: F8
    inputs: I8
    table: F8
    knots: F8
    reach: F8
    limits: F8


def no_models() -> Ensemble:
    """Nothing in force."""
    none, nothing = np.zeros(0, dtype=np.int64), np.zeros((2, 0))
    limits = np.array([np.inf, 0.0, 0.0])
    network = autoencoder.no_model()
    return Ensemble(
        network, nothing, network, nothing, isolation.no_model(), nothing, none, nothing, nothing, nothing, limits
    )


def problem(model: Model, names: tuple[str, ...]) -> str:
    """Why the kernels cannot take a model; empty where they can. names : of the features, in their order"""
    if model.problem():
        return model.problem()
    known, wanted = names, model.inputs if isinstance(model, IsolationModel) else ()
    if isinstance(model, FusionModel):
        known, wanted = DETECTORS, model.inputs
    missing = [name for name in wanted if name not in known]
    return f"no such input: {', '.join(missing)}" if missing else ""


def with_model(peers: Ensemble, model: Model, names: tuple[str, ...]) -> Ensemble:
    """With one of the models replaced. names : of the features, in their order"""
    if isinstance(model, AutoencoderModel):
        network, knots = model.network(names), _table(model.described.knots)
        if model.detector == AUTOENCODER_CRYPTO:
            return peers._replace(crypto=network, crypto_knots=knots)
        return peers._replace(network=network, network_knots=knots)
    if isinstance(model, IsolationModel):
        forest, knots = model.forest(names), _table(model.knots)
        before = np.concatenate([[0.0], knots[0, :-1]])
        reach = np.stack([log_odds(knots[1]), isolation.longest(before, forest)])
        return peers._replace(forest=forest, forest_knots=knots, reach=reach)
    places = np.array([DETECTORS.index(name) for name in model.inputs], dtype=np.int64)
    forest_at = model.inputs.index(ISOLATION) if ISOLATION in model.inputs else -1
    of_forest = (model.weights[forest_at], model.absent[forest_at]) if forest_at >= 0 else (0.0, 0.0)
    limits = np.array([model.alert, *of_forest])
    return peers._replace(inputs=places, table=model.table(), knots=_table(model.knots), limits=limits)


def _table(knots: tuple[tuple[float, float], ...]) -> F8:
    """Knots as float64[2, m]."""
    return np.ascontiguousarray(np.array(knots, dtype=np.float64).reshape(-1, 2).T)


@inlined
def fused(kmeans: float, network: float, forest: float, peers: Ensemble, chances: F8) -> float:
    """Log odds of the three probabilities together, each NaN where its detector says nothing (detectors.fusion.fuse).

    chances : float64[3], scratch
    """
    for j in range(peers.inputs.size):
        place = peers.inputs[j]
        chances[j] = kmeans if place == 0 else (network if place == 1 else forest)
    return fuse(chances[: peers.inputs.size], peers.table)


@inlined
def longest_path(kmeans: float, network: float, floor: float, peers: Ensemble) -> float:
    """The forest's path length beyond which it cannot lift the fused log odds to `floor`: infinite where it need not,
    negative where it cannot.

    The weights are not negative and the forest's probability falls with the path length, so that a row whose path is
    longer lies below the floor: it need not be walked to the end.
    """
    count = peers.inputs.size
    need = floor - peers.table[0, count] - _SLACK
    for j in range(count):
        place = peers.inputs[j]
        if place < _FOREST:
            chance = kmeans if place == 0 else network
            odds = peers.table[1, j] if np.isnan(chance) else log_odds_of(chance)
            need -= peers.table[0, j] * odds
    weight = peers.limits[FOREST_WEIGHT]
    if weight <= 0.0 or need <= weight * peers.limits[FOREST_ABSENT]:
        return np.inf if weight > 0.0 or need <= 0.0 else -1.0
    last = peers.reach.shape[1] - 1
    if last < 0 or weight * peers.reach[0, last] < need:
        return -1.0
    low, high = 0, last
    while low < high:
        middle = (low + high) >> 1
        if weight * peers.reach[0, middle] < need:
            low = middle + 1
        else:
            high = middle
    return float(peers.reach[1, low])
