"""Reference-price push: one-sided orders around a fixing move the price that a benchmark is read from (EU MAR Article
12(1)(d); Delegated Regulation 2016/522, Annex II; CFTC Rule 180.1).
"""

from collections.abc import Sequence

from detectors.scenarios import observation as at
from detectors.scenarios.episode import Rule
from detectors.scenarios.measures import F8, held, volume_ratio, watched
from detectors.scenarios.pushed import ahead, direction, push, pushed
from tapewatch.kernels import inlined

NAME = "reference_price"
TIERS = ("trades", "benchmark")
MEASURED = False
SENSITIVE = ("min_move", "move_deviations")

_DAY_S = 86_400.0


class Parameters(Rule, frozen=True, forbid_unknown_fields=True):
    """Thresholds of `reference_price`.

    fixing_s : time of day of the fixing, seconds after 00:00 UTC; 0 where the instrument has none (s)
    window_s : length of the window around the fixing, half before and half after it (s)
    warm_s : least time watched without a hole (s)
    min_move : least move over 60 s (log return)
    move_deviations : and at least this many deviations of a 60 s return, by own volatility (standard deviations)
    imbalance : least net aggressor volume in the direction over 60 s, of the volume traded (share)
    volume_ratio : least volume of 60 s over its own usual volume (ratio)
    """

    hold_s: float = 3.0
    quiet_s: float = 60.0
    cooldown_s: float = 900.0
    update_ratio: float = 1.5
    fixing_s: float = 57_600.0
    window_s: float = 300.0
    warm_s: float = 600.0
    min_move: float = 0.002
    move_deviations: float = 4.0
    imbalance: float = 0.5
    volume_ratio: float = 2.0


FIXING_S, WINDOW_S, WARM_S, MIN_MOVE, MOVE_DEVIATIONS, IMBALANCE, VOLUME_RATIO = range(4, 11)

VALUES = ("move_60s", "imbalance_60s", "volume_ratio_60s", "from_fixing", "direction")
UNITS = ("log return", "share of the volume", "ratio", "s", "1 up, -1 down")


@inlined
def strength(x: F8, rule: F8, values: F8) -> float:
    """The least of how many times move, imbalance and volume reach their thresholds around the fixing; NaN without
    trades or a fixing.

    x : observation vector; rule : Parameters in order; values : float64[16] out, VALUES and their thresholds
    """
    if rule[FIXING_S] <= 0.0:
        return float("nan")
    after = (x[at.SECOND_OF_DAY] - rule[FIXING_S] + 0.5 * _DAY_S) % _DAY_S - 0.5 * _DAY_S
    if abs(after) > 0.5 * rule[WINDOW_S]:
        return 0.0
    if not watched(x, rule[WARM_S]):
        return float("nan")
    hits = push(x, values, rule[MIN_MOVE], rule[MOVE_DEVIATIONS], rule[IMBALANCE])
    if not hits > 0.0:
        return hits
    hits = min(hits, held(values, 2, volume_ratio(x, x[at.VOLUME_60S], 60.0), rule[VOLUME_RATIO]))
    values[3], values[4] = after, direction(x[at.RET_60S])
    return float(hits)


def sentence(values: Sequence[float], instrument: str, closing: bool) -> str:
    """What happened, with its numbers."""
    if closing:
        return f"{instrument}: the one-sided trading around the fixing is over."
    when = f"{abs(values[3]):.0f} s {'after' if values[3] > 0.0 else 'before'} the fixing"
    return (
        f"{pushed(instrument, values[0], values[4])}, {when}, on "
        f"{values[2]:.1f} times its usual volume {ahead(values[1], values[4])} of it: "
        "this looks like a push of the reference price."
    )
