"""Whether the scores of a detector still are those it was made on, hour by hour, and which of them are discoveries."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detectors import calibration, drift

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]

HOUR_S, MINUTE_S, BLOCK_S = 3600, 60, 600
"""An hour has a stability index, a minute a mean rank, a block of ten minutes of one instrument one test."""
TOLERANCE, LIMIT = 0.05, 10.0
"""Page-Hinkley on the mean rank of a minute: a change by less than 5 percentiles is no drift, 40 percentiles off for
half an hour are.
"""


class Reference(NamedTuple):
    """What a model file keeps of the usual rows: bins of equal mass and their shares, and p-values' levels."""

    edges: tuple[float, ...]
    shares: tuple[float, ...]
    levels: tuple[float, ...]
    rows: int


class Hour(NamedTuple):
    """start : s of the epoch; rows : scores in it; stability : population stability index against the reference"""

    start: int
    rows: int
    stability: float


class Discovery(NamedTuple):
    """A block of an instrument whose p-value is a discovery. block : its begin, s of the epoch"""

    instrument: str
    block: int
    p: float
    score: float


class Monitor:
    """One detector's scores as they come, a partition's hours in their order."""

    def __init__(self, reference: Reference, rate: float):
        """Rate : false discovery rate to hold"""
        self.reference, self._rate = reference, rate
        self._by_hour: dict[int, F8] = {}
        self.moved: list[int] = []
        self.discoveries: list[Discovery] = []
        self.tests = 0
        self._mean, self._wealth = np.zeros(drift.PH_FIELDS), np.zeros(calibration.LORD_FIELDS)
        ranks = np.concatenate([[0.0], np.cumsum(reference.shares)])
        self._ranks = (ranks[1:] + ranks[:-1]) / 2.0

    def begin(self) -> None:
        """Another partition follows, whose hours begin anew: its minutes are not compared with those before."""
        self._mean[:] = 0.0

    def hour(self, start: int, seconds: I8, instruments: npt.NDArray[np.object_], scores: F8) -> None:
        """Take an hour's rows in any order; NaN is no score. seconds : of the epoch, within the hour"""
        known = ~np.isnan(scores)
        seconds, instruments, scores = seconds[known], instruments[known], scores[known]
        if len(scores):
            before = self._by_hour.get(start, 0.0)
            self._by_hour[start] = before + drift.count(scores, self.reference.edges)
            self._follow(seconds, scores)
            self._test(seconds, instruments, scores)

    @property
    def hours(self) -> list[Hour]:
        """Every hour with a score, of all partitions together."""
        shares = self.reference.shares
        return [
            Hour(start, int(counts.sum()), drift.stability_index(counts, shares))
            for start, counts in sorted(self._by_hour.items())
        ]

    @property
    def counts(self) -> F8:
        """Scores in each bin."""
        return sum(self._by_hour.values(), np.zeros(len(self.reference.shares)))

    @property
    def index(self) -> float:
        """Population stability index of everything; NaN without a row."""
        return drift.stability_index(self.counts, self.reference.shares)

    @property
    def verdict(self) -> str:
        """none, moderate or strong drift; unknown without a row."""
        if np.isnan(self.index):
            return "unknown"
        return "strong" if self.index >= drift.STRONG else "moderate" if self.index >= drift.MODERATE else "none"

    def _follow(self, seconds: I8, scores: F8) -> None:
        """The mean rank of each minute, against the ranks of the reference."""
        places = np.searchsorted(np.array(self.reference.edges), scores, side="right")
        minutes, owner = np.unique(seconds // MINUTE_S, return_inverse=True)
        means = np.bincount(owner, self._ranks[places]) / np.bincount(owner)
        for minute, mean in zip(minutes, means, strict=True):
            if drift.page_hinkley(self._mean, float(mean), TOLERANCE, LIMIT):
                self.moved.append(int(minute) * MINUTE_S)

    def _test(self, seconds: I8, instruments: npt.NDArray[np.object_], scores: F8) -> None:
        for block, name, peak, count in _peaks(seconds // BLOCK_S, instruments, scores):
            # The least of many p-values is small by itself: times their number it is one p-value (Bonferroni).
            p = calibration.p_values(np.array([peak]), self.reference.levels, self.reference.rows)
            whole = min(1.0, float(p[0]) * count)
            self.tests += 1
            if calibration.lord(self._wealth, whole, self._rate):
                self.discoveries.append(Discovery(name, int(block) * BLOCK_S, whole, peak))


def _peaks(blocks: I8, instruments: npt.NDArray[np.object_], scores: F8) -> Iterator[tuple[int, str, float, int]]:
    """Block, instrument, highest score and number of scores, in that order."""
    names, owner = np.unique(instruments.astype(str), return_inverse=True)
    keys, place = np.unique(blocks * len(names) + owner, return_inverse=True)
    peaks = np.full(len(keys), -np.inf)
    np.maximum.at(peaks, place, scores)
    for key, peak, count in zip(keys, peaks, np.bincount(place), strict=True):
        yield int(key) // len(names), str(names[int(key) % len(names)]), float(peak), int(count)
