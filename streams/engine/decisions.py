"""Policies over a block of sealed instrument-seconds: the virtual position, the network, and what is done."""

import numpy as np
import numpy.typing as npt

from detectors.ddqn import virtual
from detectors.ddqn.lanes import BUY, HOLD, SELL
from detectors.ddqn.score import best_allowed, forward
from detectors.ddqn.virtual import PRIVATE
from streams.engine import output
from streams.engine import state as fields
from streams.engine.features import NAMES
from streams.engine.output import Output, opened
from streams.engine.policy import MARGIN, PLACES, PLAYER, WAIT, WARM, Player
from streams.engine.state import State
from tapewatch.clock import NANOS
from tapewatch.kernels import inlined, kernel

F8 = npt.NDArray[np.float64]
F4 = npt.NDArray[np.float32]
I8 = npt.NDArray[np.int64]

_POLICIES, _OWN = len(PLACES), len(PRIVATE)
_opened_player = PLAYER.open
_CHANGE, _VOLATILITY = NAMES.index("ret_300s"), NAMES.index("rv_300s")


@inlined
def _show(
    S: State, which: int, start: int, count: int, begin: int, second: int, habits: F8, features: int, out: Output
) -> None:
    """Bring the virtual positions of a block up to the second's close; what the policy sees of them goes into the
    network's inputs, what it may do into the masks. features : of the network, whose own inputs stand behind them
    """
    work, own = out.policy_work, out.own
    for each in range(count):
        row, i = out.places[each], start + each
        if row < 0:
            continue
        a, v, terms = S.acc[i], S.virtual[i, which], S.virtual[i, fields.TERMS]
        if v[virtual.PENDING] != 0.0:
            virtual.settle(
                v, terms[fields.FIRST_BID], terms[fields.FIRST_ASK], terms[fields.BUY_COST], terms[fields.SELL_COST]
            )
        if v[virtual.POSITION] != 0.0:
            virtual.mark(v, a[fields.BID], a[fields.ASK], terms[fields.BUY_COST], terms[fields.SELL_COST])
        left = virtual.session_left(second, a[fields.OPENED_AT], a[fields.CLOSES_AT])
        regime = virtual.trend(out.features[_CHANGE, begin + row], out.features[_VOLATILITY, begin + row])
        virtual.show(v, regime, left, own)
        for k in range(_OWN):
            work[features + k, row] = own[k]
        quoted = a[fields.PHASE_OF] == fields.ACTIVE and a[fields.BID] > 0.0 and a[fields.ASK] > 0.0
        tradable = quoted and left > 0.0 and a[fields.AGE] >= habits[WARM]
        virtual.allowed(v, tradable, terms[fields.SHORTING] > 0.0, second, habits[WAIT], out.masks[row])


@inlined
def _scale(player: Player, begin: int, observed: int, features: F4, work: F4) -> None:
    """The block's features as the network sees them, an input a row."""
    count = player.columns.size
    for k in range(count):
        source, target = features[player.columns[k]], work[k]
        center, scale = player.center[k], player.scale[k]
        for row in range(observed):
            target[row] = virtual.scaled(source[begin + row], center, scale)
    for k in range(count + _OWN, player.network.w1.shape[1]):
        for row in range(observed):
            work[k, row] = np.float32(0.0)


@inlined
def _signal(which: int, i: int, second: int, offset: int, a: F8, held: float, action: int, out: Output) -> int:
    """Write an action that is taken; returns its row."""
    at = out.counts[output.SIGNALS]
    out.counts[output.SIGNALS] = at + 1
    keys, values = out.signals[at], out.signal_values[at]
    keys[0], keys[1], keys[2], keys[3], keys[4] = i, (second + 1) * NANOS, offset, action, which
    values[output.HELD] = held
    values[output.PRICE] = a[fields.ASK] if action == BUY else (a[fields.BID] if action == SELL else np.nan)
    return int(at)


@inlined
def _act(
    S: State, which: int, start: int, count: int, values_at: int, second: int, offset: int, margin: float, out: Output
) -> None:
    """Choose for each instrument of the block, and carry out what is better than holding."""
    work = out.policy_work
    for each in range(count):
        row, i = out.places[each], start + each
        if row < 0:
            continue
        mask = out.masks[row]
        best = best_allowed(work, values_at, row, mask)
        advantage = np.float64(work[values_at + best, row]) - np.float64(work[values_at + HOLD, row])
        action = virtual.steadied(best, advantage, margin)
        if action == HOLD:
            continue
        v = S.virtual[i, which]
        values = out.signal_values[_signal(which, i, second, offset, S.acc[i], v[virtual.POSITION], action, out)]
        for k in range(mask.size):
            values[output.Q + k] = work[values_at + k, row] if mask[k] else np.nan
        virtual.carry_out(v, action, second)


@inlined
def _await_quotes(S: State, start: int, count: int, out: Output) -> None:
    """Say of which instruments the next quote has to be kept: those with a waiting order."""
    for each in range(count):
        if out.places[each] < 0:
            continue
        a, v = S.acc[start + each], S.virtual[start + each]
        waits = v[0, virtual.PENDING] != 0.0 or v[1, virtual.PENDING] != 0.0
        if waits or a[fields.AWAITED] > 0.0:
            a[fields.AWAITED] = 1.0 if waits else 0.0
            v[fields.TERMS, fields.FIRST_BID] = v[fields.TERMS, fields.FIRST_ASK] = 0.0


@kernel
def decide(context: I8, start: int, count: int, observed: int, begin: int, second: int, offset: int) -> None:
    """Let every policy in force decide for `count` instruments from `start` on, of which `observed` have a feature row,
    the first of them at `begin`.
    """
    S, detectors, out = opened(context)
    for which in range(_POLICIES):
        if detectors.policies[which, 0] == 0:
            continue
        player = _opened_player(detectors.policies[which])
        _show(S, which, start, count, begin, second, detectors.habits, player.columns.size, out)
        _scale(player, begin, observed, out.features, out.policy_work)
        values_at = forward(player.network, out.policy_work, observed)
        _act(S, which, start, count, values_at, second, offset, detectors.habits[MARGIN], out)
        if which == 0:
            out.counts[output.DECISIONS] += observed
    _await_quotes(S, start, count, out)


@kernel
def keep_quote(a: F8, terms: F8) -> None:
    """The first two-sided quote of an active instrument since an order was placed, which it will fill at."""
    if a[fields.PHASE_OF] == fields.ACTIVE and a[fields.BID] > 0.0 and a[fields.ASK] > 0.0:
        terms[fields.FIRST_BID], terms[fields.FIRST_ASK] = a[fields.BID], a[fields.ASK]
        a[fields.AWAITED] = 0.0


@kernel
def end_session(a: F8, v: F8) -> None:
    """Let an instrument's session end flat. v : float64[policies + 1, FIELDS], its virtual positions and terms"""
    terms = v[fields.TERMS]
    for which in range(_POLICIES):
        virtual.end_session(v[which], a[fields.BID], a[fields.ASK], terms[fields.BUY_COST], terms[fields.SELL_COST])
    a[fields.AWAITED] = 0.0


def begin_anew(state: State, which: int) -> None:
    """Forget the virtual positions of one policy: while it was not in force, nothing was kept for it."""
    state.virtual[:, which] = 0.0
    both = state.virtual[:, : fields.TERMS, virtual.PENDING].any(axis=1)
    state.acc[~both, fields.AWAITED] = 0.0
