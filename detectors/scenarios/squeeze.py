"""Squeeze: buyers who must buy chase a supply that somebody has taken off the market (Delegated Regulation 2016/522,
Annex II: abusive squeeze; CEA Section 9(a)(2)). A proxy: positions are not in market data.
"""

import math
from collections.abc import Sequence

from detectors.scenarios import observation as at
from detectors.scenarios.episode import Rule
from detectors.scenarios.measures import F8, blank, held, usual_move, volume_ratio, watched
from tapewatch.kernels import inlined

NAME = "squeeze"
TIERS = ("quotes", "trades")
MEASURED = False
SILENCES = ("ramping", "price_floor_ceiling")
SENSITIVE = ("min_rise", "rise_deviations")


class Parameters(Rule, frozen=True, forbid_unknown_fields=True):
    """Thresholds of `squeeze`.

    warm_s : least time watched without a hole (s)
    min_rise : least rise over 900 s (log return)
    rise_deviations : and at least this many deviations of a 900 s return, by own volatility (standard deviations)
    newest_share : least share of that rise in its last 300 s, it still goes on (share)
    scarcity : least (bid - ask)/(bid + ask) of the quantity on ten levels, at the touch without books (share)
    imbalance : least net bought volume over 60 s, of the volume traded (share)
    volume_ratio : least volume of 60 s over its own usual volume (ratio)
    """

    hold_s: float = 10.0
    quiet_s: float = 600.0
    cooldown_s: float = 3600.0
    update_ratio: float = 1.5
    warm_s: float = 1200.0
    min_rise: float = 0.04
    rise_deviations: float = 3.0
    newest_share: float = 0.25
    scarcity: float = 0.4
    imbalance: float = 0.3
    volume_ratio: float = 1.5


WARM_S, MIN_RISE, RISE_DEVIATIONS, NEWEST_SHARE, SCARCITY, IMBALANCE, VOLUME_RATIO = range(4, 11)

VALUES = ("rise_900s", "newest_share", "scarcity", "imbalance_60s", "volume_ratio_60s")
UNITS = ("log return", "share of the rise", "share of the depth", "share of the volume", "ratio")


@inlined
def strength(x: F8, rule: F8, values: F8) -> float:
    """The least of how many times rise, newest share, scarcity, imbalance and volume reach their thresholds; NaN
    without quotes or trades.

    x : observation vector; rule : Parameters in order; values : float64[16] out, VALUES and their thresholds
    """
    rise = x[at.RET_900S]
    if not watched(x, rule[WARM_S]) or rise != rise or x[at.TRADES_60S] != x[at.TRADES_60S]:
        return float("nan")
    scarcity = x[at.DEPTH_IMB_10] if x[at.DEPTH_IMB_10] == x[at.DEPTH_IMB_10] else x[at.DEPTH_IMB_1]
    if scarcity != scarcity:
        return float("nan")
    if rise < rule[MIN_RISE] or rise <= 0.0:
        return 0.0
    blank(values)
    hits = held(values, 0, rise, max(rule[MIN_RISE], rule[RISE_DEVIATIONS] * usual_move(x, 900.0)))
    hits = min(hits, held(values, 1, x[at.RET_300S] / rise, rule[NEWEST_SHARE]))
    hits = min(hits, held(values, 2, scarcity, rule[SCARCITY]))
    hits = min(hits, held(values, 3, x[at.IMBALANCE_60S], rule[IMBALANCE]))
    hits = min(hits, held(values, 4, volume_ratio(x, x[at.VOLUME_60S], 60.0), rule[VOLUME_RATIO]))
    return float(hits)


def sentence(values: Sequence[float], instrument: str, closing: bool) -> str:
    """What happened, with its numbers."""
    if closing:
        return f"{instrument}: buyers no longer chase a missing supply."
    bids = 50.0 * (1.0 + values[2])
    return (
        f"{instrument} rose {100 * math.expm1(values[0]):.1f} % in fifteen minutes and goes on, buyers ahead by "
        f"{100 * values[3]:.0f} % of the volume while {bids:.0f} % of the quantity in the book is bids: supply is "
        "short, this may be a squeeze (a proxy, positions are not known)."
    )
