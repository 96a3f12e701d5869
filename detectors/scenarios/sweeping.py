"""Sweeping: one order takes many price levels at once and moves the price further than its size needs (FINRA Rule
5210; EU MAR Article 12(2)(c) where it is part of a momentum strategy).
"""

import math
from collections.abc import Sequence

from detectors.scenarios import observation as at
from detectors.scenarios.episode import Rule
from detectors.scenarios.measures import F8, blank, held, usual_move, volume_ratio, watched
from tapewatch.kernels import inlined

NAME = "sweeping"
TIERS = ("trades",)
MEASURED = False
SENSITIVE = ("min_span", "span_deviations")


class Parameters(Rule, frozen=True, forbid_unknown_fields=True):
    """Thresholds of `sweeping`.

    warm_s : least time watched without a hole (s)
    min_levels : least distinct prices that one millisecond's orders of a side traded at (count)
    min_span : least distance of the second's highest and lowest trade price (log return)
    span_deviations : and at least this many deviations of a 1 s return, by own volatility (standard deviations)
    volume_ratio : least volume of the second over its own usual volume (ratio)
    """

    hold_s: float = 1.0
    quiet_s: float = 30.0
    cooldown_s: float = 600.0
    update_ratio: float = 2.0
    warm_s: float = 600.0
    min_levels: float = 6.0
    min_span: float = 0.002
    span_deviations: float = 12.0
    volume_ratio: float = 20.0


WARM_S, MIN_LEVELS, MIN_SPAN, SPAN_DEVIATIONS, VOLUME_RATIO = range(4, 9)

VALUES = ("swept_levels", "span_1s", "volume_ratio_1s", "side")
UNITS = ("count", "log return", "ratio", "1 buys, -1 sells")


@inlined
def strength(x: F8, rule: F8, values: F8) -> float:
    """The least of how many times levels, span and volume reach their thresholds; NaN without trades.

    x : observation vector; rule : Parameters in order; values : float64[16] out, VALUES and their thresholds
    """
    if not watched(x, rule[WARM_S]) or x[at.VOLUME_1S] != x[at.VOLUME_1S]:
        return float("nan")
    levels = x[at.SWEPT_LEVELS]
    if not (levels >= rule[MIN_LEVELS] and x[at.LOW_1S] > 0.0):
        return 0.0
    blank(values)
    span = math.log(x[at.HIGH_1S] / x[at.LOW_1S])
    hits = held(values, 0, levels, rule[MIN_LEVELS])
    hits = min(hits, held(values, 1, span, max(rule[MIN_SPAN], rule[SPAN_DEVIATIONS] * usual_move(x, 1.0))))
    hits = min(hits, held(values, 2, volume_ratio(x, x[at.VOLUME_1S], 1.0), rule[VOLUME_RATIO]))
    values[3] = x[at.SWEPT_SIDE]
    return float(hits)


def sentence(values: Sequence[float], instrument: str, closing: bool) -> str:
    """What happened, with its numbers."""
    if closing:
        return f"{instrument}: no further sweep of the book."
    side = "Buy" if values[3] > 0.0 else "Sell"
    return (
        f"{side} orders swept {values[0]:.0f} price levels of {instrument} within a millisecond, over "
        f"{100 * math.expm1(values[1]):.2f} % of the price, on {values[2]:.0f} times the volume of a usual second."
    )
