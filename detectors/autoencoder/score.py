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


def create_state(capacity: int) -> F4:
    """State of `capacity` instruments, float32[STATE_ROWS, capacity]: zeros, as at an instrument's birth."""
    return np.zeros((STATE_ROWS, capacity), dtype=np.float32)


def create_work() -> F4:
    """Scratch of the kernel, float32[WORK_ROWS, BLOCK]."""
    return np.zeros((WORK_ROWS, BLOCK), dtype=np.float32)


@inlined
def _dense(weights: F4, bias: F4, source: F4, target: F4, count: int, rectified: bool) -> None:
    """A layer, weights x source + bias, for `count` columns, float32[out, BLOCK]; inputs in multiples of four."""
    zero = np.float32(0.0)
    for o in range(weights.shape[0]):
        sums, start = target[o], bias[o]
        for r in range(count):
            sums[r] = start
        for i in range(0, weights.shape[1], 4):
            w0, w1, w2, w3 = weights[o, i], weights[o, i + 1], weights[o, i + 2], weights[o, i + 3]
            s0, s1, s2, s3 = source[i], source[i + 1], source[i + 2], source[i + 3]
            for r in range(count):
                sums[r] += (w0 * s0[r] + w1 * s1[r]) + (w2 * s2[r] + w3 * s3[r])
        if rectified:
            for r in range(count):
                sums[r] = max(sums[r], zero)


@inlined
def _recall(state: F4, row: int, slots: I8, first: int, count: int, target: F4) -> None:
    """One row of the state for the block's instruments."""
    source = state[row]
    for r in range(count):
        target[r] = source[slots[first + r]]


@inlined
def _keep(state: F4, row: int, slots: I8, first: int, count: int, source: F4) -> None:
    target = state[row]
    for r in range(count):
        target[slots[first + r]] = source[r]


@inlined
def _window(state: F4, slots: I8, first: int, count: int, second: int, work: F4) -> None:
    """The patch of the newest inputs, newest first, into `work`, and the newest into the ring.

    An instrument that missed a second begins anew: what lies in its rings then is read, but its score stays NaN until
    all of it has been overwritten.
    """
    zero = np.float32(0.0)
    for lag in range(1, PATCH):
        at = ((second - lag) % _XS) * COUNT
        for j in range(COUNT):
            _recall(state, at + j, slots, first, count, work[_IN + lag * COUNT + j])
    at = (second % _XS) * COUNT
    for j in range(COUNT):
        _keep(state, at + j, slots, first, count, work[_IN + j])
    for j in range(PATCH * COUNT):
        source, target = work[_IN + j], work[_CLEAN + j]
        for r in range(count):
            target[r] = source[r] if source[r] == source[r] else zero


@inlined
def _encode(state: F4, slots: I8, first: int, count: int, second: int, net: Network, work: F4) -> None:
    """The code of the window that ends now; both layers' newest patches into their rings."""
    newest = work[_FIRST : _FIRST + CHANNELS]
    _dense(net.w1, net.b1, work[_CLEAN : _CLEAN + PATCH * COUNT], newest, count, True)
    for back in range(1, 4):
        at = _AT_H1 + ((second - 4 * back) % _H1) * CHANNELS
        for j in range(CHANNELS):
            _recall(state, at + j, slots, first, count, work[_FIRST + back * CHANNELS + j])
    at = _AT_H1 + (second % _H1) * CHANNELS
    for j in range(CHANNELS):
        _keep(state, at + j, slots, first, count, newest[j])
    newer = work[_SECOND : _SECOND + CHANNELS]
    _dense(net.w2, net.b2, work[_FIRST : _FIRST + 4 * CHANNELS], newer, count, True)
    at = _AT_H2 + (second % _H2) * CHANNELS
    for j in range(CHANNELS):
        _recall(state, at + j, slots, first, count, work[_SECOND + CHANNELS + j])
        _keep(state, at + j, slots, first, count, newer[j])
    _dense(net.w3, net.b3, work[_SECOND : _SECOND + 2 * CHANNELS], work[_Z : _Z + CODE], count, False)


@inlined
def _error(net: Network, count: int, work: F4) -> None:
    """Weighted squared error of the patch over the inputs that are there, and the code's energy, into _SUMS: their sum,
    what it is over, and how many of the newest inputs are there.
    """
    _dense(net.w4, net.b4, work[_Z : _Z + CODE], work[_UP : _UP + HIDDEN], count, True)
    _dense(net.w5, net.b5, work[_UP : _UP + HIDDEN], work[_OUT : _OUT + PATCH * COUNT], count, False)
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
    columns: F4, begin: int, count: int, slots: I8, first: int, second: int, net: Network, state: F4, work: F4, out: F8
) -> None:
    """One sealed second of at most BLOCK instruments.

    columns : float32[features, rows], rows `begin` to `begin + count`; slots : int64, from `first` on the instruments
    of these rows, each once; second : the sealed second
    state : float32[STATE_ROWS, capacity], changed in place; work : float32[WORK_ROWS, BLOCK], scratch
    out : float64[count or more], root of the mean of the newest PATCH seconds' weighted squared errors and of the white
    code's squares, about 1 for usual rows; NaN until WINDOW consecutive seconds were seen, and where fewer than half of
    the newest inputs are there. The code's share is what a reconstruction that follows an extreme faithfully leaves
    out (as in the likelihood of probabilistic principal components, Tipping & Bishop 1999).
    """
    prepare(columns, begin, count, net.index, net.scaling, work[_IN : _IN + COUNT])
    _window(state, slots, first, count, second, work)
    _encode(state, slots, first, count, second, net, work)
    _error(net, count, work)
    now, before = np.float32(second % _CLOCK), np.float32((second - 1) % _CLOCK)
    one = np.float32(1.0)
    for r in range(count):
        slot = slots[first + r]
        follows = state[LAST, slot] == before
        age = state[AGE, slot] + one if follows else one
        state[AGE, slot] = min(age, np.float32(WINDOW))
        state[LAST, slot] = now
        enough = age >= WINDOW and 2 * work[_SUMS + 2, r] >= COUNT
        out[r] = np.sqrt(np.float64(work[_SUMS, r]) / np.float64(work[_SUMS + 1, r])) if enough else np.nan


@kernel
def scores(columns: F4, slots: I8, second: int, net: Network, state: F4, work: F4, out: F8) -> None:
    """All instruments of one sealed second, any number of rows. See `step`; out : float64[rows]."""
    rows = slots.size
    for begin in range(0, rows, BLOCK):
        count = min(BLOCK, rows - begin)
        step(columns, begin, count, slots, begin, second, net, state, work, out[begin:])


@kernel
def scores_of_history(
    history: F4, there: npt.NDArray[np.bool_], first: int, net: Network, state: F4, work: F4, slots: I8, out: F8
) -> None:
    """Every second of a stretch of time, as `scores` would have been called for each.

    history : float32[seconds, features, instruments]; there : bool[seconds, instruments], who has a row
    first : the first second; slots : int64[instruments], scratch; out : float64[seconds, instruments], NaN elsewhere
    """
    block = work[:, :BLOCK]
    for t in range(history.shape[0]):
        at = 0
        while at < there.shape[1]:
            # Runs of instruments with a row: their columns lie side by side.
            while at < there.shape[1] and not there[t, at]:
                out[t, at] = np.nan
                at += 1
            count = 0
            while count < BLOCK and at + count < there.shape[1] and there[t, at + count]:
                slots[count] = at + count
                count += 1
            if count:
                step(history[t], at, count, slots, 0, first + t, net, state, block, out[t, at:])
            at += count
