"""Momentum ignition: aggressive orders start a sharp move that others follow, and are unwound against it (EU MAR
Article 12(2)(c); Delegated Regulation 2016/522, Annex II).

The signature is the published one (Tse, Lin & Vincent 2012): volume jumps, the price moves far for its own volatility,
then it comes back; here the way back must be traded aggressively, for that is where the igniter gets out.
"""

import math
from collections.abc import Sequence

from detectors.scenarios import observation as at
from detectors.scenarios.episode import Rule
from detectors.scenarios.measures import F8, blank, held, usual_move, volume_ratio, watched
from tapewatch.kernels import inlined

NAME = "momentum_ignition"
TIERS = ("trades",)
MEASURED = True
SILENCES = ("sweeping",)
SENSITIVE = ("min_move", "move_deviations")


class Parameters(Rule, frozen=True, forbid_unknown_fields=True):
    """Thresholds of `momentum_ignition`.

    warm_s : least time watched without a hole (s)
    min_move : least move from two minutes ago to the extreme of the last minute (log return)
    move_deviations : and at least this many deviations of a 120 s return, by own volatility (standard deviations)
    volume_ratio : least volume of 60 s over its own usual volume (ratio)
    given_back : least share of the move that has come back (share)
    unwind_share : least net aggressor volume against the move over 25 s, of the volume traded (share)
    """

    hold_s: float = 1.0
    quiet_s: float = 60.0
    cooldown_s: float = 900.0
    update_ratio: float = 1.5
    warm_s: float = 240.0
    min_move: float = 0.003
    move_deviations: float = 5.0
    volume_ratio: float = 3.0
    given_back: float = 0.4
    unwind_share: float = 0.2


WARM_S, MIN_MOVE, MOVE_DEVIATIONS, VOLUME_RATIO, GIVEN_BACK, UNWIND_SHARE = range(4, 10)

VALUES = ("move", "given_back", "volume_ratio_60s", "unwind_share_25s", "direction")
UNITS = ("log return", "share of the move", "ratio", "share of the volume", "1 up, -1 down")


@inlined
def strength(x: F8, rule: F8, values: F8) -> float:
    """The least of how many times move, way back, volume and unwinding reach their thresholds; NaN without trades.

    x : observation vector; rule : Parameters in order; values : float64[16] out, VALUES and their thresholds
    """
    if not watched(x, rule[WARM_S]) or x[at.VOLUME_60S] != x[at.VOLUME_60S] or x[at.RET_120S] != x[at.RET_120S]:
        return float("nan")
    up, down = x[at.HIGH_60S] + x[at.RET_120S], -x[at.LOW_60S] - x[at.RET_120S]
    move = max(up, down)
    if move < rule[MIN_MOVE] or x[at.VOLUME_25S] <= 0.0:
        return 0.0
    side = 1.0 if up >= down else -1.0
    back = x[at.HIGH_60S] if up >= down else -x[at.LOW_60S]
    blank(values)
    hits = held(values, 0, move, max(rule[MIN_MOVE], rule[MOVE_DEVIATIONS] * usual_move(x, 120.0)))
    hits = min(hits, held(values, 1, back / move, rule[GIVEN_BACK]))
    hits = min(hits, held(values, 2, volume_ratio(x, x[at.VOLUME_60S], 60.0), rule[VOLUME_RATIO]))
    hits = min(hits, held(values, 3, -side * x[at.SIGNED_VOLUME_25S] / x[at.VOLUME_25S], rule[UNWIND_SHARE]))
    values[4] = side
    return float(hits)


def sentence(values: Sequence[float], instrument: str, closing: bool) -> str:
    """What happened, with its numbers."""
    way = "up" if values[4] > 0.0 else "down"
    percent = 100.0 * math.expm1(values[0])
    if closing:
        return f"{instrument}: the ignited move and its way back are over."
    return (
        f"{instrument} was driven {way} by {percent:.2f} % within two minutes on {values[2]:.0f} times its usual "
        f"volume, and {100 * values[1]:.0f} % of it came back while {100 * values[3]:.0f} % of the volume, net, traded "
        "against the move: this looks like momentum ignition."
    )
