"""Settings of the univariate detector, and the layout of the state it keeps for one series."""

from dataclasses import astuple, dataclass

import numpy as np
import numpy.typing as npt

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
