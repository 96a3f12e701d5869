"""Many virtual positions side by side over recorded rows: what an environment for training steps with."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.ddqn import virtual
from detectors.ddqn.lanes import ACTIONS
from detectors.ddqn.virtual import PRIVATE
from tapewatch.kernels import inlined, kernel

F8 = npt.NDArray[np.float64]
F4 = npt.NDArray[np.float32]
I8 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

FIRST_BID, FIRST_ASK, LAST_BID, LAST_ASK = range(4)
TREND, LEFT = range(2)


class Rows(NamedTuple):
    """Closed seconds of instruments one behind the other; a lane stands at a row.

    features : float32[rows, n], scaled (`scaled_rows`); second : int64[rows], of the epoch
    quotes : float64[rows, 4] of the second's first two-sided quote, NaN without one, and the quote that stands at its
    close; context : float64[rows, 2], `virtual.trend` and `virtual.session_left`
    tradable : bool[rows], as `virtual.allowed` has it; costs : float64[rows, 2], of buying and of selling, as shares
    """

    features: F4
    second: I8
    quotes: F8
    context: F8
    tradable: Bools
    costs: F8


@kernel
def scaled_rows(features: F4, center: F4, scale: F4, out: F4) -> None:
    """Features as the network sees them, the same bits as in the engine. features, out : float32[rows, n]"""
    for row in range(len(features)):
        for k in range(center.size):
            out[row, k] = virtual.scaled(features[row, k], center[k], scale[k])


@inlined
def _closed(v: F8, rows: Rows, row: int) -> None:
    """What happens at a row's close before anything is decided."""
    q, cost = rows.quotes[row], rows.costs[row]
    virtual.settle(v, q[FIRST_BID], q[FIRST_ASK], cost[0], cost[1])
    virtual.mark(v, q[LAST_BID], q[LAST_ASK], cost[0], cost[1])


@kernel
def close_lanes(state: F8, rows: Rows, row: I8, ended: Bools) -> None:
    """Close the second of each lane's row; where the session ends with it, flat.

    state : float64[lanes, virtual.FIELDS]; row : int64[lanes]; ended : bool[lanes]
    """
    for lane in range(len(state)):
        _closed(state[lane], rows, row[lane])
        if ended[lane]:
            q, cost = rows.quotes[row[lane]], rows.costs[row[lane]]
            virtual.end_session(state[lane], q[LAST_BID], q[LAST_ASK], cost[0], cost[1])


@kernel
def see_lanes(state: F8, rows: Rows, row: I8, shorting: bool, wait_s: float, own: F8, out: F4, masks: Bools) -> None:
    """States and masks of lanes whose second is closed.

    own : scratch, float64[PRIVATE]; out : float32[lanes, n + PRIVATE]; masks : bool[lanes, actions]
    """
    features = rows.features.shape[1]
    for lane in range(len(state)):
        at = row[lane]
        for k in range(features):
            out[lane, k] = rows.features[at, k]
        virtual.show(state[lane], rows.context[at, TREND], rows.context[at, LEFT], own)
        for k in range(own.size):
            out[lane, features + k] = own[k]
        virtual.allowed(state[lane], rows.tradable[at], shorting, rows.second[at], wait_s, masks[lane])


@kernel
def act_lanes(state: F8, rows: Rows, row: I8, actions: I8) -> None:
    """Carry out what each lane decided at its row's close. actions : int64[lanes], allowed by the lane's mask"""
    for lane in range(len(state)):
        virtual.carry_out(state[lane], actions[lane], rows.second[row[lane]])


@kernel
def equity_lanes(state: F8, out: F8) -> None:
    """Gains of each lane since the beginning, float64[lanes], in units of value."""
    for lane in range(len(state)):
        out[lane] = virtual.equity(state[lane])


def create_lanes(lanes: int) -> tuple[F8, F8, Bools]:
    """Empty positions, scratch for `see_lanes`, and masks."""
    return (
        np.zeros((lanes, virtual.FIELDS)),
        np.zeros(len(PRIVATE)),
        np.zeros((lanes, len(ACTIONS)), dtype=np.bool_),
    )
