"""Unusual price: a trade prints far beyond the market before and after it (FINRA Rule 5210; EU MAR Article 12(1)(a)).

The market's own move is taken off: news moves quotes and trades together and leaves no print behind.
"""

import math
from collections.abc import Sequence

from detectors.scenarios import observation as at
from detectors.scenarios.episode import Rule
from detectors.scenarios.measures import F8, blank, held, usual_move, watched
from tapewatch.kernels import inlined

NAME = "unusual_price"
TIERS = ("quotes", "trades")
MEASURED = False
GENERAL = True
SENSITIVE = ("min_distance", "deviations")


class Parameters(Rule, frozen=True, forbid_unknown_fields=True):
    """Thresholds of `unusual_price`.

    warm_s : least time watched without a hole (s)
    min_distance : least distance of a print from the mid before and after the second (log return)
    deviations : and at least this many deviations of a 1 s return, by own volatility (standard deviations)
    spreads : and at least this many spreads (ratio)
    """

    hold_s: float = 1.0
    quiet_s: float = 60.0
    cooldown_s: float = 600.0
    update_ratio: float = 2.0
    warm_s: float = 600.0
    min_distance: float = 0.01
    deviations: float = 25.0
    spreads: float = 5.0


WARM_S, MIN_DISTANCE, DEVIATIONS, SPREADS = range(4, 8)

VALUES = ("distance", "print_price", "mid_price", "side")
UNITS = ("log return", "price", "price", "1 above, -1 below")


@inlined
def strength(x: F8, rule: F8, values: F8) -> float:
    """How many times a print's distance from the market reaches its threshold; NaN without a two-sided quote or trades.

    x : observation vector; rule : Parameters in order; values : float64[16] out, VALUES and their thresholds
    """
    if not watched(x, rule[WARM_S]) or x[at.VOLUME_1S] != x[at.VOLUME_1S] or x[at.SPREAD_BPS] != x[at.SPREAD_BPS]:
        return float("nan")
    if not (x[at.LOW_1S] > 0.0 and x[at.PRICE] > 0.0):
        return 0.0
    above = x[at.HIGH_1S] / x[at.PRICE] - 1.0
    below = x[at.PRICE] / x[at.LOW_1S] - 1.0
    if max(above, below) < rule[MIN_DISTANCE]:
        return 0.0
    move = x[at.RET_1S]
    over = math.log1p(max(above, 0.0)) + min(move, 0.0)
    under = math.log1p(max(below, 0.0)) - max(move, 0.0)
    distance = max(over, under)
    least = max(rule[DEVIATIONS] * usual_move(x, 1.0), rule[SPREADS] * 1e-4 * x[at.SPREAD_BPS])
    blank(values)
    hits = held(values, 0, distance, max(rule[MIN_DISTANCE], least))
    values[1], values[2] = (x[at.HIGH_1S] if over >= under else x[at.LOW_1S]), x[at.PRICE]
    values[3] = 1.0 if over >= under else -1.0
    return float(hits)


def sentence(values: Sequence[float], instrument: str, closing: bool) -> str:
    """What happened, with its numbers."""
    if closing:
        return f"{instrument} prints within its market again."
    side = "above" if values[3] > 0.0 else "below"
    return (
        f"{instrument} traded at {values[1]:g}, {100 * math.expm1(values[0]):.1f} % {side} a market of {values[2]:g} "
        "that was not there before and did not follow."
    )
