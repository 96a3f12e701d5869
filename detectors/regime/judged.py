"""What a call of bull or bear was worth: the return and the volatility of the horizon after it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.coin_features import windows
from detectors.coin_features.batch import History, MinuteFeatures
from detectors.regime.rules import HORIZONS, RULES

F8 = npt.NDArray[np.float64]
_WEEK = windows.NAMES.index("7d")


class CallOutcomes(NamedTuple):
    """Of each minute, for one horizon. calls : float64[rows, rules]; moved : float64[rows], return of the next horizon
    in units of its usual deviation; stirred : float64[rows], log of its volatility over the usual; NaN where the
    history ends before it
    """

    minutes: npt.NDArray[np.int64]
    calls: F8
    moved: F8
    stirred: F8

    def take(self, kept: npt.NDArray[np.bool_]) -> "CallOutcomes":
        """Those minutes alone."""
        return CallOutcomes(self.minutes[kept], self.calls[kept], self.moved[kept], self.stirred[kept])


def after(seen: History, known: MinuteFeatures, horizon: int) -> CallOutcomes:
    """What followed each minute. horizon : place in HORIZONS; the usual deviation is the last week's, as then known."""
    wide = HORIZONS[horizon]
    logs = np.log(seen.bars[:, 2])
    squares = np.concatenate([[0.0, 0.0], np.cumsum(np.diff(logs) ** 2)])
    # The last row that is not later than a horizon ahead: minutes without a bar are left out.
    ends = np.searchsorted(seen.minutes, seen.minutes + wide, side="right") - 1
    rows = np.arange(len(logs))
    there = (seen.minutes[-1] >= seen.minutes + wide) & (ends - rows >= wide // 2)
    usual = np.maximum(known.windows[:, _WEEK, windows.VOLATILITY], 1e-6)
    with np.errstate(divide="ignore", invalid="ignore"):
        moved = (logs[ends] - logs) / (usual * np.sqrt(wide))
        stirred = 0.5 * np.log((squares[ends + 1] - squares[rows + 1]) / (ends - rows)) - np.log(usual)
    there &= np.isfinite(stirred)
    return CallOutcomes(
        seen.minutes, known.calls[:, horizon], np.where(there, moved, np.nan), np.where(there, stirred, np.nan)
    )


def separations(found: CallOutcomes) -> dict[str, F8]:
    """By rule: bull less bear, of the mean next return and of the mean next log volatility; float64[2]."""
    return {
        rule: np.array([_difference(found.calls[:, place], each) for each in (found.moved, found.stirred)])
        for place, rule in enumerate(RULES)
    }


def _difference(calls: F8, values: F8) -> float:
    known = ~np.isnan(values)
    bull, bear = values[known & (calls > 0.0)], values[known & (calls < 0.0)]
    return float(bull.mean() - bear.mean()) if len(bull) and len(bear) else 0.0


class ReturnMoments(NamedTuple):
    """The next return's mean and deviation by call: bull, bear, and whatever the call. float64[3]"""

    mean: F8
    deviation: F8


def learnt(found: Sequence[CallOutcomes], rule: int) -> ReturnMoments:
    """From training days. rule : place in RULES"""
    calls = np.concatenate([one.calls[:, rule] for one in found])
    moved = np.concatenate([one.moved for one in found])
    known = ~np.isnan(moved) & (calls != 0.0)
    parts = [moved[known & (calls > 0.0)], moved[known & (calls < 0.0)], moved[known]]
    # A side that never was called says no more than all of them.
    parts = [part if len(part) > 1 else parts[2] for part in parts]
    return ReturnMoments(np.array([part.mean() for part in parts]), np.array([part.std() for part in parts]))


def gain(found: CallOutcomes, before: ReturnMoments, rule: int) -> F8:
    """Log density of the next return under the call's normal law less that without a call, float64[rows], nats.

    A proper score of return and volatility at once: above 0 a call tells something of what comes. NaN where there is no
    call or no next horizon.
    """
    calls = found.calls[:, rule]
    place = np.where(calls > 0.0, 0, 1)
    told = _log_density(found.moved, before.mean[place], before.deviation[place])
    untold = _log_density(found.moved, before.mean[2], before.deviation[2])
    return np.where(calls == 0.0, np.nan, told - untold)


def _log_density(seen: F8, mean: F8, deviation: F8) -> F8:
    return np.asarray(-np.log(deviation) - 0.5 * ((seen - mean) / deviation) ** 2)


def turns_a_day(calls: F8) -> float:
    """How often a rule changes its mind a day, float64[rows] of one call a minute."""
    said = calls[calls != 0.0]
    return float(np.count_nonzero(np.diff(said)) * 1440 / max(len(said), 1))
