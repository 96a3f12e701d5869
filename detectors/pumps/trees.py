"""The pump model compiled: a cheap gate, boosted trees for each chunk length, and one probability from all of them."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.boosted.forest import Forest, log_odds, no_trees
from detectors.pumps import features
from tapewatch.kernels import inlined

F8 = npt.NDArray[np.float64]

LEAST_VOLUME, LEAST_RISE, ALERT = range(3)
"""Fields of `limits`."""


class Trees(NamedTuple):
    """A pump model as the kernels take it.

    forest : a group of trees for each window; x : float64[8], scratch
    limits : float64[3], the gate's least volume ratio and rise, and the probability from which a pump is reported
    """

    forest: Forest
    limits: F8
    x: F8


def no_model() -> Trees:
    """A model without trees: every probability is 0."""
    return Trees(no_trees(len(features.WINDOWS)), np.full(3, np.inf), np.zeros(features.COUNT))


@inlined
def passes(p: F8, least_volume: float, least_rise: float) -> bool:
    """Whether any running chunk has enough volume and rise for its features to be worth computing.

    p : float64[features.FIELDS]; least_volume : over the mean chunk's; least_rise : over the price ten chunks ago
    """
    for window in range(len(features.WINDOWS)):
        if features.volume_ratio(p, window) >= least_volume and features.rise(p, window) >= least_rise:
            return True
    return False


@inlined
def chance(p: F8, model: Trees) -> float:
    """Probability that the running chunks belong to a pump; 0 where the gate is shut.

    p : float64[features.FIELDS], after `features.observe`. The log odds of the windows that have features are averaged:
    a lone burst that fills one chunk is doubted by the others.
    """
    if not passes(p, model.limits[LEAST_VOLUME], model.limits[LEAST_RISE]):
        return 0.0
    total, windows = 0.0, 0
    for window in range(len(features.WINDOWS)):
        if features.features(p, window, model.x):
            total += log_odds(model.x, window, model.forest)
            windows += 1
    return float(1.0 / (1.0 + np.exp(-total / windows))) if windows else 0.0
