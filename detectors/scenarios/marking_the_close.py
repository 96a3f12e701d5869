"""Marking the close: one-sided orders in the last minutes push the closing price (Delegated Regulation 2016/522,
Annex II; FINRA Rule 5210; Taiwan Securities and Exchange Act Article 155).
"""

from collections.abc import Sequence

from detectors.scenarios import observation as at
from detectors.scenarios.episode import Rule
from detectors.scenarios.measures import F8, held, volume_ratio, watched
from detectors.scenarios.pushed import ahead, direction, push, pushed
from tapewatch.kernels import inlined

NAME = "marking_the_close"
TIERS = ("trades",)
MEASURED = True
SILENCES = ("reference_price", "ramping")
SENSITIVE = ("min_move", "move_deviations")


class Parameters(Rule, frozen=True, forbid_unknown_fields=True):
    """Thresholds of `marking_the_close`.

    window_s : length of the close, up to the time that the opening row named (s)
    warm_s : least time watched without a hole (s)
    min_move : least move over 60 s (log return)
    move_deviations : and at least this many deviations of a 60 s return, by own volatility (standard deviations)
    imbalance : least net aggressor volume in the direction over 60 s, of the volume traded (share)
    volume_ratio : least volume of 60 s over its own usual volume (ratio)
    min_trades : least trades in 60 s (count)
    """

    hold_s: float = 3.0
    quiet_s: float = 60.0
    cooldown_s: float = 900.0
    update_ratio: float = 1.5
    window_s: float = 300.0
    warm_s: float = 240.0
    min_move: float = 0.002
    move_deviations: float = 3.0
    imbalance: float = 0.4
    volume_ratio: float = 1.5
    min_trades: float = 20.0


WINDOW_S, WARM_S, MIN_MOVE, MOVE_DEVIATIONS, IMBALANCE, VOLUME_RATIO, MIN_TRADES = range(4, 11)

VALUES = ("move_60s", "imbalance_60s", "volume_ratio_60s", "trades_60s", "to_close", "direction")
UNITS = ("log return", "share of the volume", "ratio", "count", "s", "1 up, -1 down")


@inlined
def strength(x: F8, rule: F8, values: F8) -> float:
    """The least of how many times move, imbalance, volume and trades reach their thresholds near the close; NaN
    without trades or where the log told no close.

    x : observation vector; rule : Parameters in order; values : float64[16] out, VALUES and their thresholds
    """
    left = x[at.TO_CLOSE]
    if left != left:
        return float("nan")
    if left > rule[WINDOW_S] or left < 0.0:
        return 0.0
    if not watched(x, rule[WARM_S]):
        return float("nan")
    hits = push(x, values, rule[MIN_MOVE], rule[MOVE_DEVIATIONS], rule[IMBALANCE])
    if not hits > 0.0:
        return hits
    hits = min(hits, held(values, 2, volume_ratio(x, x[at.VOLUME_60S], 60.0), rule[VOLUME_RATIO]))
    hits = min(hits, held(values, 3, x[at.TRADES_60S], rule[MIN_TRADES]))
    values[4], values[5] = left, direction(x[at.RET_60S])
    return float(hits)


def sentence(values: Sequence[float], instrument: str, closing: bool) -> str:
    """What happened, with its numbers."""
    if closing:
        return f"{instrument}: the one-sided trading before the close is over."
    return (
        f"{pushed(instrument, values[0], values[5])}, {values[4]:.0f} s before "
        f"the close, on {values[2]:.1f} times its usual volume {ahead(values[1], values[5])} of it: "
        "this looks like marking the close."
    )
