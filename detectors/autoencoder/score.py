"""The autoencoder compiled: one step of the causal network for every instrument of a sealed second.

A temporal convolution whose stride is its kernel's length needs at each second only the newest patch of each layer; the
patches before it were computed at earlier seconds and lie in rings (Paine et al. 2016, Fast WaveNet Generation). Sums
run in a fixed order, rows are independent of each other: how rows are cut into calls changes no bit, which a BLAS
product does not promise.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.autoencoder.inputs import COUNT, prepare
from tapewatch.kernels import inlined, kernel

F4 = npt.NDArray[np.float32]
F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]

PATCH, WINDOW = 4, 32
"""Seconds that the error is taken over, and that the code is made of."""
CHANNELS, CODE, HIDDEN = 16, 8, 24
BLOCK = 64
"""Rows that go through the network at once."""

_XS, _H1, _H2 = PATCH - 1, 12, 16
_AT_H1 = _XS * COUNT
_AT_H2 = _AT_H1 + _H1 * CHANNELS
AGE = _AT_H2 + _H2 * CHANNELS
LAST = AGE + 1
STATE_ROWS = LAST + 1
"""Rows of the state: rings of inputs and of both layers, consecutive seconds seen, the last of them (modulo 2^20)."""

_CLOCK = 1 << 20
# Rows of the scratch: inputs of the patch (newest first), as they are and without NaN; two layers' inputs; results.
_IN, _CLEAN = 0, PATCH * COUNT
_FIRST = _CLEAN + PATCH * COUNT
_SECOND = _FIRST + 4 * CHANNELS
_Z = _SECOND + 2 * CHANNELS
_UP = _Z + CODE
_OUT = _UP + HIDDEN
_SUMS = _OUT + PATCH * COUNT
WORK_ROWS = _SUMS + 3


class Network(NamedTuple):
    """An autoencoder as the kernels take it; matrices are float32[out, in], the newest second's inputs first.

    index : int64[18], columns of the sources; scaling : float32[2, 16], of the inputs
    w1..w5, b1..b5 : patch (64 to 16), patches (64 to 16), code (32 to 8), up (8 to 24), patch again (24 to 64)
    weight : float32[16], of each input's squared error
    """

    index: I8  # type: ignore[assignment]  # a field by that name hides tuple.index, which nothing calls
    scaling: F4
    w1: F4
    b1: F4
    w2: F4
    b2: F4
    w3: F4
    b3: F4
    w4: F4
    b4: F4
    w5: F4
    b5: F4
    weight: F4


SHAPES = {
    "w1": (CHANNELS, PATCH * COUNT),
    "b1": (CHANNELS,),
    "w2": (CHANNELS, 4 * CHANNELS),
    "b2": (CHANNELS,),
    "w3": (CODE, 2 * CHANNELS),
    "b3": (CODE,),
    "w4": (HIDDEN, CODE),
    "b4": (HIDDEN,),
    "w5": (PATCH * COUNT, HIDDEN),
    "b5": (PATCH * COUNT,),
}
"""Shapes of the network's arrays in a model file."""


def no_model() -> Network:
    """A network without weights: not to be run, see `is_there`."""
    shapes = {name: tuple(0 for _ in shape) for name, shape in SHAPES.items()}
    empty = {name: np.zeros(shape, dtype=np.float32) for name, shape in shapes.items()}
    nothing = np.zeros((2, 0), dtype=np.float32)
    return Network(np.zeros(0, dtype=np.int64), nothing, **empty, weight=np.zeros(0, dtype=np.float32))


@inlined
def is_there(net: Network) -> bool:
    """Whether a network has weights."""
    return bool(net.weight.size > 0)


