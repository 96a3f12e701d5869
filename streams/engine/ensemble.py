"""Asking K-means' peers about a block of sealed instrument-seconds: autoencoder, isolation forest, fusion."""

import numpy as np
import numpy.typing as npt

from detectors import ensemble_members
from detectors.autoencoder import score as autoencoder
from detectors.ensemble_members import Ensemble
from detectors.isolation import score as isolation
from detectors.kmeans.score import probability
from detectors.scenarios import observation as at
from streams.engine import output
from streams.engine.output import Output, opened
from streams.engine.scenario_evaluation import AUTOENCODER, CRYPTO, FUSION, ISOLATION, score
from streams.engine.state import State
from tapewatch.kernels import inlined, kernel

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]


@kernel
def score_ensemble(context: I8, rows: int, begin: int, second: int, offset: int) -> None:
    """Write what the peers say of a block into its `rows` observations, and their score rows.

    begin : the block's first feature row

    The forest costs most and is asked last, only as far as it can still lift the fused odds to the floor: what is left
    out would not be written.
    """
    S, detectors, out = opened(context)
    peers, floors, errors = detectors.peers, detectors.floors, out.work[output.ERRORS]
    _score_networks(S, begin, rows, second, peers, out, errors)
    for row in range(rows):
        x, floor, coin = out.observations[row], floors[out.classes[row]], S.coin[out.slots[row]]
        x[at.AUTOENCODER_PROBABILITY] = probability(errors[row], peers.crypto_knots if coin else peers.network_knots)
        x[at.FUSED], x[at.FUSED_ALERT] = -np.inf, peers.limits[ensemble_members.ALERT]
        most = ensemble_members.longest_path(x[at.DISTANCE_PROBABILITY], x[at.AUTOENCODER_PROBABILITY], floor, peers)
        if most > 0.0:
            path = isolation.score_of(out.features, begin + row, peers.forest, most, out.forest_inputs)
            if path != 0.0:
                _write_scores(
                    row, second, offset, CRYPTO if coin else AUTOENCODER, errors[row], path, floor, peers, out
                )


@inlined
def _score_networks(S: State, begin: int, rows: int, second: int, peers: Ensemble, out: Output, errors: F8) -> None:
    """The autoencoders' errors of a block, NaN where there is no network: neighbours of one class go together."""
    first = 0
    while first < rows:
        coin, count = S.coin[out.slots[first]], 1
        while first + count < rows and S.coin[out.slots[first + count]] == coin:
            count += 1
        network, found = peers.crypto if coin else peers.network, errors[first:]
        if autoencoder.is_there(network):
            autoencoder.step(
                out.features, begin + first, count, out.slots, first, second, network, S.codes, out.network_work, found
            )
        else:
            for row in range(count):
                found[row] = np.nan
        first += count


@inlined
def _write_scores(
    row: int,
    second: int,
    offset: int,
    detector: int,
    error: float,
    path: float,
    floor: float,
    peers: Ensemble,
    out: Output,
) -> None:
    """What all peers say of a row that may be written. detector : the autoencoder that was asked"""
    x, slot = out.observations[row], out.slots[row]
    kmeans, network, forest = x[at.DISTANCE_PROBABILITY], x[at.AUTOENCODER_PROBABILITY], np.nan
    forest = probability(path, peers.forest_knots)
    fused = ensemble_members.fused(kmeans, network, forest, peers, out.work[output.ODDS])
    chance = probability(fused, peers.knots)
    x[at.ISOLATION_PROBABILITY], x[at.FUSED], x[at.FUSED_PROBABILITY] = forest, fused, chance
    if not fused >= floor:
        return
    if not np.isnan(error):
        score(out, slot, second, offset, detector, error, network)
    if not np.isnan(path):
        score(out, slot, second, offset, ISOLATION, path, forest)
    score(out, slot, second, offset, FUSION, fused, chance)
