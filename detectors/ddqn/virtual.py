"""The virtual position of a policy that acts second by second: what it sees of itself, what it may do, and the written
rule by which its orders fill. The same kernels run in the engine and in training.

At the close of each second, in this order: `settle` with the first two-sided quote of the second, `mark` with the last
one, `show` and `allowed` for the state and the mask, the network, `steadied`, `carry_out`. When a session ends,
`end_session`. No real or paper fill ever comes in here.

An order is of one unit and fills at the first two-sided quote after the second it was decided in: a buy at the ask, a
sale at the bid, with cost. It waits until there is one; a cancel takes it away while it waits. One order waits at a
time; an order against the position closes it.

Many virtual positions side by side over recorded rows: what an environment for training steps with.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.ddqn.lanes import ACTIONS, BUY, CANCEL_BUY, CANCEL_SELL, HOLD, SELL
from tapewatch.kernels import inlined, kernel

F8 = npt.NDArray[np.float64]
F4 = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

ENVIRONMENT = "virtual"
"""What the description of a policy for these states calls its environment."""

POSITION, ENTRY, PENDING, PLACED, REALISED, UNREALISED, CHANGED, ACTION = range(8)
FIELDS = 8
"""Of an instrument's virtual position, float64[FIELDS], zeros at birth: units held (-1, 0 or 1), what the unit cost or
brought with cost, side of the waiting order (1 buy, -1 sale, 0 none) and the second (of the epoch) it was decided in,
gains of closed positions and of the open one as shares of their entry, second and number of the last action.
"""

PRIVATE = ("position", "unrealised", "buy_pending", "sell_pending", "trend", "session_left")
"""What the policy sees beside the features: units held, gain of the open position after the cost of closing it, in
REWARD_UNIT and within GAIN_LIMIT, 1 where a buy or a sale waits, `trend`, and the share of the session that is left (1
where it has no end).
"""

REWARD_UNIT = 0.001
"""The share of a unit's value that counts as a reward of 1."""
GAIN_LIMIT = 10.0
CLIP = np.float32(5.0)
_ZERO = np.float32(0.0)
"""Of scaled features."""


@inlined
def scaled(value: np.float32, center: np.float32, scale: np.float32) -> np.float32:
    """A feature as the network sees it: (value - center) x scale within CLIP; 0 for NaN."""
    x = (value - center) * scale
    x = x if x == x else _ZERO
    x = x if x < CLIP else CLIP
    return x if x > -CLIP else -CLIP


@inlined
def trend(change: float, volatility: float) -> float:
    """The regime: 1 where the log return over 300 s (`ret_300s`) is at least the volatility over them (`rv_300s`, which
    is its standard deviation if seconds are independent), -1 where at most its negative, else 0; 0 for NaN.
    """
    if not volatility > 0.0:
        return 0.0
    return 1.0 if change >= volatility else (-1.0 if change <= -volatility else 0.0)


@inlined
def session_left(second: float, opened: float, closes: float) -> float:
    """The share of the session that is left at a second's close, 0 to 1; 1 where opening or close (seconds of the
    epoch) are not known (NaN), as on venues that never close.
    """
    if not closes > opened:
        return 1.0
    return min(max((closes - (second + 1.0)) / (closes - opened), 0.0), 1.0)


@inlined
def _gain(v: F8, price: float) -> float:
    """Of the open position, as a share of its entry, if it were closed at a price with cost."""
    return float(v[POSITION] * (price / v[ENTRY] - 1.0))


@inlined
def settle(v: F8, bid: float, ask: float, buy_cost: float, sell_cost: float) -> None:
    """Let the waiting order meet the first two-sided quote since the last second's close.

    bid, ask : NaN or 0 where none came; buy_cost, sell_cost : fee and tax as shares of the value
    """
    side = v[PENDING]
    if side == 0.0 or not (bid > 0.0 and ask > 0.0):
        return
    price = ask * (1.0 + buy_cost) if side > 0.0 else bid * (1.0 - sell_cost)
    if v[POSITION] == 0.0:
        v[POSITION], v[ENTRY] = side, price
    else:
        v[REALISED] += _gain(v, price)
        v[POSITION] = v[ENTRY] = v[UNREALISED] = 0.0
    v[PENDING] = 0.0


@inlined
def mark(v: F8, bid: float, ask: float, buy_cost: float, sell_cost: float) -> None:
    """Value the open position by what closing it at the last quote would leave; as before where that side is absent."""
    if v[POSITION] > 0.0 and bid > 0.0:
        v[UNREALISED] = _gain(v, bid * (1.0 - sell_cost))
    elif v[POSITION] < 0.0 and ask > 0.0:
        v[UNREALISED] = _gain(v, ask * (1.0 + buy_cost))


