"""Advancing the bid: the best bid is raised again and again, with hardly a trade, to lift the price (Delegated
Regulation 2016/522, Annex II).
"""

import math
from collections.abc import Sequence

from detectors.scenarios import observation as at
from detectors.scenarios.episode import Rule
from detectors.scenarios.measures import F8, blank, held, over, usual_move, watched
from tapewatch.kernels import inlined

NAME = "advancing_the_bid"
TIERS = ("quotes", "trades")
MEASURED = False
SENSITIVE = ("min_rise", "rise_deviations")


class Parameters(Rule, frozen=True, forbid_unknown_fields=True):
    """Thresholds of `advancing_the_bid`.

    warm_s : least time watched without a hole (s)
    min_rise : least rise over 60 s (log return)
    rise_deviations : and at least this many deviations of a 60 s return, by own volatility (standard deviations)
    min_raises : least times that the best bid rose in 60 s (count)
    raises_per_trade : and at least this many for each trade of the 60 s (ratio)
    steadiness : least return over root of summed squared 1 s returns, 60 s; a chance path has 1 (ratio)
    """

    hold_s: float = 5.0
    quiet_s: float = 60.0
    cooldown_s: float = 900.0
    update_ratio: float = 1.5
    warm_s: float = 600.0
    min_rise: float = 0.003
    rise_deviations: float = 3.0
    min_raises: float = 10.0
    raises_per_trade: float = 2.0
    steadiness: float = 2.0


WARM_S, MIN_RISE, RISE_DEVIATIONS, MIN_RAISES, RAISES_PER_TRADE, STEADINESS = range(4, 10)

VALUES = ("rise_60s", "raises_60s", "raises_per_trade_60s", "steadiness_60s", "trades_60s")
UNITS = ("log return", "count", "ratio", "ratio", "count")


@inlined
def strength(x: F8, rule: F8, values: F8) -> float:
    """The least of how many times rise, raises and steadiness reach their thresholds; NaN without quotes or trades.

    x : observation vector; rule : Parameters in order; values : float64[16] out, VALUES and their thresholds
    """
    if (
        not watched(x, rule[WARM_S])
        or x[at.TRADES_60S] != x[at.TRADES_60S]
        or x[at.QUOTE_RATE_60S] != x[at.QUOTE_RATE_60S]
    ):
        return float("nan")
    rise, raises = x[at.RET_60S], x[at.BID_RAISED_60S]
    if not (rise >= rule[MIN_RISE] and raises >= rule[MIN_RAISES]):
        return 0.0
    blank(values)
    hits = held(values, 0, rise, max(rule[MIN_RISE], rule[RISE_DEVIATIONS] * usual_move(x, 60.0)))
    hits = min(hits, held(values, 1, raises, rule[MIN_RAISES]))
    hits = min(hits, held(values, 2, raises / max(x[at.TRADES_60S], 1.0), rule[RAISES_PER_TRADE]))
    hits = min(hits, held(values, 3, over(rise, x[at.RV_60S]), rule[STEADINESS]))
    values[4] = x[at.TRADES_60S]
    return float(hits)


def sentence(values: Sequence[float], instrument: str, closing: bool) -> str:
    """What happened, with its numbers."""
    if closing:
        return f"{instrument}: the best bid is no longer raised step by step."
    return (
        f"The best bid of {instrument} was raised {values[1]:.0f} times within a minute in which only {values[4]:.0f} "
        f"trades took place, and the price rose {100 * math.expm1(values[0]):.2f} %: this looks like advancing the bid."
    )
