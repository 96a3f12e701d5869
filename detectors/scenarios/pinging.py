"""Pinging: bursts of tiny orders feel out hidden interest (Delegated Regulation 2016/522, Annex II: ping orders)."""

from collections.abc import Sequence

from detectors.scenarios import observation as at
from detectors.scenarios.episode import Rule
from detectors.scenarios.measures import F8, blank, held, watched
from tapewatch.kernels import inlined

NAME = "pinging"
TIERS = ("trades",)
MEASURED = False
SENSITIVE = ("min_small", "trades_z")


class Parameters(Rule, frozen=True, forbid_unknown_fields=True):
    """Thresholds of `pinging`.

    warm_s : least time watched without a hole (s)
    min_small : least trades of at most a tenth of the usual size in the second (count)
    small_share : and at least this share of the second's trades (share)
    trades_z : least standard score of the second's trades (standard deviations)
    """

    hold_s: float = 3.0
    quiet_s: float = 60.0
    cooldown_s: float = 900.0
    update_ratio: float = 2.0
    warm_s: float = 600.0
    min_small: float = 10.0
    small_share: float = 0.8
    trades_z: float = 2.0


WARM_S, MIN_SMALL, SMALL_SHARE, TRADES_Z = range(4, 8)

VALUES = ("small_trades_1s", "small_share_1s", "trades_z")
UNITS = ("count", "share of the trades", "standard deviations")


@inlined
def strength(x: F8, rule: F8, values: F8) -> float:
    """The least of how many times small trades, their share and the rate reach their thresholds; NaN without trades or
    before a usual size is known.

    x : observation vector; rule : Parameters in order; values : float64[16] out, VALUES and their thresholds
    """
    if not watched(x, rule[WARM_S]) or x[at.TRADES_Z] != x[at.TRADES_Z] or x[at.USUAL_TRADE] != x[at.USUAL_TRADE]:
        return float("nan")
    small = x[at.SMALL_TRADES]
    if not (small >= rule[MIN_SMALL] and x[at.TRADES_1S] > 0.0):
        return 0.0
    blank(values)
    hits = held(values, 0, small, rule[MIN_SMALL])
    hits = min(hits, held(values, 1, small / x[at.TRADES_1S], rule[SMALL_SHARE]))
    return float(min(hits, held(values, 2, x[at.TRADES_Z], rule[TRADES_Z])))


def sentence(values: Sequence[float], instrument: str, closing: bool) -> str:
    """What happened, with its numbers."""
    if closing:
        return f"{instrument}: the burst of tiny trades is over."
    return (
        f"{instrument} saw {values[0]:.0f} trades a second of at most a tenth of their usual size, "
        f"{100 * values[1]:.0f} % of all trades, for some seconds in a row: somebody may be feeling out hidden orders."
    )
