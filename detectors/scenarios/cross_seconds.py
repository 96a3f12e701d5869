"""`cross_market` over two instruments' sealed seconds: what each is usually like, and the strength at every second."""

import numpy as np
import numpy.typing as npt

from detectors.scenarios import cross
from detectors.scenarios import observation as at
from tapewatch.kernels import kernel

F8 = npt.NDArray[np.float64]

LATE_S = 25
"""Seconds after which one counts towards what is usual, as in the engine."""

_HALF_HOUR = float(1.0 - 2.0 ** (-1.0 / 1800))


@kernel
def _usual(found: F8) -> None:
    """Fill AGE, USUAL_R2 and USUAL_VOLUME from returns and volumes; all begin anew behind a second that is missing."""
    age, r2, volume = 0.0, 0.0, 0.0
    for t in range(found.shape[0]):
        if not (found[t, at.VOLUME_1S] >= 0.0 and found[t, at.RET_1S] == found[t, at.RET_1S]):
            age, r2, volume = 0.0, 0.0, 0.0
            continue
        found[t, at.AGE], found[t, at.USUAL_R2], found[t, at.USUAL_VOLUME] = age, r2, volume
        seen = age - LATE_S
        if seen >= 1.0:
            weight = max(_HALF_HOUR, 1.0 / seen)
            late = found[t - LATE_S]
            r2 += weight * (late[at.RET_1S] * late[at.RET_1S] - r2)
            volume += weight * (late[at.VOLUME_1S] - volume)
        age += 1.0


@kernel
def _strengths(pushed: F8, other: F8, window: int, rule: F8, values: F8, found: F8) -> None:
    for t in range(window - 1, pushed.shape[0]):
        first = t - window + 1
        found[t] = cross.strength(pushed[first : t + 1], other[first : t + 1], rule, values[t])


def observed(begin: int, end: int, seconds: npt.NDArray[np.int64], rows: F8) -> F8:
    """One instrument's observations of every second `begin..end`, float64[end - begin, COUNT], for `strengths`.

    seconds : int64[rows], of the epoch, each once; rows : float64[rows, 3], its ret_1s, volume_1s and signed_volume_1s
    """
    found = np.full((end - begin, at.COUNT), np.nan)
    inside = (seconds >= begin) & (seconds < end)
    for column, place in enumerate((at.RET_1S, at.VOLUME_1S, at.SIGNED_VOLUME_1S)):
        found[seconds[inside] - begin, place] = rows[inside, column]
    _usual(found)
    return found


def strengths(pushed: F8, other: F8, window: int, rule: F8) -> tuple[F8, F8]:
    """How strongly the seconds up to each one look like a push of the first for the sake of the second.

    pushed, other : as `observed` gives them, of the same seconds; window : 60 to 120 of them are looked at together
    rule : cross.Parameters in order
    Returns float64[seconds], NaN where it is not assessable, and the evidence, float64[seconds, 16].
    """
    values, found = np.full((len(pushed), 16), np.nan), np.full(len(pushed), np.nan)
    _strengths(pushed, other, window, rule, values, found)
    return found, values