def blocks(instruments: int) -> int:
    """Blocks of the state that hold so many instruments."""
    return -(-instruments // BLOCK)


def create_state(capacity: int) -> F4:
    """State of `capacity` instruments, float32[blocks, STATE_ROWS, BLOCK]: zeros, as at an instrument's birth.

    Block by block, so that what a second reads of a block lies in a few long pieces of memory.
    """
    return np.zeros((blocks(capacity), STATE_ROWS, BLOCK), dtype=np.float32)


@kernel
def restart(state: F4) -> None:
    """Let every window begin anew, as under another network: no score for the next WINDOW seconds."""
    for block in range(state.shape[0]):
        for lane in range(BLOCK):
            state[block, AGE, lane] = np.float32(0.0)


def create_work() -> F4:
    """Scratch of the kernel, float32[WORK_ROWS * BLOCK]: row after row of BLOCK columns."""
    return np.zeros(WORK_ROWS * BLOCK, dtype=np.float32)


_ROW = np.uint64(BLOCK)
_TWO, _THREE = np.uint64(2 * BLOCK), np.uint64(3 * BLOCK)


@kernel
def _dense(weights: F4, bias: F4, flat: F4, source: int, target: int, count: int, rectified: bool) -> None:
    """A layer, weights x source + bias, for `count` columns; its inputs and outputs in multiples of four.

    source, target : first rows of the scratch `flat`

    Four outputs by four inputs at once, so that each input is loaded once for four sums; over one flat array with rows
    of a length known to the compiler, which then sees that they do not overlap. The order of a sum is that of its
    inputs in fours, whatever goes beside it. Not inlined: it would be compiled five times.
    """
    zero, lanes = np.float32(0.0), np.uint64(count)
    for o in range(0, weights.shape[0], 4):
        a, b, c, d = weights[o], weights[o + 1], weights[o + 2], weights[o + 3]
        a_start, b_start, c_start, d_start = bias[o], bias[o + 1], bias[o + 2], bias[o + 3]
        at = np.uint64((target + o) * BLOCK)
        for r in range(lanes):
            flat[at + r], flat[at + _ROW + r] = a_start, b_start
            flat[at + _TWO + r], flat[at + _THREE + r] = c_start, d_start
        for i in range(0, weights.shape[1], 4):
            a0, a1, a2, a3 = a[i], a[i + 1], a[i + 2], a[i + 3]
            b0, b1, b2, b3 = b[i], b[i + 1], b[i + 2], b[i + 3]
            c0, c1, c2, c3 = c[i], c[i + 1], c[i + 2], c[i + 3]
            d0, d1, d2, d3 = d[i], d[i + 1], d[i + 2], d[i + 3]
            of = np.uint64((source + i) * BLOCK)
            for r in range(lanes):
                x0, x1, x2, x3 = flat[of + r], flat[of + _ROW + r], flat[of + _TWO + r], flat[of + _THREE + r]
                flat[at + r] += (a0 * x0 + a1 * x1) + (a2 * x2 + a3 * x3)
                flat[at + _ROW + r] += (b0 * x0 + b1 * x1) + (b2 * x2 + b3 * x3)
                flat[at + _TWO + r] += (c0 * x0 + c1 * x1) + (c2 * x2 + c3 * x3)
                flat[at + _THREE + r] += (d0 * x0 + d1 * x1) + (d2 * x2 + d3 * x3)
        if rectified:
            for place in range(4):
                row = at + np.uint64(place) * _ROW
                for r in range(lanes):
                    flat[row + r] = max(flat[row + r], zero)


@inlined
def _side_by_side(slots: I8, first: int, count: int) -> bool:
    """Whether the instruments of a block follow each other: their columns are then copied, not gathered."""
    apart = 0
    for r in range(count):
        apart += slots[first + r] != slots[first] + r
    return apart == 0


@inlined
def _recall(block: F4, row: int, slots: I8, first: int, count: int, near: bool, target: F4) -> None:
    """One row of the state for the block's instruments. near : of `_side_by_side`"""
    source, begin = block[row], slots[first] % BLOCK
    if near:
        for r in range(count):
            target[r] = source[begin + r]
    else:
        for r in range(count):
            target[r] = source[slots[first + r] % BLOCK]


@inlined
def _keep(block: F4, row: int, slots: I8, first: int, count: int, near: bool, source: F4) -> None:
    target, begin = block[row], slots[first] % BLOCK
    if near:
        for r in range(count):
            target[begin + r] = source[r]
    else:
        for r in range(count):
            target[slots[first + r] % BLOCK] = source[r]


@inlined
def _clean(work: F4, count: int) -> None:
    """The patch with 0 for what is missing."""
    zero = np.float32(0.0)
    for j in range(PATCH * COUNT):
        source, target = work[_IN + j], work[_CLEAN + j]
        for r in range(count):
            target[r] = source[r] if source[r] == source[r] else zero


@inlined
def _window(block: F4, slots: I8, first: int, count: int, near: bool, second: int, work: F4) -> None:
    """The patch of the newest inputs, newest first, into `work`, and the newest into the ring.

    An instrument that missed a second begins anew: what lies in its rings then is read, but its score stays NaN until
    all of it has been overwritten.
    """
    for lag in range(1, PATCH):
        at = ((second - lag) % _XS) * COUNT
        for j in range(COUNT):
            _recall(block, at + j, slots, first, count, near, work[_IN + lag * COUNT + j])
    at = (second % _XS) * COUNT
    for j in range(COUNT):
        _keep(block, at + j, slots, first, count, near, work[_IN + j])
    _clean(work, count)


@inlined
def _encode(
    block: F4, slots: I8, first: int, count: int, near: bool, second: int, net: Network, flat: F4, work: F4
) -> None:
    """The code of the window that ends now; both layers' newest patches into their rings."""
    _dense(net.w1, net.b1, flat, _CLEAN, _FIRST, count, True)
    for back in range(1, 4):
        at = _AT_H1 + ((second - 4 * back) % _H1) * CHANNELS
        for j in range(CHANNELS):
            _recall(block, at + j, slots, first, count, near, work[_FIRST + back * CHANNELS + j])
    at = _AT_H1 + (second % _H1) * CHANNELS
    for j in range(CHANNELS):
        _keep(block, at + j, slots, first, count, near, work[_FIRST + j])
    _dense(net.w2, net.b2, flat, _FIRST, _SECOND, count, True)
    at = _AT_H2 + (second % _H2) * CHANNELS
    for j in range(CHANNELS):
        _recall(block, at + j, slots, first, count, near, work[_SECOND + CHANNELS + j])
        _keep(block, at + j, slots, first, count, near, work[_SECOND + j])
    _dense(net.w3, net.b3, flat, _SECOND, _Z, count, False)


@inlined
def _error(net: Network, count: int, flat: F4, work: F4) -> None:
    """Weighted squared error of the patch over the inputs that are there, and the code's energy, into _SUMS: their sum,
    what it is over, and how many of the newest inputs are there.
    """
    _dense(net.w4, net.b4, flat, _Z, _UP, count, True)
    _dense(net.w5, net.b5, flat, _UP, _OUT, count, False)
    zero, one = np.float32(0.0), np.float32(1.0)
    total, there, now = work[_SUMS], work[_SUMS + 1], work[_SUMS + 2]
    for r in range(count):
        total[r], there[r], now[r] = zero, np.float32(CODE), zero
    for j in range(CODE):
        code = work[_Z + j]
        for r in range(count):
            total[r] += code[r] * code[r]
    for j in range(PATCH * COUNT):
        found, wanted, weight = work[_OUT + j], work[_IN + j], net.weight[j % COUNT]
        for r in range(count):
            apart = found[r] - wanted[r]
            total[r] += weight * apart * apart if apart == apart else zero
            there[r] += one if apart == apart else zero
        if j < COUNT:
            for r in range(count):
                now[r] += one if wanted[r] == wanted[r] else zero


@inlined
def step(
    columns: F4, begin: int, count: int, slots: I8, first: int, second: int, net: Network, state: F4, flat: F4, out: F8
) -> None:
    """One sealed second of at most BLOCK instruments.

    columns : float32[features, rows], rows `begin` to `begin + count`; slots : int64, from `first` on the instruments
    of these rows, ascending, of one block of the state; second : the sealed second
    state : of `create_state`, changed in place; flat : of `create_work`, scratch
    out : float64[count or more], root of the mean of the newest PATCH seconds' weighted squared errors and of the white
    code's squares, about 1 for usual rows; NaN until WINDOW consecutive seconds were seen, and where fewer than half of
    the newest inputs are there. The code's share is what a reconstruction that follows an extreme faithfully leaves
    out (as in the likelihood of probabilistic principal components, Tipping & Bishop 1999).
    """
    near = _side_by_side(slots, first, count)
    block, work = state[slots[first] // BLOCK], flat.reshape((WORK_ROWS, BLOCK))
    prepare(columns, begin, count, net.index, net.scaling, work[_IN : _IN + COUNT])
    _window(block, slots, first, count, near, second, work)
    _encode(block, slots, first, count, near, second, net, flat, work)
    _error(net, count, flat, work)
    now, before = np.float32(second % _CLOCK), np.float32((second - 1) % _CLOCK)
    one = np.float32(1.0)
    for r in range(count):
        lane = slots[first + r] % BLOCK
        follows = block[LAST, lane] == before
        age = block[AGE, lane] + one if follows else one
        block[AGE, lane] = min(age, np.float32(WINDOW))
        block[LAST, lane] = now
        enough = age >= WINDOW and 2 * work[_SUMS + 2, r] >= COUNT
        out[r] = np.sqrt(np.float64(work[_SUMS, r]) / np.float64(work[_SUMS + 1, r])) if enough else np.nan


@inlined
def _in_one_block(slots: I8, first: int, end: int) -> int:
    """How many instruments from `first` on, up to `end`, lie in its block of the state."""
    count = 1
    while first + count < end and slots[first + count] // BLOCK == slots[first] // BLOCK:
        count += 1
    return count


@kernel
def scores(columns: F4, slots: I8, second: int, net: Network, state: F4, flat: F4, out: F8) -> None:
    """All instruments of one sealed second, ascending, any number of rows. See `step`; out : float64[rows]."""
    begin = 0
    while begin < slots.size:
        count = _in_one_block(slots, begin, slots.size)
        step(columns, begin, count, slots, begin, second, net, state, flat, out[begin:])
        begin += count


@kernel
def scores_of_history(
    history: F4, there: npt.NDArray[np.bool_], first: int, net: Network, state: F4, flat: F4, slots: I8, out: F8
) -> None:
    """Every second of a stretch of time, as `scores` would have been called for each.

    history : float32[seconds, features, instruments]; there : bool[seconds, instruments], who has a row
    first : the first second; slots : int64[instruments], scratch; out : float64[seconds, instruments], NaN elsewhere
    """
    for t in range(history.shape[0]):
        at = 0
        while at < there.shape[1]:
            # Runs of instruments with a row: their columns lie side by side.
            while at < there.shape[1] and not there[t, at]:
                out[t, at] = np.nan
                at += 1
            block, count = at // BLOCK, 0
            while at + count < there.shape[1] and there[t, at + count] and (at + count) // BLOCK == block:
                slots[count] = at + count
                count += 1
            if count:
                step(history[t], at, count, slots, 0, first + t, net, state, flat, out[t, at:])
            at += count
