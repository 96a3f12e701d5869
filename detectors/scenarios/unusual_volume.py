"""Unusual volume: a minute trades a large multiple of its usual volume (EU MAR Annex I, indicator A(a); an alert for
further analysis).
"""

from collections.abc import Sequence

from detectors.scenarios import observation as at
from detectors.scenarios.episode import Rule
from detectors.scenarios.measures import F8, blank, held, volume_ratio, watched
from tapewatch.kernels import inlined

NAME = "unusual_volume"
TIERS = ("trades",)
MEASURED = False
GENERAL = True
SENSITIVE = ("volume_ratio",)


class Parameters(Rule, frozen=True, forbid_unknown_fields=True):
    """Thresholds of `unusual_volume`.

    warm_s : least time watched without a hole (s)
    volume_ratio : least volume of 60 s over its own usual volume (ratio)
    min_trades : least trades in 60 s (count)
    """

    hold_s: float = 3.0
    quiet_s: float = 300.0
    cooldown_s: float = 1800.0
    update_ratio: float = 2.0
    warm_s: float = 900.0
    volume_ratio: float = 25.0
    min_trades: float = 50.0


WARM_S, VOLUME_RATIO, MIN_TRADES = range(4, 7)

VALUES = ("volume_ratio_60s", "trades_60s", "volume_60s", "ret_60s")
UNITS = ("ratio", "count", "units", "log return")


@inlined
def strength(x: F8, rule: F8, values: F8) -> float:
    """The lesser of how many times volume and trades reach their thresholds; NaN without trades.

    x : observation vector; rule : Parameters in order; values : float64[16] out, VALUES and their thresholds
    """
    volume = x[at.VOLUME_60S]
    if not watched(x, rule[WARM_S]) or volume != volume:
        return float("nan")
    ratio = volume_ratio(x, volume, 60.0)
    if ratio < rule[VOLUME_RATIO]:
        return 0.0
    blank(values)
    values[2], values[3] = volume, x[at.RET_60S]
    return float(min(held(values, 0, ratio, rule[VOLUME_RATIO]), held(values, 1, x[at.TRADES_60S], rule[MIN_TRADES])))


def sentence(values: Sequence[float], instrument: str, closing: bool) -> str:
    """What happened, with its numbers."""
    if closing:
        return f"{instrument} trades near its usual volume again."
    return (
        f"{instrument} traded {values[2]:g} units in a minute, {values[0]:.0f} times its usual volume, "
        f"in {values[1]:.0f} trades."
    )
