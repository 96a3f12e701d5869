"""Price floor or ceiling: heavy one-sided trading is absorbed at one price, which is not let through (Delegated
Regulation 2016/522, Annex II: creation of a floor, or a ceiling, in the price pattern).
"""

from collections.abc import Sequence

from detectors.scenarios import observation as at
from detectors.scenarios.episode import Rule
from detectors.scenarios.measures import F8, blank, held, over, usual_move, volume_ratio, watched
from tapewatch.kernels import inlined

NAME = "price_floor_ceiling"
TIERS = ("quotes", "trades")
MEASURED = False
SENSITIVE = ("refills",)


class Parameters(Rule, frozen=True, forbid_unknown_fields=True):
    """Thresholds of `price_floor_ceiling`.

    warm_s : least time watched without a hole (s)
    pressure : least net aggressor volume against the held side over 60 s, of the volume traded (share)
    volume_ratio : least volume of 60 s over its own usual volume (ratio)
    refills : least times that the quantity at the held touch was traded in 60 s (ratio)
    stillness : least usual 60 s move over the range of 60 s (ratio)
    spreads : a usual 60 s move of fewer spreads is not assessed, the price cannot show that it is held (ratio)
    """

    hold_s: float = 10.0
    quiet_s: float = 120.0
    cooldown_s: float = 900.0
    update_ratio: float = 1.5
    warm_s: float = 600.0
    pressure: float = 0.7
    volume_ratio: float = 5.0
    refills: float = 5.0
    stillness: float = 2.0
    spreads: float = 2.0


WARM_S, PRESSURE, VOLUME_RATIO, REFILLS, STILLNESS, SPREADS = range(4, 10)

VALUES = ("pressure_60s", "volume_ratio_60s", "refills_60s", "stillness_60s", "price", "held_side")
UNITS = ("share of the volume", "ratio", "ratio", "ratio", "price", "1 bid (floor), -1 ask (ceiling)")


@inlined
def strength(x: F8, rule: F8, values: F8) -> float:
    """The least of how many times pressure, volume, refills and stillness reach their thresholds; NaN without quotes or
    trades, or where spreads are too wide for the instrument's volatility.

    x : observation vector; rule : Parameters in order; values : float64[16] out, VALUES and their thresholds
    """
    pressure = abs(x[at.IMBALANCE_60S])
    if not watched(x, rule[WARM_S]) or pressure != pressure or x[at.SPREAD_BPS] != x[at.SPREAD_BPS]:
        return float("nan")
    if pressure < rule[PRESSURE]:
        return 0.0
    usual = usual_move(x, 60.0)
    if usual < rule[SPREADS] * 1e-4 * x[at.SPREAD_BPS]:
        return float("nan")
    side = 1.0 if x[at.IMBALANCE_60S] < 0.0 else -1.0
    quantity = x[at.BID_QTY] if side > 0.0 else x[at.ASK_QTY]
    traded = 0.5 * (1.0 + pressure) * x[at.VOLUME_60S]
    blank(values)
    hits = held(values, 0, pressure, rule[PRESSURE])
    hits = min(hits, held(values, 1, volume_ratio(x, x[at.VOLUME_60S], 60.0), rule[VOLUME_RATIO]))
    hits = min(hits, held(values, 2, over(traded, quantity), rule[REFILLS]))
    hits = min(hits, held(values, 3, over(usual, x[at.HIGH_60S] - x[at.LOW_60S]), rule[STILLNESS]))
    values[4], values[5] = (x[at.BID] if side > 0.0 else x[at.ASK]), side
    return float(hits)


def sentence(values: Sequence[float], instrument: str, closing: bool) -> str:
    """What happened, with its numbers."""
    name, side = ("floor", "sold") if values[5] > 0.0 else ("ceiling", "bought")
    if closing:
        return f"{instrument}: the held price is no longer tested."
    return (
        f"{instrument} was {side} at {values[1]:.0f} times its usual volume for a minute, {100 * values[0]:.0f} % net "
        f"to one side, yet did not move from {values[4]:g}, where the quantity was renewed {values[2]:.0f} times: "
        f"somebody may be holding a {name}."
    )
