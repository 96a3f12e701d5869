"""Ramping: steady small orders of one side carry the price away over minutes (EU MAR Article 12(1)(a); SEC Section
9(a)(2)).

What tells it from news is the path: news arrives within seconds, a ramp takes as much of its way in each half of the
window, and goes straighter than chance moves.
"""

import math
from collections.abc import Sequence

from detectors.scenarios import observation as at
from detectors.scenarios.episode import Rule
from detectors.scenarios.measures import F8, blank, held, over, usual_move, watched
from tapewatch.kernels import inlined

NAME = "ramping"
TIERS = ("trades",)
MEASURED = True
SENSITIVE = ("min_drift", "drift_deviations")


class Parameters(Rule, frozen=True, forbid_unknown_fields=True):
    """Thresholds of `ramping`.

    warm_s : least time watched without a hole (s)
    min_drift : least move over 120 s (log return)
    drift_deviations : and at least this many deviations of a 120 s return, by own volatility (standard deviations)
    least_half : least share of the move in each half of the 120 s (share)
    steadiness : least return over root of summed squared 1 s returns, 60 s; a chance path has 1 (ratio)
    imbalance : least net aggressor volume in the direction over 60 s, of the volume traded (share)
    min_trades : least trades in 60 s (count)
    """

    hold_s: float = 5.0
    quiet_s: float = 120.0
    cooldown_s: float = 900.0
    update_ratio: float = 1.5
    warm_s: float = 240.0
    min_drift: float = 0.004
    drift_deviations: float = 3.0
    least_half: float = 0.25
    steadiness: float = 1.5
    imbalance: float = 0.25
    min_trades: float = 20.0


WARM_S, MIN_DRIFT, DRIFT_DEVIATIONS, LEAST_HALF, STEADINESS, IMBALANCE, MIN_TRADES = range(4, 11)

VALUES = ("drift_120s", "least_half", "steadiness_60s", "imbalance_60s", "trades_60s", "direction")
UNITS = ("log return", "share of the move", "ratio", "share of the volume", "count", "1 up, -1 down")


@inlined
def strength(x: F8, rule: F8, values: F8) -> float:
    """The least of how many times drift, halves, steadiness, imbalance and trades reach their thresholds; NaN without
    trades.

    x : observation vector; rule : Parameters in order; values : float64[16] out, VALUES and their thresholds
    """
    if not watched(x, rule[WARM_S]) or x[at.TRADES_60S] != x[at.TRADES_60S] or x[at.RET_120S] != x[at.RET_120S]:
        return float("nan")
    drift = abs(x[at.RET_120S])
    if drift < rule[MIN_DRIFT] or drift <= 0.0:
        return 0.0
    side = 1.0 if x[at.RET_120S] > 0.0 else -1.0
    newer = side * x[at.RET_60S] / drift
    blank(values)
    hits = held(values, 0, drift, max(rule[MIN_DRIFT], rule[DRIFT_DEVIATIONS] * usual_move(x, 120.0)))
    hits = min(hits, held(values, 1, min(newer, 1.0 - newer), rule[LEAST_HALF]))
    hits = min(hits, held(values, 2, over(side * x[at.RET_60S], x[at.RV_60S]), rule[STEADINESS]))
    hits = min(hits, held(values, 3, side * x[at.IMBALANCE_60S], rule[IMBALANCE]))
    hits = min(hits, held(values, 4, x[at.TRADES_60S], rule[MIN_TRADES]))
    values[5] = side
    return float(hits)


def sentence(values: Sequence[float], instrument: str, closing: bool) -> str:
    """What happened, with its numbers."""
    way = "up" if values[5] > 0.0 else "down"
    percent = 100.0 * math.expm1(values[0])
    if closing:
        return f"{instrument} is no longer carried away by steady one-sided trading."
    side = "buyers" if values[5] > 0.0 else "sellers"
    return (
        f"{instrument} was carried {way} by {percent:.2f} % in two minutes, steadily and by {side} alone "
        f"(net {100 * values[3]:.0f} % of the volume, {values[4]:.0f} trades a minute): this looks like ramping."
    )
