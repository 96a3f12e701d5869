"""The book model compiled: boosted trees for each scenario, each with its calibration."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tapewatch.kernels import inlined, kernel

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]

SCENARIOS = ("spoofing", "layering", "quote_stuffing")
"""What the model names, in the order of its probabilities."""


class Trees(NamedTuple):
    """A book model as the kernels take it.

    feature : int64[nodes], place in the features, -1 at a leaf; threshold : float64[nodes], up to it (inclusive) to the
    left; left, right : int64[nodes]; value : float64[nodes], log odds a leaf adds
    roots : int64[trees]; starts : int64[4], where each scenario's trees begin among the roots, and their end
    base : float64[3], log odds before any tree; slope, shift : float64[3], calibration of the log odds
    alerts : float64[3], probability from which a scenario is reported
    """

    feature: I8
    threshold: F8
    left: I8
    right: I8
    value: F8
    roots: I8
    starts: I8
    base: F8
    slope: F8
    shift: F8
    alerts: F8


def no_model() -> Trees:
    """A model that names nothing: every probability is 0, and none is reported."""
    none, empty = np.zeros(0, dtype=np.int64), np.zeros(0)
    count = len(SCENARIOS)
    starts = np.zeros(count + 1, dtype=np.int64)
    zeros, never = np.zeros(count), np.full(count, np.inf)
    return Trees(none, empty, none, none, empty, none, starts, zeros, zeros, np.full(count, -np.inf), never)


@inlined
def log_odds(x: F8, scenario: int, model: Trees) -> float:
    """What one scenario's trees say of the features, before calibration. x : float64[features.COUNT]"""
    total = model.base[scenario]
    for tree in range(model.starts[scenario], model.starts[scenario + 1]):
        node = model.roots[tree]
        while model.feature[node] >= 0:
            node = model.left[node] if x[model.feature[node]] <= model.threshold[node] else model.right[node]
        total += model.value[node]
    return float(total)


@kernel
def score(features: F8, model: Trees, out: F8) -> None:
    """Probability of each scenario.

    features : float64[features.COUNT], as `flow.close_second` wrote them; out : float64[3], in the order of SCENARIOS
    """
    for scenario in range(3):
        calibrated = model.slope[scenario] * log_odds(features, scenario, model) + model.shift[scenario]
        out[scenario] = 1.0 / (1.0 + np.exp(-calibrated))


@kernel
def score_rows(rows: F8, model: Trees, out: F8) -> None:
    """`score` for each row. rows : float64[n, features.COUNT]; out : float64[n, 3], NaN where a row is"""
    for row in range(rows.shape[0]):
        if np.isnan(rows[row, 0]):
            out[row, :] = np.nan
        else:
            score(rows[row], model, out[row])
