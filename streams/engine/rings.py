"""Where a second lies in the rings: rows that are the same for every instrument and so computed once a second."""

import numpy as np
import numpy.typing as npt

from streams.engine import state
from tapewatch.kernels import inlined, kernel

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]

P, P1, P60, P25, P61, P300, P301, P26, P120 = 0, 1, 5, 8, 9, 6, 10, 11, 12
"""Places of the prices now and 1, 60, 25, 61, 300, 301, 26, 120 s ago; those of 5, 10, 30 and 900 s lie between."""
M, M10, M25, M60, A, A300, R, R25, D, D10 = range(13, 23)
"""Within each one-minute ring now and 10, 25, 60 s ago; Amihud now and 300 s ago; rush now and 25 s ago; within each
depth ring now and 10 s ago.
"""
COUNT = 23
PRICE_LAGS = np.array([0, 1, 5, 10, 30, 60, 300, 900, 25, 61, 301, 26, 120])


@kernel
def ring_rows(second: int, at: I8) -> None:
    """Fill `at`, int64[COUNT], with the rows named above."""
    for lag in range(PRICE_LAGS.size):
        at[lag] = state.PRICE + (second - PRICE_LAGS[lag]) % state.RING_PRICE
    at[M], at[M10] = second % state.RING_MINUTE, (second - 10) % state.RING_MINUTE
    at[M25], at[M60] = (second - 25) % state.RING_MINUTE, (second - 60) % state.RING_MINUTE
    at[A], at[A300] = state.AMIHUD + second % state.RING_AMIHUD, state.AMIHUD + (second - 300) % state.RING_AMIHUD
    at[R], at[R25] = state.RUSHES + second % state.RING_RUSH, state.RUSHES + (second - 25) % state.RING_RUSH
    at[D], at[D10] = second % state.RING_DEPTH, (second - 10) % state.RING_DEPTH


@inlined
def slide(total: float, rings: F8, old: int, window: int, i: int, age: float, value: float) -> float:
    """A sum over `window` seconds after this second's value; `old` is the row of the value that leaves."""
    if age >= window:
        return float(total + value - rings[old, i])
    return total + value
