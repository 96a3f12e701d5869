"""Novelty of the newest window of a series: how far its shape lies from its third nearest neighbour in the past.

The distance of time-series discords (Keogh, Lin & Fu 2005), as conformal detectors use it on streams (Burnaev &
Ishimtsev 2016); its size is judged against the series' own block maxima, as extreme-value statistics do (Gumbel 1958).

Settings of the univariate detector, and the layout of the state it keeps for one series.
"""

from dataclasses import astuple, dataclass

import numpy as np
import numpy.typing as npt

from tapewatch.kernels import inlined, kernel

F8 = npt.NDArray[np.float64]

SHORT, LONG, BLOCK, UPPER, SPREAD, FLOOR, COUNTING, ALERT, REFRACTORY = range(9)
"""Places in `UnivariateParameters.array()`."""

ROWS, MEAN, DEVIATION, LAST_ALERT, VIEWS = range(5)
"""Places in a state: accepted values, their running mean and mean absolute deviation, the row of the last alert, and
where the two views' statistics begin."""

BLOCKS, TYPICAL, EXCESS, PEAK, SEEN, MAXIMA = range(6)
"""Places in a view's statistics: closed blocks, median of their maxima and what their upper quantile has beyond it,
maximum and rows of the open block, and where the maxima begin: in the order of time, then in the order of size."""

KEPT = 64
"""Block maxima kept; the oldest is forgotten for each new one."""

VIEW_FIELDS = MAXIMA + 2 * KEPT

RING = VIEWS + 2 * VIEW_FIELDS
"""Where a state's ring of past values begins."""


@dataclass(frozen=True, slots=True)
class UnivariateParameters:
    """One configuration for every series.

    short, long : lengths of the two windows whose shapes are compared, rows
    block : rows of a block, of whose maxima the tail is learnt
    upper : quantile of the block maxima that measures their spread above the median
    spread : least such spread, of the logarithm of a distance
    floor : distances are counted from this share of the series' mean absolute deviation
    counting : spreads that the bar rises for each e-fold of blocks seen, since more looks give more records
    alert : mean spreads beyond the typical block maximum that score 0.5
    refractory : rows after an alert in which further scores stay below 0.5
    """

    short: float = 8.0
    long: float = 16.0
    block: float = 64.0
    upper: float = 0.9
    spread: float = 0.3
    floor: float = 0.01
    counting: float = 0.2
    alert: float = 0.45
    refractory: float = 100.0

    def array(self) -> F8:
        """The values as the kernels take them, float64[9]."""
        return np.array(astuple(self))


def new_states(series: int, memory: int = 2048) -> F8:
    """Empty states, float64[series, RING + memory]: 270 numbers and the last `memory` values, 18,544 bytes a series."""
    return np.zeros((series, RING + memory))


def scratch_for(states: F8) -> F8:
    """The kernels' scratch, float64[memory]; one serves any number of series, one at a time."""
    return np.zeros(states.shape[1] - RING)


_ALIKE = 1e-9
"""Share of the mean below which values are taken as equal, so that rounding is no movement."""
_NOTHING = 1e-12
_NEIGHBOURS = 3
_APART = 2
"""Window lengths between a window and its neighbours: nearer ones are alike because they overlap."""
_EARLY = 4.0
"""Blocks at which the bar for records stands at its level."""
_SLOWEST = 0.001


@kernel
def add_lags(ring: F8, newest: int, first: int, last: int, sums: F8) -> None:
    """Add the squared differences at lags first..last-1 between the newest window and the window ending at each place.

    ring : float64[memory], past values, `newest` the place of the newest; sums : float64[memory], by place of the
    window's end
    """
    memory = ring.size
    for lag in range(first, last):
        mine = ring[(newest - lag) % memory]
        # Two slices rather than an index modulo memory: so the loops run in vector registers.
        wrapped, straight, onward = ring[memory - lag :], ring[: memory - lag], sums[lag:]
        for i in range(lag):
            difference = mine - wrapped[i]
            sums[i] += difference * difference
        for i in range(memory - lag):
            difference = mine - straight[i]
            onward[i] += difference * difference


@kernel
def third_smallest(sums: F8, newest: int, nearest: int, farthest: int) -> float:
    """The third smallest sum among windows that ended `nearest` to `farthest` rows ago; -1 where there are fewer."""
    memory = sums.size
    if farthest - nearest + 1 < _NEIGHBOURS:
        return -1.0
    a = b = c = np.inf
    for age in range(nearest, farthest + 1):
        place = newest - age
        value = sums[place if place >= 0 else place + memory]
        if value < c:
            if value < b:
                c = b
                if value < a:
                    b = a
                    a = value
                else:
                    b = value
            else:
                c = value
    return float(c)


