"""The policy compiled: values of all actions and the choice among them, for any number of rows at once.

Sums run in a fixed order in float32 and rows do not touch each other: how rows are cut into calls changes no bit, and
the same sums in the same order in torch give the same bits. Among equal values the lowest action is chosen.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tapewatch.kernels import inlined, kernel

F4 = npt.NDArray[np.float32]
I8 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

BLOCK = 64
"""Rows that go through the network at once."""


class Network(NamedTuple):
    """A policy as the kernel takes it: two hidden layers, matrices float32[out, in], inputs in multiples of four, two
    outputs at least.
    """

    w1: F4
    b1: F4
    w2: F4
    b2: F4
    w: F4
    b: F4


def create_work(network: Network) -> F4:
    """Scratch of the kernel, float32[rows, BLOCK]: inputs, both hidden layers, values."""
    rows = network.w1.shape[1] + network.w2.shape[1] + network.w.shape[1] + network.w.shape[0]
    return np.zeros((rows, BLOCK), dtype=np.float32)


@inlined
def _dense(weights: F4, bias: F4, source: F4, target: F4, count: int, rectified: bool) -> None:
    """A layer, weights x source + bias, for `count` columns, float32[out, BLOCK].

    Two outputs at a time, which share what is loaded; of an odd number the last but one is computed twice.
    """
    zero, outputs = np.float32(0.0), weights.shape[0]
    for pair in range(0, outputs, 2):
        o = min(pair, outputs - 2)
        one, two, start, other = target[o], target[o + 1], bias[o], bias[o + 1]
        for r in range(count):
            one[r], two[r] = start, other
        for i in range(0, weights.shape[1], 4):
            w0, w1, w2, w3 = weights[o, i], weights[o, i + 1], weights[o, i + 2], weights[o, i + 3]
            v0, v1, v2, v3 = weights[o + 1, i], weights[o + 1, i + 1], weights[o + 1, i + 2], weights[o + 1, i + 3]
            s0, s1, s2, s3 = source[i], source[i + 1], source[i + 2], source[i + 3]
            for r in range(count):
                one[r] += (w0 * s0[r] + w1 * s1[r]) + (w2 * s2[r] + w3 * s3[r])
                two[r] += (v0 * s0[r] + v1 * s1[r]) + (v2 * s2[r] + v3 * s3[r])
        if rectified:
            for r in range(count):
                one[r], two[r] = max(one[r], zero), max(two[r], zero)


@inlined
def forward(network: Network, work: F4, count: int) -> int:
    """Values of `count` columns whose inputs stand in the first rows of `work`; returns the row from which the values
    stand there, an action a row.
    """
    wide = network.w1.shape[1]
    h1 = wide + network.w2.shape[1]
    h2: int = h1 + network.w.shape[1]
    _dense(network.w1, network.b1, work[:wide], work[wide:h1], count, True)
    _dense(network.w2, network.b2, work[wide:h1], work[h1:h2], count, True)
    _dense(network.w, network.b, work[h1:h2], work[h2:], count, False)
    return h2


@inlined
def best_allowed(work: F4, values_at: int, row: int, mask: Bools) -> int:
    """The allowed action of the highest value, the lowest among equals; -1 where none is allowed."""
    best = -1
    for a in range(mask.size):
        if mask[a] and (best < 0 or work[values_at + a, row] > work[values_at + best, row]):
            best = a
    return best


@kernel
def act(network: Network, states: F4, masks: Bools, work: F4, q: F4, actions: I8) -> None:
    """Values and the best allowed action of every row.

    states : float32[rows, inputs]; masks : bool[rows, actions], at least one true in each row
    work : of `create_work`; q : float32[rows, actions] and actions : int64[rows], written
    A row with a NaN in its state has NaN values, and takes its lowest allowed action.
    """
    wide = network.w1.shape[1]
    for first in range(0, states.shape[0], BLOCK):
        count = min(BLOCK, states.shape[0] - first)
        for i in range(wide):
            for r in range(count):
                work[i, r] = states[first + r, i] if i < states.shape[1] else np.float32(0.0)
        values_at = forward(network, work, count)
        for r in range(count):
            for a in range(network.w.shape[0]):
                q[first + r, a] = work[values_at + a, r]
            actions[first + r] = best_allowed(work, values_at, r, masks[first + r])


def choose(network: Network, states: F4, masks: Bools) -> tuple[F4, I8]:
    """As `act`, with arrays of its own: values float32[rows, actions] and actions int64[rows]."""
    q = np.zeros((len(states), network.w.shape[0]), dtype=np.float32)
    actions = np.zeros(len(states), dtype=np.int64)
    act(network, np.ascontiguousarray(states, dtype=np.float32), masks, create_work(network), q, actions)
    return q, actions
