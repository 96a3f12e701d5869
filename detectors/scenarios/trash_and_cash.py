"""Trash and cash: the price is talked and sold down within seconds, to buy it back cheaply (Delegated Regulation
2016/522, Annex II: the reverse of pump and dump).
"""

import math
from collections.abc import Sequence

from detectors.scenarios import observation as at
from detectors.scenarios.episode import Rule
from detectors.scenarios.measures import F8, blank, held, usual_move, volume_ratio, watched
from tapewatch.kernels import inlined

NAME = "trash_and_cash"
TIERS = ("trades",)
MEASURED = False
SILENCES = ("momentum_ignition",)
SENSITIVE = ("min_fall", "fall_deviations")


class Parameters(Rule, frozen=True, forbid_unknown_fields=True):
    """Thresholds of `trash_and_cash`.

    warm_s : least time watched without a hole (s)
    min_fall : least fall over 25 s (log return)
    fall_deviations : and at least this many deviations of a 25 s return, by own volatility (standard deviations)
    volume_ratio : least volume of 25 s over its own usual volume (ratio)
    sell_share : least (sold - bought) / traded over 25 s (share)
    min_trades : least trades in 60 s (count)
    """

    hold_s: float = 2.0
    quiet_s: float = 120.0
    cooldown_s: float = 1800.0
    update_ratio: float = 1.5
    warm_s: float = 600.0
    min_fall: float = 0.02
    fall_deviations: float = 6.0
    volume_ratio: float = 8.0
    sell_share: float = 0.3
    min_trades: float = 40.0


WARM_S, MIN_FALL, FALL_DEVIATIONS, VOLUME_RATIO, SELL_SHARE, MIN_TRADES = range(4, 10)

VALUES = ("fall_25s", "volume_ratio_25s", "sell_share_25s", "trades_60s")
UNITS = ("log return", "ratio", "share of the volume", "count")


@inlined
def strength(x: F8, rule: F8, values: F8) -> float:
    """The least of how many times fall, volume, sell share and trades reach their thresholds; NaN without trades.

    x : observation vector; rule : Parameters in order; values : float64[16] out, VALUES and their thresholds
    """
    if not watched(x, rule[WARM_S]) or x[at.TRADES_60S] != x[at.TRADES_60S] or x[at.RET_25S] != x[at.RET_25S]:
        return float("nan")
    fall = -x[at.RET_25S]
    if fall < rule[MIN_FALL] or x[at.VOLUME_25S] <= 0.0:
        return 0.0
    blank(values)
    hits = held(values, 0, fall, max(rule[MIN_FALL], rule[FALL_DEVIATIONS] * usual_move(x, 25.0)))
    hits = min(hits, held(values, 1, volume_ratio(x, x[at.VOLUME_25S], 25.0), rule[VOLUME_RATIO]))
    hits = min(hits, held(values, 2, -x[at.SIGNED_VOLUME_25S] / x[at.VOLUME_25S], rule[SELL_SHARE]))
    hits = min(hits, held(values, 3, x[at.TRADES_60S], rule[MIN_TRADES]))
    return float(hits)


def sentence(values: Sequence[float], instrument: str, closing: bool) -> str:
    """What happened, with its numbers."""
    if closing:
        return f"{instrument}: the rush of sellers is over."
    return (
        f"{instrument} fell {-100.0 * math.expm1(-values[0]):.1f} % within 25 s on {values[1]:.0f} times its usual "
        f"volume, sellers ahead by {100 * values[2]:.0f} % of it: this looks like trash and cash."
    )
