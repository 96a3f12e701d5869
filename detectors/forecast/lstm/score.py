"""The LSTM's forecast without torch: one function for a stream's newest window and for a file of them.

Hochreiter & Schmidhuber 1997, with the gates as torch orders them: input, forget, cell, output. Each gate is a sum in
a fixed order; what runs side by side in a vector register are gates, never parts of one sum. exp and tanh are written
out in plain arithmetic, so that they too give the same bits whether one or eight of them are worked out at once.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.forecast.lstm import inputs
from detectors.forecast.lstm.inputs import FEATURES, WINDOW
from tapewatch.kernels import inlined, kernel

F4 = npt.NDArray[np.float32]
F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]

_ONE, _TWO, _HALF = np.float32(1.0), np.float32(2.0), np.float32(0.5)
_LARGEST = np.float32(30.0)
_LOG2E = np.float32(1.4426950408889634)
_LN2_HIGH, _LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
_ROUND = np.float32(12582912.0)
"""1.5 * 2^23: what is added and taken away again is rounded to a whole number."""
_TAYLOR = tuple(np.float32(1.0 / value) for value in (720.0, 120.0, 24.0, 6.0, 2.0, 1.0))
_BLOCK = 4
"""Inputs whose products are added to a gate before it is written back."""


class Network(NamedTuple):
    """Weights as the kernel takes them.

    wide : float32[FEATURES + units, 4 * units], a row for each input and then for each hidden unit, a column for each
    gate; bias : float32[4 * units]; head : float32[units + 1], the last one is added
    """

    wide: F4
    bias: F4
    head: F4


class Scratch(NamedTuple):
    """Room for one window at a time."""

    window: F4
    state: F4
    gates: F4
    cell: F4


def scratch(units: int) -> Scratch:
    """Room for a network of so many units."""
    return Scratch(
        np.empty((WINDOW, FEATURES), np.float32),
        np.empty(FEATURES + units, np.float32),
        np.empty(4 * units, np.float32),
        np.empty(units, np.float32),
    )


@inlined
def _exp(x: np.float32) -> np.float32:
    """The exponential of x in [-30, 30], within 1e-6 of it: 2^n * e^r with |r| <= ln 2 / 2."""
    n = (x * _LOG2E + _ROUND) - _ROUND
    r = (x - n * _LN2_HIGH) - n * _LN2_LOW
    p = _TAYLOR[0]
    p = p * r + _TAYLOR[1]
    p = p * r + _TAYLOR[2]
    p = p * r + _TAYLOR[3]
    p = p * r + _TAYLOR[4]
    p = p * r + _TAYLOR[5]
    p = p * r + _ONE
    return p * np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)


@inlined
def _bounded(x: np.float32) -> np.float32:
    return min(max(x, -_LARGEST), _LARGEST)


@inlined
def _sigmoid(x: np.float32) -> np.float32:
    return _ONE / (_ONE + _exp(-_bounded(x)))


@inlined
def _tanh(x: np.float32) -> np.float32:
    return _TWO / (_ONE + _exp(-_bounded(_TWO * x))) - _ONE


@kernel
def _gates(net: Network, state: F4, gates: F4) -> None:
    """Every gate's sum over inputs and hidden units, in their order."""
    wide = net.wide
    columns = wide.shape[1]
    for column in range(columns):
        gates[column] = net.bias[column]
    for row in range(0, wide.shape[0], _BLOCK):
        a, b, c, d = state[row], state[row + 1], state[row + 2], state[row + 3]
        for column in range(columns):
            gates[column] = (
                gates[column] + a * wide[row, column] + b * wide[row + 1, column]
                + c * wide[row + 2, column] + d * wide[row + 3, column]
            )  # fmt: skip


@kernel
def _move(units: int, gates: F4, cell: F4, hidden: F4) -> None:
    """Cell and hidden state after a bar."""
    for unit in range(units):
        kept = _sigmoid(gates[units + unit]) * cell[unit]
        cell[unit] = kept + _sigmoid(gates[unit]) * _tanh(gates[2 * units + unit])
        hidden[unit] = _sigmoid(gates[3 * units + unit]) * _tanh(cell[unit])


@kernel
def _forecast(net: Network, given: F4, work: Scratch) -> np.float32:
    """The forecast of one window, float32[WINDOW, FEATURES], in volatilities."""
    units = work.cell.size
    work.cell[:] = np.float32(0.0)
    work.state[:] = np.float32(0.0)
    for bar in range(WINDOW):
        for column in range(FEATURES):
            work.state[column] = given[bar, column]
        _gates(net, work.state, work.gates)
        _move(units, work.gates, work.cell, work.state[FEATURES:])
    total = net.head[units]
    for unit in range(units):
        total += net.head[unit] * work.state[FEATURES + unit]
    found: np.float32 = total
    return found


@kernel
def forecasts(net: Network, given: F4, work: Scratch, out: F4) -> None:
    """Forecasts of windows. given : float32[rows, WINDOW, FEATURES]; out : float32[rows], in volatilities"""
    for row in range(given.shape[0]):
        out[row] = _forecast(net, given[row], work)


@kernel
def returns(net: Network, bars: F8, ends: I8, work: Scratch, out: F8) -> None:
    """Log return of the next bar as the network has it, for the windows of one series that end before these rows.

    bars : float64[rows, 5] as `inputs.bars_of` gives them; ends : int64[rows], each LOOKBACK at least
    out : float64[rows]
    """
    for number in range(ends.size):
        volatility = inputs.window(bars, ends[number], work.window)
        out[number] = np.float64(_forecast(net, work.window, work)) * volatility
