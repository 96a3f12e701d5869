"""Unusual trade size: one trade is far larger than the instrument's trades are (EU MAR Annex I, indicator A(a); an
alert for further analysis).
"""

import math
from collections.abc import Sequence

from detectors.scenarios import observation as at
from detectors.scenarios.episode import Rule
from detectors.scenarios.measures import F8, blank, held, over, watched
from tapewatch.kernels import inlined

NAME = "unusual_trade_size"
TIERS = ("trades",)
MEASURED = False
GENERAL = True
SENSITIVE = ("size_ratio", "volume_s")


class Parameters(Rule, frozen=True, forbid_unknown_fields=True):
    """Thresholds of `unusual_trade_size`.

    warm_s : least time watched without a hole (s)
    size_ratio : least size over the usual size, the geometric mean of half an hour (ratio)
    deviations : least distance of its logarithm from the usual one, in own deviations (standard deviations)
    volume_s : least seconds of usual volume that the trade alone is worth (s)
    """

    hold_s: float = 1.0
    quiet_s: float = 60.0
    cooldown_s: float = 900.0
    update_ratio: float = 2.0
    warm_s: float = 900.0
    size_ratio: float = 50.0
    deviations: float = 5.0
    volume_s: float = 120.0


WARM_S, SIZE_RATIO, DEVIATIONS, VOLUME_S = range(4, 8)

VALUES = ("size_ratio", "size_deviations", "usual_volume_s", "size")
UNITS = ("ratio", "standard deviations", "s", "units")


@inlined
def strength(x: F8, rule: F8, values: F8) -> float:
    """The least of how many times ratio, deviations and share of the volume reach their thresholds; NaN without trades
    or before a usual size is known.

    x : observation vector; rule : Parameters in order; values : float64[16] out, VALUES and their thresholds
    """
    usual = x[at.USUAL_TRADE]
    if not watched(x, rule[WARM_S]) or usual != usual:
        return float("nan")
    size = x[at.LARGEST_TRADE]
    if not (size > 0.0 and size >= rule[VOLUME_S] * x[at.USUAL_VOLUME]):
        return 0.0
    blank(values)
    beyond = math.log(size) - usual
    hits = held(values, 0, math.exp(min(beyond, 50.0)), rule[SIZE_RATIO])
    hits = min(hits, held(values, 1, over(beyond, x[at.USUAL_TRADE_DEVIATION]), rule[DEVIATIONS]))
    hits = min(hits, held(values, 2, over(size, x[at.USUAL_VOLUME]), rule[VOLUME_S]))
    values[3] = size
    return float(hits)


def sentence(values: Sequence[float], instrument: str, closing: bool) -> str:
    """What happened, with its numbers."""
    if closing:
        return f"{instrument}: no further trade of unusual size."
    return (
        f"One trade of {values[3]:g} units in {instrument} was {values[0]:.0f} times the usual size and worth "
        f"{values[2]:.0f} s of its usual volume."
    )
