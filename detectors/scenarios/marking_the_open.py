"""Marking the open: one-sided orders in the first minutes set a price for the day (Delegated Regulation 2016/522,
Annex II; FINRA Rule 5210).
"""

import math
from collections.abc import Sequence

import msgspec

from detectors.scenarios import observation as at
from detectors.scenarios.measures import F8, blank, held, usual_move
from tapewatch.kernels import inlined

NAME = "marking_the_open"
TIERS = ("trades",)
MEASURED = False


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Thresholds of `marking_the_open`.

    hold_s : consecutive seconds that must hit before an alert opens (s)
    quiet_s : seconds without a hit after which an episode may close (s)
    cooldown_s : an episode closes no earlier than this after its alert (s)
    update_ratio : a strength this many times the last reported one is a revision (ratio)
    window_s : length of the opening, from the session's opening row on (s)
    min_move : least move over 60 s (log return)
    move_deviations : and at least this many deviations of a 60 s return so far in the session (standard deviations)
    imbalance : least net aggressor volume in the direction over 60 s, of the volume traded (share)
    min_trades : least trades in 60 s (count)
    """

    hold_s: float = 3.0
    quiet_s: float = 60.0
    cooldown_s: float = 900.0
    update_ratio: float = 1.5
    window_s: float = 300.0
    min_move: float = 0.01
    move_deviations: float = 2.0
    imbalance: float = 0.6
    min_trades: float = 30.0


WINDOW_S, MIN_MOVE, MOVE_DEVIATIONS, IMBALANCE, MIN_TRADES = range(4, 9)

VALUES = ("move_60s", "imbalance_60s", "trades_60s", "since_open", "direction")
UNITS = ("log return", "share of the volume", "count", "s", "1 up, -1 down")


@inlined
def strength(x: F8, rule: F8, values: F8) -> float:
    """The least of how many times move, imbalance and trades reach their thresholds within the opening; NaN without
    trades or where the log told no opening.

    x : observation vector; rule : Parameters in order; values : float64[16] out, VALUES and their thresholds
    """
    since = x[at.SINCE_OPEN]
    if since != since:
        return float("nan")
    if since > rule[WINDOW_S]:
        return 0.0
    if x[at.TRADES_60S] != x[at.TRADES_60S] or x[at.RET_60S] != x[at.RET_60S] or x[at.AUCTION] != 0.0:
        return float("nan")
    move = abs(x[at.RET_60S])
    if move < rule[MIN_MOVE]:
        return 0.0
    side = 1.0 if x[at.RET_60S] > 0.0 else -1.0
    blank(values)
    hits = held(values, 0, move, max(rule[MIN_MOVE], rule[MOVE_DEVIATIONS] * usual_move(x, 60.0)))
    hits = min(hits, held(values, 1, side * x[at.IMBALANCE_60S], rule[IMBALANCE]))
    hits = min(hits, held(values, 2, x[at.TRADES_60S], rule[MIN_TRADES]))
    values[3], values[4] = since, side
    return float(hits)


def sentence(values: Sequence[float], instrument: str, closing: bool) -> str:
    """What happened, with its numbers."""
    if closing:
        return f"{instrument}: the one-sided trading at the open is over."
    way, side = ("up", "buyers") if values[4] > 0.0 else ("down", "sellers")
    return (
        f"{instrument} was pushed {way} by {100 * math.expm1(values[0]):.2f} % in a minute, {values[3]:.0f} s after "
        f"the open, with {side} ahead by {100 * values[1]:.0f} % of the volume: this looks like marking the open."
    )
