"""Figures of forecasts with intervals: whole days drawn together over all instruments, in circular blocks of days.

A figure is kept with what each draw of days gave, so that differences of two figures are paired: the same days in both.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tapewatch.desk.day_blocks import DRAWS, drawn, within

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]

BLOCK = 10
"""Days in a row that stay together: two weeks, since large moves come in clusters."""


@dataclass(frozen=True, slots=True)
class Days:
    """On which day each row was judged, and how often each draw holds each day.

    place : int64[rows]; weights : float64[1 + draws, days], the first of all days once
    """

    place: I8
    weights: F8

    def __len__(self) -> int:
        return int(self.weights.shape[1])


def days_of(at: I8, block: int = BLOCK, seed: int = 0, draws: int = DRAWS) -> Days:
    """The days of some rows. at : int64[rows], UTC ns, of any instruments in any order; rows of one UTC date are drawn
    together; days without rows do not count
    """
    days, place = np.unique(at // 86_400_000_000_000, return_inverse=True)
    every = drawn(len(days), min(block, len(days)), seed, draws)
    held = [np.bincount(draw, minlength=len(days)) for draw in every]
    return Days(place, np.array([np.ones(len(days)), *held], dtype=np.float64))


def sums(days: Days, rows: F8) -> F8:
    """Sums of each column over the rows of each draw, float64[1 + draws, columns]. rows : float64[rows, columns]"""
    by_day = [np.bincount(days.place, column, minlength=len(days)) for column in rows.T]
    total: F8 = days.weights @ np.column_stack(by_day)
    return total


def values(days: Days, rows: F8, figure: Callable[[F8], float]) -> F8:
    """A figure of all days and of each draw, float64[1 + draws]; NaN where it has no value.

    rows : float64[rows, columns], what each row adds; figure : of the columns' sums, such as
    `lambda total: (total[0] / total[1]) ** 0.5` for a ratio of root mean squares
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.array([figure(total) for total in sums(days, rows)], dtype=np.float64)


def counts(days: Days, cell: I8, cells: int) -> F8:
    """How many rows of each draw lie in each cell, float64[1 + draws, cells]. cell : int64[rows], below `cells`"""
    by_day = np.bincount(days.place * cells + cell, minlength=len(days) * cells).reshape(len(days), cells)
    # Whole numbers below 2^24 are exact in float32, and their sums too.
    total = days.weights.astype(np.float32) @ by_day.astype(np.float32)
    return total.astype(np.float64)


def errors(days: Days, error: F8, naive: F8) -> dict[str, Any]:
    """Root mean square and mean absolute error, and their ratios to a naive forecast's, with intervals and verdicts.

    error, naive : float64[rows], forecast less what happened, in one unit
    """
    rows = np.column_stack([error**2, naive**2, np.abs(error), np.abs(naive), np.ones(len(error))])
    found = {
        "rmse": values(days, rows, lambda total: (total[0] / total[4]) ** 0.5),
        "rmse_naive": values(days, rows, lambda total: (total[1] / total[4]) ** 0.5),
        "mae": values(days, rows, lambda total: total[2] / total[4]),
        "mae_naive": values(days, rows, lambda total: total[3] / total[4]),
        "rmse_ratio": values(days, rows, lambda total: (total[0] / total[1]) ** 0.5),
        "mae_ratio": values(days, rows, lambda total: total[2] / total[3]),
    }
    return {name: interval(each) for name, each in found.items()}


def interval(found: F8) -> dict[str, float]:
    """`{mean, low, high}` of what `values` gave, or of the difference of two such, or of their mean over seeds."""
    return {name: float(f"{value:.6g}") for name, value in within(float(found[0]), found[1:]).items()}


def compared(found: F8, naive: F8, what: str, other: str, lower_is_better: bool = False) -> dict[str, Any]:
    """Paired difference of a figure to a naive one's, its interval, and what that says of skill.

    found, naive : float64[1 + draws] over the same draws; what, other : in words
    """
    gap = interval(found - naive)
    skill = gap["high"] < 0.0 if lower_is_better else gap["low"] > 0.0
    verdict = "has skill" if skill else "has none"
    text = f"{what} {verdict} beside {other}: {gap['mean']:+.4f} ({gap['low']:+.4f} to {gap['high']:+.4f})"
    return {"difference": gap, "skill": skill, "sentence": text}
