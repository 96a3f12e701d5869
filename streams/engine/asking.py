"""Asking K-means' peers about a block of sealed instrument-seconds: autoencoder, isolation forest, fusion."""

import numpy as np

from detectors import peers as p
from detectors.autoencoder import score as autoencoder
from detectors.isolation import score as isolation
from detectors.kmeans.score import probability
from detectors.scenarios import observation as x_
from detectors.scenarios.fused_anomaly import ODDS_RATIO
from detectors.scenarios.library import FUSED_ANOMALY
from streams.engine import output as o
from streams.engine.judging import AUTOENCODER, FUSION, ISOLATION, REPORTED, score
from streams.engine.output import Output
from streams.engine.rules import Judges
from streams.engine.state import State
from tapewatch.kernels import inlined, kernel


@kernel
def ask_peers(S: State, rows: int, begin: int, second: int, offset: int, judges: Judges, out: Output) -> None:
    """Write what the peers say of a block into its `rows` observations, and their score rows.

    begin : the block's first feature row

    The forest costs most and is asked last, only where it can still lift the fused odds to a score row: the weights are
    not negative, so that its highest probability gives the highest odds. What is left out would not be written.
    """
    peers, errors, found = judges.peers, out.work[o.ERRORS], out.work[o.PATHS]
    if rows > 0 and autoencoder.is_there(peers.network):
        autoencoder.step(
            out.features, begin, rows, out.slots, 0, second, peers.network, S.codes, out.network_work, errors
        )
    else:
        errors[:rows] = np.nan
    count = 0
    for row in range(rows):
        x = out.observations[row]
        x[x_.AUTOENCODER_PROBABILITY] = probability(errors[row], peers.network_knots)
        x[x_.FUSED], x[x_.FUSED_ALERT] = -np.inf, peers.limits[p.ALERT]
        highest = _fused(x, peers.limits[p.FOREST_TOP], judges, out)
        if highest >= _floor(row, judges, out):
            out.picked[count] = begin + row
            count += 1
    if count > 0:
        isolation.step(out.features, out.picked, count, peers.forest, out.forest_work, out.forest_nodes, found)
    for each in range(count):
        row = out.picked[each] - begin
        _tell(row, second, offset, errors[row], found[each], judges, out)


@inlined
def _fused(x: o.F8, forest: float, judges: Judges, out: Output) -> float:
    """Log odds of the block's row with a probability of the forest."""
    chances = out.work[o.ODDS]
    return p.fused(x[x_.DISTANCE_PROBABILITY], x[x_.AUTOENCODER_PROBABILITY], forest, judges.peers, chances)


@inlined
def _floor(row: int, judges: Judges, out: Output) -> float:
    """Log odds from which a row is written: REPORTED of those at which the scenario alerts."""
    ratio = judges.rules[out.classes[row], FUSED_ANOMALY, ODDS_RATIO]
    return float(judges.peers.limits[p.ALERT] + np.log(REPORTED * ratio))


@inlined
def _tell(row: int, second: int, offset: int, error: float, path: float, judges: Judges, out: Output) -> None:
    """What all peers say of a row that may be written."""
    x, slot, peers = out.observations[row], out.slots[row], judges.peers
    x[x_.ISOLATION_PROBABILITY] = probability(path, peers.forest_knots)
    x[x_.FUSED] = _fused(x, x[x_.ISOLATION_PROBABILITY], judges, out)
    x[x_.FUSED_PROBABILITY] = probability(x[x_.FUSED], peers.knots)
    if not x[x_.FUSED] >= _floor(row, judges, out):
        return
    if not np.isnan(error):
        score(out, slot, second, offset, AUTOENCODER, error, x[x_.AUTOENCODER_PROBABILITY])
    if not np.isnan(path):
        score(out, slot, second, offset, ISOLATION, path, x[x_.ISOLATION_PROBABILITY])
    score(out, slot, second, offset, FUSION, x[x_.FUSED], x[x_.FUSED_PROBABILITY])