@kernel
def close_block(view: F8, upper: float) -> None:
    """Take the open block's maximum among those kept, and learn their median and upper quantile anew."""
    blocks = int(view[BLOCKS])
    ordered = view[MAXIMA + KEPT : MAXIMA + 2 * KEPT]
    count = min(blocks, KEPT)
    place = MAXIMA + blocks % KEPT
    if blocks >= KEPT:
        gap = np.searchsorted(ordered, view[place])
        for i in range(gap, KEPT - 1):
            ordered[i] = ordered[i + 1]
        count -= 1
    view[place] = view[PEAK]
    at = count
    while at > 0 and ordered[at - 1] > view[PEAK]:
        ordered[at] = ordered[at - 1]
        at -= 1
    ordered[at] = view[PEAK]
    view[TYPICAL] = ordered[int(0.5 * count + 0.5)]
    view[EXCESS] = ordered[int(upper * count + 0.5)] - view[TYPICAL]
    view[BLOCKS] = blocks + 1.0
    view[SEEN] = 0.0


@kernel
def surprise(view: F8, level: float, parameters: F8) -> float:
    """Spreads by which the logarithm of a distance lies beyond the typical block maximum, 0 or more.

    view : float64[VIEW_FIELDS], updated with the distance after it was judged; 0 until the first block is closed
    """
    found = 0.0
    blocks = view[BLOCKS]
    if blocks > 0.0:
        least = parameters[SPREAD]
        spread = np.sqrt(view[EXCESS] * view[EXCESS] + least * least * (1.0 + _EARLY / blocks))
        bar = parameters[COUNTING] * np.log(blocks / _EARLY)
        found = max((level - view[TYPICAL]) / spread - bar, 0.0)
    if view[SEEN] == 0.0 or level > view[PEAK]:
        view[PEAK] = level
    view[SEEN] += 1.0
    if view[SEEN] >= parameters[BLOCK]:
        close_block(view, parameters[UPPER])
    return found


@inlined
def compared(state: F8, sums: F8, newest: int, parameters: F8) -> float:
    """Mean surprise of the short and the long window that end at the newest value."""
    ring = state[RING:]
    rows = int(state[ROWS])
    total = 0.0
    first = 0
    sums[:] = 0.0
    for number in range(2):
        length = int(parameters[SHORT + number])
        add_lags(ring, newest, first, length, sums)
        first = length
        farthest = min(rows, ring.size) - length
        squared = third_smallest(sums, newest, _APART * length, farthest)
        if squared >= 0.0:
            start = VIEWS + number * VIEW_FIELDS
            least = parameters[FLOOR] * state[DEVIATION] + _ALIKE * abs(state[MEAN]) + _NOTHING
            level = np.log(np.sqrt(squared) + least * np.sqrt(length))
            total += surprise(state[start : start + VIEW_FIELDS], level, parameters)
    return total / 2.0


@kernel
def update(state: F8, sums: F8, value: float, parameters: F8) -> float:
    """Score of one more value of one series, 0 to 1, an alert at 0.5 and above; NaN for NaN or infinity, which change
    nothing.

    state : float64[RING + memory], updated; sums : float64[memory], scratch; parameters : UnivariateParameters.array()
    """
    if not np.isfinite(value):
        return np.nan
    rows = state[ROWS]
    memory = sums.size
    newest = int(rows) % memory
    share = max(1.0 / (rows + 1.0), _SLOWEST)
    if rows == 0.0:
        state[MEAN] = value
        state[LAST_ALERT] = -np.inf
    state[DEVIATION] += share * (abs(value - state[MEAN]) - state[DEVIATION])
    state[MEAN] += share * (value - state[MEAN])
    state[RING + newest] = value
    state[ROWS] = rows + 1.0
    found = compared(state, sums, newest, parameters)
    score = float(found / (found + parameters[ALERT]))
    if score >= 0.5:
        if rows - state[LAST_ALERT] <= parameters[REFRACTORY]:
            return 0.5 * score
        state[LAST_ALERT] = rows
    return score


@kernel
def run(state: F8, sums: F8, values: F8, parameters: F8, scores: F8) -> None:
    """Score every value in turn. values, scores : float64[rows]."""
    for row in range(values.size):
        scores[row] = update(state, sums, values[row], parameters)
