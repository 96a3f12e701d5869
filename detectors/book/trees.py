"""The book model compiled: boosted trees for each scenario, each with its calibration."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.boosted.forest import Forest, log_odds, no_trees
from tapewatch.kernels import kernel

F8 = npt.NDArray[np.float64]

SCENARIOS = ("spoofing", "layering", "quote_stuffing")
"""What the model names, in the order of its probabilities."""


class Trees(NamedTuple):
    """A book model as the kernels take it.

    forest : a group of trees for each scenario; slope, shift : float64[3], calibration of their log odds
    alerts : float64[3], probability from which a scenario is reported
    """

    forest: Forest
    slope: F8
    shift: F8
    alerts: F8


def no_model() -> Trees:
    """A model that names nothing: every probability is 0, and none is reported."""
    count = len(SCENARIOS)
    return Trees(no_trees(count), np.zeros(count), np.full(count, -np.inf), np.full(count, np.inf))


@kernel
def score(features: F8, model: Trees, out: F8) -> None:
    """Probability of each scenario.

    features : float64[features.COUNT], as `flow.close_second` wrote them; out : float64[3], in the order of SCENARIOS
    """
    for scenario in range(3):
        calibrated = model.slope[scenario] * log_odds(features, scenario, model.forest) + model.shift[scenario]
        out[scenario] = 1.0 / (1.0 + np.exp(-calibrated))


@kernel
def score_rows(rows: F8, model: Trees, out: F8) -> None:
    """`score` for each row. rows : float64[n, features.COUNT]; out : float64[n, 3], NaN where a row is"""
    for row in range(rows.shape[0]):
        if np.isnan(rows[row, 0]):
            out[row, :] = np.nan
        else:
            score(rows[row], model, out[row])
