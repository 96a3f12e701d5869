"""K-means anomaly: an instrument's seconds lie far from every centre of normal trading (unspecific; EU MAR Article 12
indicators).
"""

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from detectors.scenarios import observation as at
from detectors.scenarios.episode import Rule
from tapewatch.kernels import inlined

F8 = npt.NDArray[np.float64]

NAME = "kmeans_anomaly"
TIERS = ("quotes",)
MEASURED = True
GENERAL = True
SENSITIVE = ("distance_ratio",)
VALUES = ("kmeans_distance", "kmeans_probability")
UNITS = ("scaled deviations per root feature", "probability")


class Parameters(Rule, frozen=True, forbid_unknown_fields=True):
    """When far seconds become an alert.

    distance_ratio : multiple of the model's alert distance that a second must reach (ratio)
    """

    hold_s: float = 3.0
    quiet_s: float = 60.0
    cooldown_s: float = 600.0
    update_ratio: float = 1.5
    distance_ratio: float = 1.0

    def array(self) -> F8:
        """As the kernel takes them."""
        return np.array([float(value) for value in msgspec.structs.astuple(self)])


DISTANCE_RATIO = 4


@inlined
def strength(x: F8, rule: F8, values: F8) -> float:
    """Distance over the model's alert distance; NaN where the model has none.

    x : float64[observation.COUNT]; rule : Parameters in order; values : float64[16] out,
    evidence and, from 8 on, what it is held against
    """
    distance = x[at.DISTANCE]
    values[0], values[1] = distance, x[at.DISTANCE_PROBABILITY]
    values[8], values[9] = rule[DISTANCE_RATIO] * x[at.ALERT_DISTANCE], np.nan
    return float(distance / values[8])


def sentence(values: Sequence[float], instrument: str, closing: bool) -> str:
    """What happened, for a person."""
    if closing:
        return f"{instrument} has traded near its usual patterns again; the anomaly is over."
    return (
        f"{instrument} traded unlike any usual pattern: "
        f"its distance from normal trading is {values[0]:.1f}, where {values[8]:.1f} spends the alert budget."
    )
