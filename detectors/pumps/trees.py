"""The pump model compiled: a cheap gate, boosted trees for each chunk length, and one probability from all of them."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.pumps import features as f
from tapewatch.kernels import inlined

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]


LEAST_VOLUME, LEAST_RISE, ALERT = range(3)
"""Fields of `limits`."""


class Trees(NamedTuple):
    """A pump model as the kernels take it.

    feature : int64[nodes], place in the features, -1 at a leaf; threshold : float64[nodes], up to it (inclusive) to the
    left; left, right : int64[nodes]; value : float64[nodes], log odds a leaf adds
    roots : int64[trees]; starts : int64[windows + 1], where each window's trees begin among the roots, and their end
    base : float64[windows], log odds before any tree
    limits : float64[3], the gate's least volume ratio and rise, and the probability from which a pump is reported
    x : float64[8], scratch
    """

    feature: I8
    threshold: F8
    left: I8
    right: I8
    value: F8
    roots: I8
    starts: I8
    base: F8
    limits: F8
    x: F8


def no_model() -> Trees:
    """A model without trees: every probability is 0."""
    empty, none = np.zeros(0), np.zeros(0, dtype=np.int64)
    starts = np.zeros(len(f.WINDOWS) + 1, dtype=np.int64)
    limits = np.full(3, np.inf)
    return Trees(none, empty, none, none, empty, none, starts, np.zeros(len(f.WINDOWS)), limits, np.zeros(f.COUNT))


@inlined
def log_odds(x: F8, window: int, model: Trees) -> float:
    """What one window's trees say of its features. x : float64[8]; window : place in WINDOWS."""
    total = model.base[window]
    for tree in range(model.starts[window], model.starts[window + 1]):
        node = model.roots[tree]
        while model.feature[node] >= 0:
            node = model.left[node] if x[model.feature[node]] <= model.threshold[node] else model.right[node]
        total += model.value[node]
    return float(total)


@inlined
def passes(p: F8, least_volume: float, least_rise: float) -> bool:
    """Whether any running chunk has enough volume and rise for its features to be worth computing.

    p : float64[features.FIELDS]; least_volume : over the mean chunk's; least_rise : over the price ten chunks ago
    """
    for window in range(len(f.WINDOWS)):
        if f.volume_ratio(p, window) >= least_volume and f.rise(p, window) >= least_rise:
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
    for window in range(len(f.WINDOWS)):
        if f.features(p, window, model.x):
            total += log_odds(model.x, window, model)
            windows += 1
    return float(1.0 / (1.0 + np.exp(-total / windows))) if windows else 0.0
