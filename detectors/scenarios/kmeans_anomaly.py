"""K-means anomaly: an instrument's seconds lie far from every centre of normal trading (unspecific; EU MAR Article 12
indicators).
"""

import msgspec
import numpy as np
import numpy.typing as npt

from detectors.scenarios.episode import (
    CLOSED,
    DECIDED,
    DECIDED_OFFSET,
    LAST_HIT,
    NONE,
    ONSET,
    ONSET_OFFSET,
    OPEN,
    OPENED,
    PEAK,
    REVISION,
    UPDATED,
    WORK,
)
from tapewatch.kernels import inlined

F8 = npt.NDArray[np.float64]

_STREAK = WORK
VALUES = ("distance", "threshold", "probability", "streak_s")


class AnomalyParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When far seconds become an alert.

    hold_s : consecutive seconds beyond the model's alert distance; quiet_s : seconds below it after which an episode
    closes
    cooldown_s : an episode closes no earlier; update_ratio : a new peak distance that exceeds the last reported one by
    this factor is a revision
    """

    hold_s: float = 3.0
    quiet_s: float = 60.0
    cooldown_s: float = 600.0
    update_ratio: float = 1.5

    def array(self) -> F8:
        """As the kernel takes them."""
        return np.array([float(value) for value in msgspec.structs.astuple(self)])


@inlined
def step(
    e: F8, distance: float, probability: float, limit: float, second: int, offset: int, rule: F8, values: F8
) -> int:
    """One sealed second of one instrument; NaN distances (not warm, not assessable) are never hits.

    e : float64[16], the episode's state, changed in place; limit : the model's alert distance; values : float64[16]
    out, named by VALUES
    Returns NONE, OPENED, UPDATED or CLOSED.
    """
    hit = distance >= limit
    e[_STREAK] = e[_STREAK] + 1.0 if hit else 0.0
    values[0], values[1], values[2], values[3] = distance, limit, probability, e[_STREAK]
    if hit:
        e[LAST_HIT] = second
    if e[OPEN] == 0.0:
        if e[_STREAK] < rule[0]:
            return NONE
        e[OPEN], e[REVISION], e[ONSET], e[DECIDED] = 1.0, 1.0, second - e[_STREAK] + 1.0, second + 1.0
        e[ONSET_OFFSET] = e[DECIDED_OFFSET] = offset
        e[PEAK] = distance
        return OPENED
    if hit and distance >= rule[3] * e[PEAK]:
        e[PEAK] = distance
        e[REVISION] += 1.0
        return UPDATED
    if second - e[LAST_HIT] >= rule[1] and second + 1 - e[DECIDED] >= rule[2]:
        e[REVISION] += 1.0
        e[OPEN] = 0.0
        return CLOSED
    return NONE
