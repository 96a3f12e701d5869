"""Histories of minutes through the same kernel as live: what the desk saw at each minute, and what came of it."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.coin_features import state
from detectors.coin_features.state import BAR, CLOSE, HIGH, LOW, VOLUME, Barriers
from detectors.regime.rules import Regimes

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]

DAY = 1440
"""Minutes."""


class History(NamedTuple):
    """One coin's minutes. minutes : int64[rows] since the epoch, increasing; bars : float64[rows, BAR]"""

    name: str
    minutes: I8
    bars: F8

    def cut(self, start: int, end: int) -> "History":
        """The minutes from `start` to `end`, exclusive."""
        kept = (self.minutes >= start) & (self.minutes < end)
        return History(self.name, self.minutes[kept], self.bars[kept])

    def upside_down(self) -> "History":
        """The same coin as the price of money in coins: what fell rises."""
        turned = self.bars.copy()
        turned[:, HIGH], turned[:, LOW] = 1.0 / self.bars[:, LOW], 1.0 / self.bars[:, HIGH]
        turned[:, CLOSE], turned[:, VOLUME] = 1.0 / self.bars[:, CLOSE], self.bars[:, CLOSE] * self.bars[:, VOLUME]
        return History(self.name, self.minutes, turned)

    def day_begins(self, days: int) -> int:
        """The first minute of the UTC day that lies so many days after the first whole one."""
        return (-(-int(self.minutes[0]) // DAY) + days) * DAY


class MinuteFeatures(NamedTuple):
    """What was seen at each minute, as `state.steps` gives it."""

    inputs: F8
    calls: F8
    windows: F8


def history(name: str, minutes: I8, columns: dict[str, F8]) -> History:
    """From columns high, low, close, volume and, where they are known, trades, buys and sells."""
    bars = np.zeros((len(minutes), BAR))
    for place, column in enumerate(("high", "low", "close", "volume", "trades", "buys", "sells")):
        if column in columns:
            bars[:, place] = columns[column]
    return History(name, minutes, bars)


def watched(seen: History, asked: Barriers, regimes: Regimes) -> MinuteFeatures:
    """A history as a coin that is born with it lives through it."""
    coin = state.new_coin(asked.horizon)
    return MinuteFeatures(*state.steps(coin, seen.minutes, seen.bars, asked, regimes, state.new_seen()))


def outcome(seen: History, asked: Barriers) -> F8:
    """What became of an entry at each minute's close: 1 target first, 0 not, NaN where the history ends too early."""
    out = np.empty(len(seen.minutes))
    state.outcomes(seen.minutes, seen.bars, asked.horizon, asked.target, asked.stop, out)
    return out
