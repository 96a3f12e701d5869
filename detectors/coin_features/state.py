"""All that the desk remembers of a coin, and the kernel that adds a minute to it.

What became of buying at each minute's close: the target before the stop within the horizon, or not (the triple
barrier of Lopez de Prado 2018, ch. 3).
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.coin_features import windows
from detectors.ranking import features
from detectors.regime import rules
from detectors.regime.rules import Regimes
from tapewatch.kernels import allocating_kernel, inlined, kernel

F8 = npt.NDArray[np.float64]

ENTERED, UPPER, LOWER = range(3)
PENDING = 3
"""Of an entry that is not decided yet: its minute (NaN where there is none), and its two barriers."""


@inlined
def decide(pending: F8, minute: int, high: float, low: float, decided: F8) -> None:
    """Judge every open entry by the newest minute's high and low.

    pending : float64[horizon, PENDING]; decided : float64[2], set to how many were decided and how many reached the
    target
    A minute that touches both counts as the stop: which came first is not known. An entry whose last minute has passed
    without either was no success.
    """
    horizon = pending.shape[0]
    decided[:] = 0.0
    for slot in range(horizon):
        entry = pending[slot]
        if entry[ENTERED] != entry[ENTERED]:
            continue
        age = minute - int(entry[ENTERED])
        stopped = age <= horizon and low <= entry[LOWER]
        reached = age <= horizon and high >= entry[UPPER] and not stopped
        if stopped or reached or age >= horizon:
            decided[0] += 1.0
            decided[1] += 1.0 if reached else 0.0
            entry[ENTERED] = np.nan


@inlined
def enter(pending: F8, minute: int, price: float, target: float, stop: float) -> None:
    """Note an entry at a minute's close. target, stop : returns, the latter negative"""
    entry = pending[minute % pending.shape[0]]
    entry[ENTERED], entry[UPPER], entry[LOWER] = minute, price * (1.0 + target), price * (1.0 + stop)


@kernel
def outcomes(
    minutes: npt.NDArray[np.int64], bars: F8, horizon: int, target: float, stop: float, out: npt.NDArray[np.float64]
) -> None:
    """What became of an entry at each minute of a history, looking ahead: for training and evaluation alone.

    minutes : int64[rows], increasing; bars : float64[rows, 7], high, low, close first; horizon : minutes
    out : float64[rows], 1 where the target was reached first, 0 where not, NaN where the history ends before the
    horizon does
    """
    rows = len(minutes)
    for row in range(rows):
        upper, lower = bars[row, 2] * (1.0 + target), bars[row, 2] * (1.0 + stop)
        last = minutes[row] + horizon
        out[row] = np.nan if minutes[rows - 1] < last else 0.0
        if out[row] != 0.0:
            continue
        for later in range(row + 1, rows):
            if minutes[later] > last or bars[later, 1] <= lower:
                break
            if bars[later, 0] >= upper:
                out[row] = 1.0
                break


I8 = npt.NDArray[np.int64]

HIGH, LOW, CLOSE, VOLUME, TRADES, BUYS, SELLS = range(7)
BAR = 7
"""Of a minute."""
COUNT_OF_WINDOWS = len(windows.WINDOWS)


class Coin(NamedTuple):
    """One coin's state. head : float64[2] newest minute and its close, NaN at birth; pending : of `outcomes`;
    regime : of `rules`
    """

    rings: F8
    head: F8
    pending: F8
    regime: F8


class MinuteOutput(NamedTuple):
    """What one minute's close gives: a summary of each window, the ranking model's inputs, and each rule's calls."""

    windows: F8
    inputs: F8
    regime: F8
    scratch: F8


class Barriers(NamedTuple):
    """What is asked of a coin. horizon : minutes; target, stop : returns, the latter negative"""

    horizon: int
    target: float
    stop: float


def new_coin(horizon: int) -> Coin:
    """A coin of which nothing is known."""
    return Coin(
        np.full((windows.ROOM, windows.FIELDS), np.nan),
        np.full(2, np.nan),
        np.full((horizon, PENDING), np.nan),
        np.full((len(rules.HORIZONS), rules.FIELDS), np.nan),
    )


def coin_bytes(horizon: int) -> int:
    """Size of a coin's state, whatever its age."""
    return sum(part.nbytes for part in new_coin(horizon))


def new_seen() -> MinuteOutput:
    """Room for what a minute gives."""
    return MinuteOutput(
        np.zeros((COUNT_OF_WINDOWS, windows.SUMMARY)),
        np.zeros(features.COUNT),
        np.zeros((len(rules.HORIZONS), len(rules.RULES))),
        np.zeros(windows.FIELDS),
    )


@kernel
def step(coin: Coin, minute: int, bar: F8, asked: Barriers, regimes: Regimes, out: MinuteOutput) -> None:
    """Add a minute that is later than any before. minute : since the epoch; bar : float64[BAR]"""
    close = bar[CLOSE]
    change = math.log(close / coin.head[1]) if coin.head[1] > 0.0 else 0.0
    decided = out.scratch[:2]
    decide(coin.pending, minute, bar[HIGH], bar[LOW], decided)
    windows.add(coin.rings, minute, bar, change, decided[0], decided[1])
    enter(coin.pending, minute, close, asked.target, asked.stop)
    coin.head[0], coin.head[1] = minute, close
    for window in range(COUNT_OF_WINDOWS):
        windows.summary(coin.rings, minute, window, out.windows[window], out.scratch)
    features.inputs(out.windows, asked.horizon, asked.target, asked.stop, out.inputs)
    rules.observe(coin.regime, minute, close, out.windows, regimes, out.regime)


@allocating_kernel
def steps(coin: Coin, minutes: I8, bars: F8, asked: Barriers, regimes: Regimes, out: MinuteOutput) -> tuple[F8, F8, F8]:
    """Add a history. minutes : int64[rows], increasing; bars : float64[rows, BAR]

    Returns inputs float64[rows, inputs], calls float64[rows, 4, 3] and summaries float64[rows, windows, SUMMARY].
    """
    rows = len(minutes)
    inputs = np.empty((rows, out.inputs.size))
    calls = np.empty((rows, *out.regime.shape))
    summaries = np.empty((rows, *out.windows.shape))
    for row in range(rows):
        step(coin, minutes[row], bars[row], asked, regimes, out)
        inputs[row], calls[row], summaries[row] = out.inputs, out.regime, out.windows
    return inputs, calls, summaries
