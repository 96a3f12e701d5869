"""Pump and dump: aggressive buyers drive the price up in seconds, then the organisers sell (EU MAR Annex I A(a), (c);
CFTC advisory 2018).

The rule follows what sets the announced pumps of small coins apart from news (Kamps & Kleinberg 2018; La Morgia et al.
2020): within 25 s the price rises far beyond its own volatility, the volume is a multiple of its own mean, and buyers
cross the spread in many distinct milliseconds. News re-prices the quotes instead: the price has moved before anybody
buys, and both sides trade.

Where an instrument hardly trades, none of its usual measures holds: a handful of orders is a multiple of everything.
There the trained pump model (detectors/pumps) decides instead.
"""

import math
from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from detectors.scenarios import observation as at
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
from detectors.scenarios.measures import sure
from tapewatch.kernels import inlined

F8 = npt.NDArray[np.float64]

NAME = "pump_and_dump"
TIERS = ("trades",)
MEASURED = True
SILENCES = ("ramping", "momentum_ignition", "advancing_the_bid")
SENSITIVE = ("min_rise", "rise_deviations")
VALUES = ("ret_25s", "rush_25s", "volume_ratio_25s", "buy_share_25s", "price", "given_back", "pump_probability")
UNITS = ("log return", "count", "ratio", "-1..1", "price", "share of the rise", "probability")

WINDOW_S = 25
GIVEN_BACK = 5
"""Place of the share of the rise that was given back, among the values."""

_CHANCE, _THRESHOLDS = 6, 8

_DUMPED, _START, _TOP = WORK, WORK + 1, WORK + 2


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Thresholds of `pump_and_dump`.

    min_rise : least rise over 25 s (log return)
    rise_deviations : least rise against the instrument's own volatility, half-life 30 min (standard deviations)
    min_rush : least number of distinct milliseconds with aggressive buys in 25 s (count)
    rush_ratio : least rush against its own mean (ratio)
    volume_ratio : least volume of 25 s against its own mean (ratio)
    buy_share : least net share of buyers, (bought - sold) / traded of 25 s (-1..1)
    explosive_ratio : volume from which it is not asked: in a small coin's rush sellers meet every buyer (ratio)
    warm_s : least time watched (s)
    cooldown_s : length of an episode; no second one opens in it (s)
    dump_share : of the rise given back when the dump has begun (share)
    dense_share : share of seconds with trades from which these thresholds decide, below it the pump model (share)
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
    dense_share: float = 0.2


@inlined
def evidence(x: F8, rule: F8, values: F8) -> None:
    """Fill `values`, float64[16]: what VALUES names and, from 8 on, what it is held against; nothing is given back yet.

    The rise and the rush are held against the instrument's own usual ones too. On a thin instrument only the model's
    probability is held against anything.
    """
    usual = x[at.USUAL_VOLUME] * WINDOW_S
    traded = x[at.VOLUME_25S]
    values[0], values[1] = x[at.RET_25S], x[at.RUSH_25S]
    values[2] = traded / usual if usual > 0.0 else 0.0
    values[3] = x[at.SIGNED_VOLUME_25S] / traded if traded > 0.0 else 0.0
    values[4], values[GIVEN_BACK] = x[at.PRICE], 0.0
    values[_CHANCE] = x[at.PUMP_CHANCE]
    for place in range(_THRESHOLDS, values.size):
        values[place] = np.nan
    if not x[at.USUAL_TRADED] >= rule[10]:
        values[_THRESHOLDS + _CHANCE] = x[at.PUMP_ALERT]
        return
    values[8] = max(rule[0], rule[1] * np.sqrt(x[at.USUAL_R2] * WINDOW_S))
    values[9] = max(rule[2], rule[3] * x[at.USUAL_RUSH] * WINDOW_S)
    values[10], values[11] = rule[4], rule[5]


@inlined
def _times(value: float, threshold: float) -> float:
    """How many times a threshold was reached; one of 0 always is."""
    return float(value / threshold) if threshold > 0.0 else 1.0


@inlined
def strength(x: F8, rule: F8, values: F8) -> float:
    """How many times the weakest of rise, rush and volume reached its threshold; below 1 where the buyers do not lead
    or the instrument was not watched for long. On a thin instrument, how sure the pump model is. NaN without trades.
    See `evidence` for the arguments.
    """
    if np.isnan(x[at.VOLUME_25S]):
        return np.nan
    if not x[at.USUAL_TRADED] >= rule[10]:
        if not (x[at.PUMP_CHANCE] > 0.0 and x[at.AGE] >= WINDOW_S):
            return 0.0
        evidence(x, rule, values)
        return sure(x[at.PUMP_CHANCE], x[at.PUMP_ALERT])
    if not (x[at.RET_25S] >= 0.5 * rule[0] and x[at.AGE] >= rule[7]):
        return 0.0
    evidence(x, rule, values)
    reached = min(_times(values[0], values[8]), _times(values[1], values[9]), _times(values[2], rule[4]))
    if values[3] >= rule[5] or values[2] >= rule[6]:
        return float(reached)
    return float(min(reached, 0.99))


@inlined
def step(e: F8, reached: float, price: float, second: int, offset: int, rule: F8, values: F8) -> int:
    """One sealed second of one instrument.

    e : float64[FIELDS], the episode's state, changed in place; reached : its strength
    price : of the second; second : the sealed second; offset :
    the input offset that sealed it; values : float64[16], the evidence, given_back is filled in
    Returns NONE, OPENED, UPDATED or CLOSED. The onset is where the window of the first hit begins.
    """
    if e[OPEN] == 0.0:
        if not reached >= 1.0:
            return NONE
        e[OPEN], e[REVISION], e[ONSET], e[DECIDED] = 1.0, 1.0, second - WINDOW_S + 1, second + 1
        e[ONSET_OFFSET] = e[DECIDED_OFFSET] = offset
        e[LAST_HIT], e[PEAK], e[_DUMPED] = second, reached, 0.0
        e[_TOP], e[_START] = price, price * np.exp(-values[0])
        return OPENED
    e[_TOP] = max(e[_TOP], price)
    rise = e[_TOP] - e[_START]
    values[GIVEN_BACK] = (e[_TOP] - price) / rise if rise > 0.0 else 0.0
    if e[_DUMPED] == 0.0 and values[GIVEN_BACK] >= rule[9]:
        e[_DUMPED] = 1.0
        e[REVISION] += 1.0
        return UPDATED
    if second + 1 - e[DECIDED] >= rule[8]:
        e[REVISION] += 1.0
        e[OPEN] = 0.0
        return CLOSED
    return NONE


def sentence(values: Sequence[float], instrument: str, closing: bool) -> str:
    """What happened, for a person."""
    back = f"{values[GIVEN_BACK] * 100:.0f} %"
    if closing:
        return f"The watch on {instrument} after its pump ended; {back} of the rise is given back."
    if values[GIVEN_BACK] > 0.0:
        return f"{instrument} has given back {back} of its rise: the dump has begun."
    rise = (math.exp(values[0]) - 1.0) * 100.0
    if math.isfinite(values[_THRESHOLDS + _CHANCE]):
        return (
            f"{instrument} moved {rise:+.1f} % within 25 s on {values[2]:.0f} times its usual volume, bought in bursts "
            f"like those of announced pumps (probability {values[_CHANCE]:.3f}): this looks like a pump."
        )
    return (
        f"{instrument} rose {rise:.1f} % within 25 s on {values[2]:.0f} times its usual "
        f"volume, driven by aggressive buyers in {values[1]:.0f} distinct milliseconds: this looks like a pump."
    )
