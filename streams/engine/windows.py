"""What an instrument remembers from second to second: the second's sums, windows, and what is usual for it."""

import numpy as np
import numpy.typing as npt

from streams.engine import rings as ring
from streams.engine import state
from streams.engine.observations import clear, fold, forget_windows
from streams.engine.state import State
from tapewatch.kernels import inlined, kernel

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]


def _decay(half_life_s: float) -> float:
    """Weight of the newest second in an exponentially weighted mean of that half-life."""
    return float(1.0 - 2.0 ** (-1.0 / half_life_s))


A60, A300, A600, A1800 = _decay(60), _decay(300), _decay(600), _decay(1800)
"""Weights of half-lives, s."""


@inlined
def blend(a: F8, mean: int, variance: int, value: float, weight: float) -> None:
    """Move an exponentially weighted mean and variance on by one second."""
    if a[state.AGE] == 0.0:
        a[mean], a[variance] = value, 0.0
        return
    change = value - a[mean]
    a[mean] += weight * change
    a[variance] = (1.0 - weight) * (a[variance] + weight * change * change)


@inlined
def clear_second(a: F8) -> None:
    """Empty the accumulators of the second."""
    a[state.VOL] = a[state.CNT] = a[state.SGN] = a[state.NOTIONAL] = a[state.RUSH] = 0.0
    a[state.OFI] = a[state.QUOTES] = a[state.ADDED] = a[state.REMOVED] = 0.0


@kernel
def restart_windows(a: F8) -> None:
    """Forget every window of an instrument: the seconds before were not watched."""
    a[state.AGE] = 0.0
    for field in range(state.VOL60, state.EWMA_R2 + 1):
        a[field] = 0.0
    a[state.VOL25] = a[state.SGN25] = 0.0
    a[state.M_SPREAD] = a[state.BAR_PREV_CLOSE] = a[state.BAR_PREV_VOLUME] = np.nan
    forget_windows(a)
    clear_second(a)


@kernel
def begin_watching(S: State) -> None:
    """Let every window begin anew: while no scenarios were run, nothing was kept for them. Their episodes are over."""
    for i in range(S.clock[state.COUNT]):
        restart_windows(S.acc[i])
        S.live[i] = 0
        S.acc[i, state.BUYS] = 0.0
        if S.acc[i, state.HAS_BOOK] > 0.0:
            S.flow[i, :] = 0.0
        if S.acc[i, state.TRADES_SEEN] > 0.0:
            S.pumps[i, :] = 0.0


@inlined
def _baselines(S: State, i: int, at: I8) -> None:
    """Move the half-hour means on that scenarios compare with; a plain mean until as much has been seen.

    They take each second 25 s late, when it leaves the scenarios' window, so that what is judged is not part of its own
    measure.
    """
    a, rings = S.acc[i], S.rings
    seen = a[state.AGE] - 25.0
    if seen < 1.0:
        return
    weight = max(A1800, 1.0 / seen)
    r = rings[at[ring.P25], i] - rings[at[ring.P26], i]
    a[state.BASE_VOLUME] += weight * (rings[state.VOLUME + at[ring.M25], i] - a[state.BASE_VOLUME])
    a[state.BASE_RUSH] += weight * (rings[at[ring.R25], i] - a[state.BASE_RUSH])
    a[state.BASE_R2] += weight * (r * r - a[state.BASE_R2])
    traded = 1.0 if rings[state.COUNTS + at[ring.M25], i] > 0.0 else 0.0
    a[state.BASE_TRADED] += weight * (traded - a[state.BASE_TRADED])


@inlined
def gather(S: State, i: int, at: I8) -> None:
    """Take the second into what is usual for the instrument, once it was judged by what was usual before."""
    a = S.acc[i]
    _baselines(S, i, at)
    if a[state.HAS_QUOTE] > 0.0 or a[state.HAS_BOOK] > 0.0:
        blend(a, state.M_QTS, state.V_QTS, a[state.QUOTES], A600)
    fold(a)
    clear(a)
    clear_second(a)
    a[state.AGE] += 1.0
