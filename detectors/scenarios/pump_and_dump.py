"""Pump and dump: aggressive buyers drive the price up in seconds, then the organisers sell (EU MAR Annex I A(a), (c);
CFTC advisory 2018).

The rule follows what sets the announced pumps of small coins apart from news (Kamps & Kleinberg 2018; La Morgia et al.
2020): within 25 s the price rises far beyond its own volatility, the volume is a multiple of its own mean, and buyers
cross the spread in many distinct milliseconds. News re-prices the quotes instead: the price has moved before anybody
buys, and both sides trade.
"""

import msgspec
import numpy as np
import numpy.typing as npt

from detectors.scenarios.episode import (
    CLOSED,
    DECIDED,
    DECIDED_OFFSET,
    LAST_HIT,
    NONE,
    ONSET,
    ONSET_OFFSET,
    OPEN,
    OPENED,
    PEAK,
    REVISION,
    UPDATED,
    WORK,
)
from tapewatch.kernels import inlined

F8 = npt.NDArray[np.float64]

WINDOW_S = 25
# Inputs of a step, float64[8].
RISE, RUSH, VOLUME_RATIO, BUY_SHARE, DEVIATION, RUSH_RATIO, PRICE, AGE = range(8)
INPUTS = (
    "ret_25s",
    "rush_25s",
    "volume_ratio_25s",
    "buy_share_25s",
    "price",
    "threshold_ret",
    "threshold_rush",
    "drawdown",
)
_DUMPED = WORK


class PumpParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Thresholds of `pump_and_dump`.

    min_rise : log return over 25 s at least; rise_deviations : and this many standard deviations of a 25 s return (own
    volatility, half-life 30 min)
    min_rush : distinct milliseconds with aggressive buys in 25 s at least; rush_ratio : and this multiple of their own
    mean
    volume_ratio : volume of 25 s over its own mean at least; buy_share : (bought - sold)/traded of 25 s at least
    explosive_ratio : from this multiple of the mean volume on no buy_share is asked: in a small coin's thousandfold
    rush sellers meet every buyer
    warm_s : seconds an instrument must have been watched; cooldown_s : an episode lasts this long, and no second one
    opens in it
    dump_share : the dump has begun when this share of the rise is given back
    """

    min_rise: float = 0.02
    rise_deviations: float = 6.0
    min_rush: float = 18.0
    rush_ratio: float = 3.0
    volume_ratio: float = 8.0
    buy_share: float = 0.22
    explosive_ratio: float = 150.0
    warm_s: float = 600.0
    cooldown_s: float = 1800.0
    dump_share: float = 0.5

    def array(self) -> F8:
        """As the kernel takes them."""
        return np.array([float(value) for value in msgspec.structs.astuple(self)])


@inlined
def thresholds(x: F8, rule: F8, out: F8) -> None:
    """The rise and the rush that this instrument needs now: out[0] log return, out[1] count."""
    out[0] = max(rule[0], rule[1] * x[DEVIATION])
    out[1] = max(rule[2], rule[3] * x[RUSH_RATIO])


@inlined
def step(e: F8, x: F8, second: int, offset: int, rule: F8, values: F8) -> int:
    """One sealed second of one instrument.

    e : float64[16], the episode's state, changed in place; x : float64[8], inputs named above (RUSH_RATIO and
    DEVIATION: the instrument's own mean of rush_25s and standard deviation of a 25 s return); second : the sealed
    second; offset : the input offset that sealed it
    values : float64[16] out, evidence, named by INPUTS; returns NONE, OPENED, UPDATED or CLOSED
    """
    need = values[5:7]
    thresholds(x, rule, need)
    values[0], values[1], values[2], values[3], values[4] = x[RISE], x[RUSH], x[VOLUME_RATIO], x[BUY_SHARE], x[PRICE]
    if e[OPEN] == 0.0:
        hit = (
            x[AGE] >= rule[7]
            and x[RISE] >= need[0]
            and x[RUSH] >= need[1]
            and x[VOLUME_RATIO] >= rule[4]
            and (x[BUY_SHARE] >= rule[5] or x[VOLUME_RATIO] >= rule[6])
        )
        if not hit:
            return NONE
        e[OPEN], e[REVISION], e[ONSET], e[DECIDED] = 1.0, 1.0, second - WINDOW_S + 1, second + 1
        e[ONSET_OFFSET] = e[DECIDED_OFFSET] = offset
        e[LAST_HIT], e[PEAK], e[_DUMPED], e[WORK + 1] = second, x[PRICE], 0.0, x[PRICE] * np.exp(-x[RISE])
        values[7] = 0.0
        return OPENED
    start = e[WORK + 1]
    e[PEAK] = max(e[PEAK], x[PRICE])
    values[7] = (e[PEAK] - x[PRICE]) / (e[PEAK] - start) if e[PEAK] > start else 0.0
    if e[_DUMPED] == 0.0 and values[7] >= rule[9]:
        e[_DUMPED] = 1.0
        e[REVISION] += 1.0
        return UPDATED
    if second + 1 - e[DECIDED] >= rule[8]:
        e[REVISION] += 1.0
        e[OPEN] = 0.0
        return CLOSED
    return NONE
