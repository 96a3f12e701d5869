"""What became of buying at each minute's close: the target before the stop within the horizon, or not (the triple
barrier of Lopez de Prado 2018, ch. 3).
"""

import numpy as np
import numpy.typing as npt

from tapewatch.kernels import inlined, kernel

F8 = npt.NDArray[np.float64]

ENTERED, UPPER, LOWER = range(3)
PENDING = 3
"""Of an entry that is not decided yet: its minute (NaN where there is none), and its two barriers."""


@inlined
def decide(pending: F8, minute: int, high: float, low: float, decided: F8) -> None:
    """Judge every open entry by the newest minute's high and low.

    pending : float64[horizon, PENDING]; decided : float64[2], set to how many were decided and how many reached the
    target
    A minute that touches both counts as the stop: which came first is not known. An entry whose last minute has passed
    without either was no success.
    """
    horizon = pending.shape[0]
    decided[:] = 0.0
    for slot in range(horizon):
        entry = pending[slot]
        if entry[ENTERED] != entry[ENTERED]:
            continue
        age = minute - int(entry[ENTERED])
        stopped = age <= horizon and low <= entry[LOWER]
        reached = age <= horizon and high >= entry[UPPER] and not stopped
        if stopped or reached or age >= horizon:
            decided[0] += 1.0
            decided[1] += 1.0 if reached else 0.0
            entry[ENTERED] = np.nan


@inlined
def enter(pending: F8, minute: int, price: float, target: float, stop: float) -> None:
    """Note an entry at a minute's close. target, stop : returns, the latter negative"""
    entry = pending[minute % pending.shape[0]]
    entry[ENTERED], entry[UPPER], entry[LOWER] = minute, price * (1.0 + target), price * (1.0 + stop)


@kernel
def outcomes(
    minutes: npt.NDArray[np.int64], bars: F8, horizon: int, target: float, stop: float, out: npt.NDArray[np.float64]
) -> None:
    """What became of an entry at each minute of a history, looking ahead: for training and evaluation alone.

    minutes : int64[rows], increasing; bars : float64[rows, 7], high, low, close first; horizon : minutes
    out : float64[rows], 1 where the target was reached first, 0 where not, NaN where the history ends before the
    horizon does
    """
    rows = len(minutes)
    for row in range(rows):
        upper, lower = bars[row, 2] * (1.0 + target), bars[row, 2] * (1.0 + stop)
        last = minutes[row] + horizon
        out[row] = np.nan if minutes[rows - 1] < last else 0.0
        if out[row] != 0.0:
            continue
        for later in range(row + 1, rows):
            if minutes[later] > last or bars[later, 1] <= lower:
                break
            if bars[later, 0] >= upper:
                out[row] = 1.0
                break
