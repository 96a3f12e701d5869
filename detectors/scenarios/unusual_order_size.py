"""Unusual order size: one price level holds many times what the rest of the book does (EU MAR Annex I, indicator A(a);
an alert for further analysis).
"""

from collections.abc import Sequence

from detectors.scenarios import observation as at
from detectors.scenarios.episode import Rule
from detectors.scenarios.measures import F8, blank, held, over, watched
from tapewatch.kernels import inlined

NAME = "unusual_order_size"
TIERS = ("book",)
MEASURED = False
GENERAL = True
SENSITIVE = ("depth_ratio", "opposite_ratio")


class Parameters(Rule, frozen=True, forbid_unknown_fields=True):
    """Thresholds of `unusual_order_size`.

    warm_s : least time watched without a hole (s)
    depth_ratio : least quantity of the level over the rest of its side, ten levels (ratio)
    opposite_ratio : and over the whole other side, ten levels (ratio)
    volume_s : and seconds of usual volume that it is worth; not asked where nothing trades (s)
    """

    hold_s: float = 3.0
    quiet_s: float = 60.0
    cooldown_s: float = 900.0
    update_ratio: float = 2.0
    warm_s: float = 600.0
    depth_ratio: float = 5.0
    opposite_ratio: float = 5.0
    volume_s: float = 60.0


WARM_S, DEPTH_RATIO, OPPOSITE_RATIO, VOLUME_S = range(4, 8)

VALUES = ("depth_ratio", "opposite_ratio", "usual_volume_s", "size", "away_bps", "side")
UNITS = ("ratio", "ratio", "s", "units", "basis points", "1 bid, -1 ask")


@inlined
def _against_rest(largest: float, depth: float) -> float:
    """The largest level over the rest of its side; below 0 where there is no rest, as in a book of one level."""
    return float(largest / (depth - largest)) if depth > largest else -1.0


@inlined
def strength(x: F8, rule: F8, values: F8) -> float:
    """The least of how many times the level reaches its thresholds; NaN without a book of
    several levels.

    x : observation vector; rule : Parameters in order; values : float64[16] out, VALUES and their thresholds
    """
    bids, asks = x[at.BID_DEPTH_10], x[at.ASK_DEPTH_10]
    if bids != bids or asks != asks or not watched(x, rule[WARM_S]):
        return float("nan")
    bid, ask = _against_rest(x[at.LARGEST_BID], bids), _against_rest(x[at.LARGEST_ASK], asks)
    if bid < 0.0 and ask < 0.0:
        return float("nan")
    if not max(bid, ask) >= rule[DEPTH_RATIO]:
        return 0.0
    buys = bid >= ask
    size, other = (x[at.LARGEST_BID], asks) if buys else (x[at.LARGEST_ASK], bids)
    usual = x[at.USUAL_VOLUME]
    blank(values)
    hits = held(values, 0, max(bid, ask), rule[DEPTH_RATIO])
    hits = min(hits, held(values, 1, over(size, other), rule[OPPOSITE_RATIO]))
    if usual > 0.0:
        hits = min(hits, held(values, 2, size / usual, rule[VOLUME_S]))
    values[3], values[5] = size, (1.0 if buys else -1.0)
    values[4] = x[at.LARGEST_BID_AWAY] if buys else x[at.LARGEST_ASK_AWAY]
    return float(hits)


def sentence(values: Sequence[float], instrument: str, closing: bool) -> str:
    """What happened, with its numbers."""
    if closing:
        return f"{instrument}: the unusually large order is gone or has been traded."
    side = "bid" if values[5] > 0.0 else "offered"
    return (
        f"{values[3]:g} units of {instrument} were {side} at one price, {values[4]:.1f} basis points from the mid: "
        f"{values[0]:.0f} times the rest of that side and {values[1]:.0f} times the whole other side of the book."
    )
