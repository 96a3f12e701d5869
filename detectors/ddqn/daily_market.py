"""Daily bars as a market to learn in: features that look back only, and episodes of long or short positions."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.ddqn.daily_account import COST, LONG
from detectors.ddqn.environment import F4, I8, Bools, Step

F8 = npt.NDArray[np.float64]
Dates = npt.NDArray[np.datetime64]

COLUMNS = ("Open", "High", "Low", "Close", "Volume")
ACTIONS = ("short", "long")
HORIZONS = (1, 2, 5, 10, 20, 60, 120, 250)
FEATURES = (
    *(f"return_{days}d" for days in HORIZONS),
    "volatility_20d_to_250d",
    "drawdown_60d",
    "drawdown_250d",
    "range_5d_to_60d",
    "volume_5d_to_60d",
)
INPUTS = (*FEATURES, "position")
"""What the policy sees: features of the newest row, and its position, -1 or 1 (0 before the first trade)."""
WARM = 250
"""Rows before the first that is learnt from."""
_LIMIT = 3.0
_EPISODE = 250


@dataclass(frozen=True, slots=True)
class Bars:
    """Daily bars of one instrument. dates : datetime64[D], increasing; the others float64[rows], NaN nowhere"""

    dates: Dates
    open: F8
    high: F8
    low: F8
    close: F8
    volume: F8

    def __len__(self) -> int:
        return len(self.dates)

    def __getitem__(self, rows: slice) -> "Bars":
        return Bars(*(getattr(self, name)[rows] for name in self.__slots__))

    def before(self, day: str) -> "Bars":
        """The rows before a day."""
        return self[: int(np.searchsorted(self.dates, np.datetime64(day)))]


def bars_of(dates: Dates, columns: dict[str, F8]) -> Bars:
    """Bars with missing values filled in; ValueError where that cannot be.

    columns : by the names of COLUMNS; a zero or NaN is missing and takes the last value known, the first rows the first
    """
    if len(dates) < 2 or not np.all(np.diff(dates) > np.timedelta64(0, "D")):
        raise ValueError("dates do not increase")
    filled = {}
    for name in COLUMNS:
        values = carried(columns[name])
        known = np.isfinite(values)
        if not known.any():
            raise ValueError(f"{name} has no value")
        filled[name.lower()] = np.where(known, values, values[int(np.argmax(known))])
    return Bars(dates, **filled)


def carried(values: F8) -> F8:
    """The last value known at each row, float64[rows]: a zero or NaN is missing; NaN before the first."""
    known = np.isfinite(values) & (values > 0.0)
    last = np.maximum.accumulate(np.where(known, np.arange(len(values)), 0))
    found: F8 = np.where(known[last], values[last], np.nan)
    return found


def joined(older: Bars, newer: Bars) -> tuple[Bars, int]:
    """Both in one, without days of the older that the newer has too; and the row at which the newer begins."""
    kept = older[: int(np.searchsorted(older.dates, newer.dates[0]))]
    parts = {name: np.concatenate([getattr(kept, name), getattr(newer, name)]) for name in Bars.__slots__}
    return Bars(**parts), len(kept)


def features(bars: Bars) -> F4:
    """What a day's bar and those before it say, float32[rows, features], each about one in size.

    Prices stand in ratios to themselves only: closes may be adjusted for dividends while highs and lows are not.
    """
    price = np.log(bars.close)
    change = np.diff(price, prepend=price[0])
    slow = _spread(change, 250)
    parts = [_lag(price, days) / (slow * np.sqrt(days)) for days in HORIZONS]
    parts.append(2.0 * np.log(_spread(change, 20) / slow))
    parts += [(price - _highest(price, days)) / (slow * np.sqrt(days)) for days in (60, 250)]
    span = np.log(bars.high / bars.low) + 1e-4
    parts.append(2.0 * np.log(_mean(span, 5) / _mean(span, 60)))
    parts.append(2.0 * np.log(_mean(bars.volume, 5) / _mean(bars.volume, 60)))
    found: F4 = np.clip(np.column_stack(parts), -_LIMIT, _LIMIT).astype(np.float32)
    return found


def _lag(x: F8, rows: int) -> F8:
    """The change over `rows`, since the first row where there are fewer."""
    found: F8 = x - x[np.maximum(np.arange(len(x)) - rows, 0)]
    return found


def _mean(x: F8, rows: int) -> F8:
    """The mean of the last rows, of what there is at the beginning."""
    sums = np.concatenate([[0.0], np.cumsum(x)])
    end = np.arange(1, len(x) + 1)
    first = np.maximum(end - rows, 0)
    found: F8 = (sums[end] - sums[first]) / (end - first)
    return found


def _spread(change: F8, rows: int) -> F8:
    """Standard deviation around zero of the last rows, at least a hundredth of a percent."""
    found: F8 = np.sqrt(np.maximum(_mean(change * change, rows), 1e-8))
    return found


def _highest(x: F8, rows: int) -> F8:
    padded = np.concatenate([np.full(rows - 1, -np.inf), x])
    found: F8 = np.lib.stride_tricks.sliding_window_view(padded, rows).max(axis=1)
    return found


class DailyMarket:
    """Episodes of up to 250 days in one or more instruments, as many at a time as there are lanes.

    What is decided on row r is carried out at the close of r + 1; its reward is what that position earns from there to
    the close of r + 2, less the cost of getting there, in units of the instrument's daily volatility in training. What
    the old position earns meanwhile is left out: no decision can change it.
    """

    inputs, actions = len(INPUTS), len(ACTIONS)

    def __init__(self, instruments: list[Bars], lanes: int, cost: float = COST):
        usable = [bars for bars in instruments if len(bars) > WARM + 2]
        if not usable:
            raise ValueError(f"no instrument has more than {WARM + 2} rows")
        self.lanes, self.random = lanes, np.random.default_rng(0)
        rows, rewards, costs, ends = [], [], [], []
        for bars in usable:
            change = np.diff(bars.close) / bars.close[:-1]
            unit = float(np.std(change[WARM:]))
            rows.append(features(bars)[WARM:-2])
            rewards.append(change[WARM + 1 :] / unit)
            costs.append(np.full(len(rows[-1]), cost / unit))
            ends.append(np.arange(len(rows[-1])) == len(rows[-1]) - 1)
        self.rows, self.rewards = np.concatenate(rows), np.concatenate(rewards).astype(np.float32)
        self.costs, self.last = np.concatenate(costs).astype(np.float32), np.concatenate(ends)
        self.at = np.zeros(lanes, dtype=np.int64)
        self.age = np.zeros(lanes, dtype=np.int64)
        self.held = np.zeros(lanes, dtype=np.float32)
        self._masks = np.ones((lanes, self.actions), dtype=np.bool_)

    def reset(self, seed: int) -> tuple[F4, Bools]:
        """Begin every lane at a day drawn by the seed."""
        self.random = np.random.default_rng(seed)
        self._begin(np.ones(self.lanes, dtype=np.bool_))
        return self._seen(), self._masks

    def step(self, actions: I8) -> Step:
        """Hold short (0) or long (1). Episodes never terminate: a market goes on, the data ends."""
        wanted = np.where(actions == LONG, 1.0, -1.0).astype(np.float32)
        rewards = wanted * self.rewards[self.at] - np.abs(wanted - self.held) * self.costs[self.at]
        self.held, self.age = wanted, self.age + 1
        truncated = self.last[self.at] | (self.age >= _EPISODE)
        self.at = np.where(self.last[self.at], self.at, self.at + 1)
        after = self._seen()
        self._begin(truncated)
        ended = np.zeros(self.lanes, dtype=np.bool_)
        return Step(self._seen(), self._masks, rewards, ended, truncated, after, self._masks)

    def state(self) -> dict[str, Any]:
        """Where every lane stands, and the state of chance."""
        random = dict(self.random.bit_generator.state)
        numbers = {name: str(value) for name, value in random["state"].items()}
        lanes = {name: getattr(self, name).tolist() for name in ("at", "age", "held")}
        return lanes | {"random": random | {"state": numbers}}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave."""
        self.at, self.age = np.array(state["at"], dtype=np.int64), np.array(state["age"], dtype=np.int64)
        self.held = np.array(state["held"], dtype=np.float32)
        numbers = {name: int(value) for name, value in state["random"]["state"].items()}
        self.random.bit_generator.state = state["random"] | {"state": numbers}

    def _begin(self, lanes: Bools) -> None:
        count = int(np.count_nonzero(lanes))
        self.at[lanes] = self.random.integers(0, len(self.rows), count)
        self.held[lanes] = self.random.integers(-1, 2, count)
        self.age[lanes] = 0

    def _seen(self) -> F4:
        found: F4 = np.column_stack([self.rows[self.at], self.held])
        return found
