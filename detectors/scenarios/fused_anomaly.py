"""Fused anomaly: K-means, autoencoder and isolation forest together find seconds unusual (unspecific; EU MAR Article
16).
"""

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from detectors.scenarios import observation as at
from tapewatch.kernels import inlined

F8 = npt.NDArray[np.float64]

NAME = "fused_anomaly"
TIERS = ("quotes",)
MEASURED = True
GENERAL = True
SENSITIVE = ("odds_ratio",)
VALUES = (
    "fused_log_odds",
    "fused_probability",
    "kmeans_probability",
    "autoencoder_probability",
    "isolation_probability",
)
UNITS = ("log odds", "probability", "probability", "probability", "probability")


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When unusual seconds become an alert.

    hold_s : consecutive seconds beyond the fusion's alert limit (s)
    quiet_s : seconds below it after which an episode closes (s)
    cooldown_s : an episode closes no earlier (s)
    update_ratio : new peak odds this many times the last reported ones are a revision (ratio)
    odds_ratio : multiple of the odds at the fusion's alert limit that a second must reach (ratio)
    """

    hold_s: float = 3.0
    quiet_s: float = 60.0
    cooldown_s: float = 600.0
    update_ratio: float = 4.0
    odds_ratio: float = 2.0


ODDS_RATIO = 4


@inlined
def strength(x: F8, rule: F8, values: F8) -> float:
    """Odds over those at which the alert budget is spent; 0 where they were not worked out, being too low for a score
    row; NaN where no detector says anything.

    x : float64[observation.COUNT]; rule : Parameters in order; values : float64[16] out,
    evidence and, from 8 on, what it is held against
    """
    odds = x[at.FUSED]
    if odds == -np.inf:
        return 0.0
    values[0], values[1] = odds, x[at.FUSED_PROBABILITY]
    values[2], values[3] = x[at.DISTANCE_PROBABILITY], x[at.AUTOENCODER_PROBABILITY]
    values[4], values[8] = x[at.ISOLATION_PROBABILITY], x[at.FUSED_ALERT] + np.log(rule[ODDS_RATIO])
    values[9] = values[10] = values[11] = values[12] = np.nan
    return float(np.exp(odds - values[8]))


def sentence(values: Sequence[float], instrument: str, closing: bool) -> str:
    """What happened, for a person."""
    if closing:
        return f"{instrument} trades as usual again by all detectors together; the anomaly is over."
    return (
        f"{instrument} traded unusually by K-means, autoencoder and isolation forest together: the fused probability "
        f"of manipulation is {values[1]:.1%}, its odds {np.exp(values[0] - values[8]):.1f} times those that spend the "
        "alert budget."
    )
