"""Marking the open: one-sided orders in the first minutes set a price for the day (Delegated Regulation 2016/522,
Annex II; FINRA Rule 5210).
"""

from collections.abc import Sequence

from detectors.scenarios import observation as at
from detectors.scenarios.episode import Rule
from detectors.scenarios.measures import F8, held
from detectors.scenarios.pushed import ahead, direction, push, pushed
from tapewatch.kernels import inlined

NAME = "marking_the_open"
TIERS = ("trades",)
MEASURED = False
SILENCES = ("reference_price", "ramping")
SENSITIVE = ("min_move", "move_deviations")


class Parameters(Rule, frozen=True, forbid_unknown_fields=True):
    """Thresholds of `marking_the_open`.

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
    if x[at.AUCTION] != 0.0:
        return float("nan")
    hits = push(x, values, rule[MIN_MOVE], rule[MOVE_DEVIATIONS], rule[IMBALANCE])
    if not hits > 0.0:
        return hits
    hits = min(hits, held(values, 2, x[at.TRADES_60S], rule[MIN_TRADES]))
    values[3], values[4] = since, direction(x[at.RET_60S])
    return float(hits)


def sentence(values: Sequence[float], instrument: str, closing: bool) -> str:
    """What happened, with its numbers."""
    if closing:
        return f"{instrument}: the one-sided trading at the open is over."
    return (
        f"{pushed(instrument, values[0], values[4])}, {values[3]:.0f} s after "
        f"the open, {ahead(values[1], values[4])} of the volume: this looks like marking the open."
    )
