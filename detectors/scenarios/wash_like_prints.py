"""Wash-like prints: buys and sells of equal size follow one another and leave the price where it was (CEA Section
4c(a); EU MAR Article 12(1)(a)). A proxy from public trades: who traded with whom is not in them.
"""

from collections.abc import Sequence

from detectors.scenarios import observation as at
from detectors.scenarios.episode import Rule
from detectors.scenarios.measures import F8, blank, held, over, usual_move, volume_ratio, watched
from tapewatch.kernels import inlined

NAME = "wash_like_prints"
TIERS = ("trades",)
MEASURED = False
SENSITIVE = ("min_pairs",)


class Parameters(Rule, frozen=True, forbid_unknown_fields=True):
    """Thresholds of `wash_like_prints`.

    warm_s : least time watched without a hole (s)
    min_pairs : least pairs of a buy and a sell of equal size within 1 s and a spread, over 60 s (count)
    pair_share : least share of the trades of 60 s that belong to such pairs (share)
    volume_ratio : least volume of 60 s over its own usual volume (ratio)
    stillness : least usual 60 s move over the move of 60 s (ratio)
    """

    hold_s: float = 5.0
    quiet_s: float = 120.0
    cooldown_s: float = 1800.0
    update_ratio: float = 2.0
    warm_s: float = 600.0
    min_pairs: float = 15.0
    pair_share: float = 0.6
    volume_ratio: float = 2.0
    stillness: float = 1.0


WARM_S, MIN_PAIRS, PAIR_SHARE, VOLUME_RATIO, STILLNESS = range(4, 9)

VALUES = ("pairs_60s", "pair_share_60s", "volume_ratio_60s", "stillness_60s", "trades_60s")
UNITS = ("count", "share of the trades", "ratio", "ratio", "count")


@inlined
def strength(x: F8, rule: F8, values: F8) -> float:
    """The least of how many times pairs, their share, volume and stillness reach their thresholds; NaN without trades.

    x : observation vector; rule : Parameters in order; values : float64[16] out, VALUES and their thresholds
    """
    trades = x[at.TRADES_60S]
    if not watched(x, rule[WARM_S]) or trades != trades:
        return float("nan")
    pairs = x[at.ROUND_TRIPS_60S]
    if not (pairs >= rule[MIN_PAIRS] and trades > 0.0):
        return 0.0
    blank(values)
    hits = held(values, 0, pairs, rule[MIN_PAIRS])
    hits = min(hits, held(values, 1, 2.0 * pairs / trades, rule[PAIR_SHARE]))
    hits = min(hits, held(values, 2, volume_ratio(x, x[at.VOLUME_60S], 60.0), rule[VOLUME_RATIO]))
    hits = min(hits, held(values, 3, over(usual_move(x, 60.0), abs(x[at.RET_60S])), rule[STILLNESS]))
    values[4] = trades
    return float(hits)


def sentence(values: Sequence[float], instrument: str, closing: bool) -> str:
    """What happened, with its numbers."""
    if closing:
        return f"{instrument}: buys and sells no longer mirror one another."
    return (
        f"In {instrument} {values[0]:.0f} buys were mirrored within a second by sells of the same size and price in "
        f"the last minute, {100 * values[1]:.0f} % of {values[4]:.0f} trades, at {values[2]:.0f} times the usual "
        "volume and without moving the price: this looks like wash trading (a proxy, accounts are not known)."
    )
