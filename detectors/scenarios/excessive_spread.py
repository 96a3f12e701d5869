"""Excessive bid-offer spread: quotes are kept far wider than usual, by somebody with market power (Delegated
Regulation 2016/522, Annex II: excessive bid-offer spreads).
"""

from collections.abc import Sequence

from detectors.scenarios import observation as at
from detectors.scenarios.episode import Rule
from detectors.scenarios.measures import F8, blank, held, watched
from tapewatch.kernels import inlined

NAME = "excessive_spread"
TIERS = ("quotes",)
MEASURED = False
GENERAL = True
SENSITIVE = ("min_spread_bps", "spread_ratio")


class Parameters(Rule, frozen=True, forbid_unknown_fields=True):
    """Thresholds of `excessive_spread`.

    warm_s : least time watched without a hole (s)
    min_spread_bps : least spread (basis points)
    spread_ratio : and at least this multiple of its own mean, half-life 300 s (ratio)
    """

    hold_s: float = 10.0
    quiet_s: float = 60.0
    cooldown_s: float = 900.0
    update_ratio: float = 2.0
    warm_s: float = 600.0
    min_spread_bps: float = 50.0
    spread_ratio: float = 8.0


WARM_S, MIN_SPREAD_BPS, SPREAD_RATIO = range(4, 7)

VALUES = ("spread_bps", "spread_ratio")
UNITS = ("basis points", "ratio")


@inlined
def strength(x: F8, rule: F8, values: F8) -> float:
    """The lesser of how many times spread and its ratio reach their thresholds; NaN without a two-sided quote.

    x : observation vector; rule : Parameters in order; values : float64[16] out, VALUES and their thresholds
    """
    ratio = x[at.SPREAD_RATIO]
    if ratio != ratio or not watched(x, rule[WARM_S]):
        return float("nan")
    if ratio < rule[SPREAD_RATIO]:
        return 0.0
    blank(values)
    return float(
        min(held(values, 0, x[at.SPREAD_BPS], rule[MIN_SPREAD_BPS]), held(values, 1, ratio, rule[SPREAD_RATIO]))
    )


def sentence(values: Sequence[float], instrument: str, closing: bool) -> str:
    """What happened, with its numbers."""
    if closing:
        return f"{instrument}: the spread is near its usual width again."
    return f"The spread of {instrument} stayed at {values[0]:.0f} basis points, {values[1]:.0f} times its usual width."
