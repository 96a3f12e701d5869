"""What several scenarios measure a second by: usual moves and volumes, and how far a value reaches its threshold."""

import numpy as np
import numpy.typing as npt

from detectors.scenarios import observation as at
from tapewatch.kernels import inlined

F8 = npt.NDArray[np.float64]

OFF = 1e6
"""What a condition reaches that is not asked (its parameter is 0), or that nothing stands against."""

_THRESHOLDS = 8
_SUREST = 10.0


@inlined
def watched(x: F8, warm_s: float) -> bool:
    """Whether this second is one of continuous trading with `warm_s` watched seconds before it."""
    return bool(x[at.AGE] >= warm_s and x[at.AUCTION] == 0.0)


@inlined
def reached(value: float, least: float) -> float:
    """How many times `value` is its threshold: 0 for NaN and below 0, OFF where the threshold is 0."""
    if least <= 0.0:
        return OFF
    return float(min(value / least, OFF)) if value > 0.0 else 0.0


@inlined
def over(value: float, measure: float) -> float:
    """The value over its measure, OFF where the measure is not positive; NaN where either is unknown."""
    if value != value or measure != measure:
        return float(np.nan)
    return float(min(value / measure, OFF)) if measure > 0.0 else OFF


@inlined
def usual_move(x: F8, seconds: float) -> float:
    """Standard deviation of a log return over `seconds`, by the instrument's own volatility (half-life 30 min)."""
    return float(np.sqrt(max(x[at.USUAL_R2], 0.0) * seconds))


@inlined
def volume_ratio(x: F8, volume: float, seconds: float) -> float:
    """Volume of `seconds` over its own usual volume; 0 where the usual one is 0 or unknown."""
    usual = x[at.USUAL_VOLUME] * seconds
    return float(volume / usual) if usual > 0.0 and volume > 0.0 else 0.0


@inlined
def blank(values: F8) -> None:
    """Forget the evidence: float64[16] of NaN."""
    for place in range(values.size):
        values[place] = np.nan


@inlined
def held(values: F8, place: int, value: float, least: float) -> float:
    """Note a value and the threshold it was held against as evidence; returns how many times it is reached."""
    values[place], values[place + _THRESHOLDS] = value, least
    return reached(value, least)


@inlined
def either(values: F8, place: int, value: float, least: float, other: float, other_least: float) -> float:
    """As `held` for two values, in `place` and the next, of which one is enough; the better one keeps its threshold."""
    values[place], values[place + 1] = value, other
    one, two = reached(value, least), reached(other, other_least)
    if one >= two:
        values[place + _THRESHOLDS] = least
    else:
        values[place + 1 + _THRESHOLDS] = other_least
    return max(one, two)


@inlined
def sure(chance: float, alert: float) -> float:
    """A probability as a strength: its share of the alert probability up to that, beyond it 1 for each unit of log
    odds more.
    """
    if chance < alert or alert >= 1.0:
        return float(chance / alert)
    beyond = np.log(chance / (1.0 - chance)) - np.log(alert / (1.0 - alert))
    return float(min(1.0 + beyond, _SUREST))
