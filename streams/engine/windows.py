"""What an instrument remembers from second to second: the second's sums, windows, and what is usual for it."""

import numpy as np
import numpy.typing as npt

from streams.engine import rings as r_
from streams.engine import state as s
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
    if a[s.AGE] == 0.0:
        a[mean], a[variance] = value, 0.0
        return
    change = value - a[mean]
    a[mean] += weight * change
    a[variance] = (1.0 - weight) * (a[variance] + weight * change * change)


@inlined
def clear_second(a: F8) -> None:
    """Empty the accumulators of the second."""
    a[s.VOL] = a[s.CNT] = a[s.SGN] = a[s.NOTIONAL] = a[s.RUSH] = 0.0
    a[s.OFI] = a[s.QUOTES] = a[s.ADDED] = a[s.REMOVED] = 0.0


@kernel
def restart_windows(a: F8) -> None:
    """Forget every window of an instrument: the seconds before were not watched."""
    a[s.AGE] = 0.0
    for field in range(s.VOL60, s.EWMA_R2 + 1):
        a[field] = 0.0
    a[s.VOL25] = a[s.SGN25] = 0.0
    a[s.M_SPREAD] = a[s.BAR_PREV_CLOSE] = a[s.BAR_PREV_VOLUME] = np.nan
    forget_windows(a)
    clear_second(a)


@kernel
def begin_watching(S: State) -> None:
    """Let every window begin anew: while no scenarios were run, nothing was kept for them. Their episodes are over."""
    for i in range(S.clock[s.COUNT]):
        restart_windows(S.acc[i])
        S.live[i] = 0
        S.acc[i, s.BUYS] = 0.0
        if S.acc[i, s.HAS_BOOK] > 0.0:
            S.flow[i, :] = 0.0
        if S.acc[i, s.TRADES_SEEN] > 0.0:
            S.pumps[i, :] = 0.0


@inlined
def _baselines(S: State, i: int, at: I8) -> None:
    """Move the half-hour means on that scenarios compare with; a plain mean until as much has been seen.

    They take each second 25 s late, when it leaves the scenarios' window, so that what is judged is not part of its own
    measure.
    """
    a, rings = S.acc[i], S.rings
    seen = a[s.AGE] - 25.0
    if seen < 1.0:
        return
    weight = max(A1800, 1.0 / seen)
    r = rings[at[r_.P25], i] - rings[at[r_.P26], i]
    a[s.BASE_VOLUME] += weight * (rings[s.VOLUME + at[r_.M25], i] - a[s.BASE_VOLUME])
    a[s.BASE_RUSH] += weight * (rings[at[r_.R25], i] - a[s.BASE_RUSH])
    a[s.BASE_R2] += weight * (r * r - a[s.BASE_R2])
    traded = 1.0 if rings[s.COUNTS + at[r_.M25], i] > 0.0 else 0.0
    a[s.BASE_TRADED] += weight * (traded - a[s.BASE_TRADED])


@inlined
def gather(S: State, i: int, at: I8) -> None:
    """Take the second into what is usual for the instrument, once it was judged by what was usual before."""
    a = S.acc[i]
    _baselines(S, i, at)
    if a[s.HAS_QUOTE] > 0.0 or a[s.HAS_BOOK] > 0.0:
        blend(a, s.M_QTS, s.V_QTS, a[s.QUOTES], A600)
    fold(a)
    clear(a)
    clear_second(a)
    a[s.AGE] += 1.0
