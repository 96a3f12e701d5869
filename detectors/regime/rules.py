"""Three ways to call a coin bull or bear over a horizon, each from what lies behind the minute alone.

The hidden Markov model is filtered forward (Hamilton 1989), never smoothed: no minute's call changes later.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.coin_features import windows
from tapewatch.kernels import inlined

F8 = npt.NDArray[np.float64]

HORIZONS = (60, 360, 720, 1440)
"""Minutes: 1, 6, 12 and 24 hours."""
HOURS = (1, 6, 12, 24)
STEPS = 12
"""A horizon is observed in so many steps."""
HMM, TREND, NAIVE = range(3)
RULES = ("hmm", "trend", "naive")
BULL, BEAR, UNKNOWN = 1.0, -1.0, 0.0

# Of a coin and horizon: the step and the log price with which it began, the probability of bull, and the trend's call.
STEP, BEGAN, CHANCE, CALL = range(4)
FIELDS = 4

_WINDOW = (5, 6, 7, 8)
"""Places of the horizons in the desk's windows."""
_USUAL = 9
"""The week, whose volatility is the measure."""
_LEAST = 1e-6


class Regimes(NamedTuple):
    """What the rules go by, one row a horizon.

    mean, deviation : float64[4, 2] of a step's return in bull and bear, in units of its usual deviation
    stay : float64[4, 2], chance that bull, and bear, lasts a step; band : float64[4], how far from its average over
    the horizon a price must be before the trend turns, in units of the horizon's usual deviation
    """

    mean: F8
    deviation: F8
    stay: F8
    band: F8


@inlined
def filtered(chance: float, seen: float, mean: F8, deviation: F8, stay: F8) -> float:
    """Probability of bull after one more return. chance : before it; seen : in units of its usual deviation"""
    bull = chance * stay[0] + (1.0 - chance) * (1.0 - stay[1])
    bear = 1.0 - bull
    up, down = (seen - mean[0]) / deviation[0], (seen - mean[1]) / deviation[1]
    # The larger exponent is taken out, so that no shock makes both densities zero.
    odds = math.exp(min(0.5 * (up * up - down * down), 600.0)) * deviation[0] / deviation[1] * bear / bull
    return float(min(max(1.0 / (1.0 + odds), 1e-6), 1.0 - 1e-6))


@inlined
def observe(state: F8, minute: int, price: float, seen: F8, rules: Regimes, out: F8) -> None:
    """Call every horizon by every rule at a minute's close.

    state : float64[4, FIELDS], NaN at birth; seen : float64[windows, SUMMARY] of this minute
    out : float64[4, 3] by horizon and rule: BULL, BEAR, or UNKNOWN while half of the horizon is not behind the coin
    """
    usual = max(seen[_USUAL, windows.VOLATILITY], _LEAST)
    for place in range(len(HORIZONS)):
        own, wide = state[place], HORIZONS[place]
        summary = seen[_WINDOW[place]]
        step = (minute + 1) // (wide // STEPS)
        if own[STEP] != own[STEP]:
            own[STEP], own[BEGAN], own[CHANCE], own[CALL] = step, math.log(price), 0.5, UNKNOWN
        if step > own[STEP]:
            moved = (math.log(price) - own[BEGAN]) / (usual * math.sqrt((step - own[STEP]) * (wide // STEPS)))
            own[CHANCE] = filtered(
                own[CHANCE], min(max(moved, -8.0), 8.0), rules.mean[place], rules.deviation[place], rules.stay[place]
            )
            own[STEP], own[BEGAN] = step, math.log(price)
        away = math.log(price / summary[windows.AVERAGE]) / (usual * math.sqrt(wide))
        if away > rules.band[place]:
            own[CALL] = BULL
        elif away < -rules.band[place]:
            own[CALL] = BEAR
        out[place, HMM] = BULL if own[CHANCE] > 0.5 else BEAR
        out[place, TREND] = own[CALL]
        out[place, NAIVE] = BULL if summary[windows.RETURN] > 0.0 else BEAR
        if summary[windows.S_MINUTES] < wide // 2:
            out[place] = UNKNOWN