@inlined
def equity(v: F8) -> float:
    """Gains since the beginning, closed and open, in units of value; its change over REWARD_UNIT is the reward."""
    return float(v[REALISED] + v[UNREALISED])


@inlined
def show(v: F8, regime: float, left: float, out: F8) -> None:
    """What the policy sees of itself. out : float64[PRIVATE], cast to float32 for the network"""
    out[0] = v[POSITION]
    out[1] = min(max(v[UNREALISED] / REWARD_UNIT, -GAIN_LIMIT), GAIN_LIMIT)
    out[2] = 1.0 if v[PENDING] > 0.0 else 0.0
    out[3] = 1.0 if v[PENDING] < 0.0 else 0.0
    out[4], out[5] = regime, left


@inlined
def allowed(v: F8, tradable: bool, shorting: bool, second: int, wait_s: float, out: Bools) -> None:
    """What may be done at the close of `second`. out : bool[actions]

    tradable : a two-sided quote stands, the session goes on, and windows are warm; wait_s : seconds since the last
    action before which there is no other
    """
    rested = second - v[CHANGED] >= wait_s
    free = rested and tradable and v[PENDING] == 0.0
    out[HOLD] = True
    out[BUY] = free and v[POSITION] <= 0.0
    out[SELL] = free and (v[POSITION] > 0.0 or (shorting and v[POSITION] == 0.0))
    out[CANCEL_BUY], out[CANCEL_SELL] = rested and v[PENDING] > 0.0, rested and v[PENDING] < 0.0


@inlined
def steadied(action: int, advantage: float, margin: float) -> int:
    """The action, or to hold where it is not better than holding by the margin (in rewards)."""
    return action if advantage >= margin else HOLD


@inlined
def carry_out(v: F8, action: int, second: int) -> None:
    """Place or cancel the virtual order that an allowed action asks for at the close of `second`."""
    if action == HOLD:
        return
    v[PENDING] = 1.0 if action == BUY else (-1.0 if action == SELL else 0.0)
    v[PLACED] = v[CHANGED] = second
    v[ACTION] = action


@inlined
def end_session(v: F8, bid: float, ask: float, buy_cost: float, sell_cost: float) -> None:
    """Cancel what waits and close what is held at the last quote, at its last value where that side is absent."""
    v[PENDING] = 0.0
    if v[POSITION] != 0.0:
        mark(v, bid, ask, buy_cost, sell_cost)
        v[REALISED] += v[UNREALISED]
        v[POSITION] = v[ENTRY] = v[UNREALISED] = 0.0


I8 = npt.NDArray[np.int64]

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
            out[row, k] = scaled(features[row, k], center[k], scale[k])


@inlined
def _closed(v: F8, rows: Rows, row: int) -> None:
    """What happens at a row's close before anything is decided."""
    q, cost = rows.quotes[row], rows.costs[row]
    settle(v, q[FIRST_BID], q[FIRST_ASK], cost[0], cost[1])
    mark(v, q[LAST_BID], q[LAST_ASK], cost[0], cost[1])


@kernel
def close_lanes(state: F8, rows: Rows, row: I8, ended: Bools) -> None:
    """Close the second of each lane's row; where the session ends with it, flat.

    state : float64[lanes, virtual.FIELDS]; row : int64[lanes]; ended : bool[lanes]
    """
    for lane in range(len(state)):
        _closed(state[lane], rows, row[lane])
        if ended[lane]:
            q, cost = rows.quotes[row[lane]], rows.costs[row[lane]]
            end_session(state[lane], q[LAST_BID], q[LAST_ASK], cost[0], cost[1])


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
        show(state[lane], rows.context[at, TREND], rows.context[at, LEFT], own)
        for k in range(own.size):
            out[lane, features + k] = own[k]
        allowed(state[lane], rows.tradable[at], shorting, rows.second[at], wait_s, masks[lane])


@kernel
def act_lanes(state: F8, rows: Rows, row: I8, actions: I8) -> None:
    """Carry out what each lane decided at its row's close. actions : int64[lanes], allowed by the lane's mask"""
    for lane in range(len(state)):
        carry_out(state[lane], actions[lane], rows.second[row[lane]])


@kernel
def equity_lanes(state: F8, out: F8) -> None:
    """Gains of each lane since the beginning, float64[lanes], in units of value."""
    for lane in range(len(state)):
        out[lane] = equity(state[lane])


def create_lanes(lanes: int) -> tuple[F8, F8, Bools]:
    """Empty positions, scratch for `see_lanes`, and masks."""
    return (
        np.zeros((lanes, FIELDS)),
        np.zeros(len(PRIVATE)),
        np.zeros((lanes, len(ACTIONS)), dtype=np.bool_),
    )
