"""NAB's score: early hits earn, misses and false rows cost, between a detector that never alerts and a perfect one.

Lavin & Ahmad, "Evaluating Real-Time Anomaly Detection Algorithms", ICMLA 2015, section II, with the positions that the
benchmark's published scorer uses.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evaluation.nab_data import Profile, Series

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]

OUTSIDE = -1
PROBATION = -2
_FAR = 3.0
"""Window widths after a window's end from which a false row costs all."""


@dataclass(frozen=True, slots=True)
class Rows:
    """What each row of a series is worth once it alerts.

    worth : float64[rows], its share of the score; window : int64[rows], the window it lies in, OUTSIDE or PROBATION
    windows : how many windows have a scored row
    """

    worth: F8
    window: I8
    windows: int


def scaled_sigmoid(position: F8) -> F8:
    """2 / (1 + exp(5 position)) - 1: 0.9866 at a window's left edge (-1), 0 at its right edge, -1 from 3 widths on."""
    return np.where(position >= _FAR, -1.0, 2.0 / (1.0 + np.exp(5.0 * np.minimum(position, _FAR))) - 1.0)


def rows_of(series: Series, profile: Profile) -> Rows:
    """What each row of one series is worth."""
    count = len(series.values)
    index = np.arange(count)
    position = np.full(count, _FAR)
    window = np.full(count, OUTSIDE, dtype=np.int64)
    for first, last in series.windows:
        after = index > last
        position[after] = (index[after] - last) / max(last - first, 1)
    worth = scaled_sigmoid(position) * profile.false
    best = float(scaled_sigmoid(np.array(-1.0)))
    for number, (first, last) in enumerate(series.windows):
        inside = index[first : last + 1]
        worth[inside] = scaled_sigmoid((inside - last - 1) / (last - first + 1)) * profile.hit / best
        window[inside] = number
    window[: series.probation] = PROBATION
    return Rows(worth, window, len(np.unique(window[window >= 0])))


def raw_score(rows: Rows, scores: F8, threshold: float, profile: Profile) -> float:
    """One series' score before normalisation, at one threshold."""
    alerts = scores >= threshold
    total = float(rows.worth[alerts & (rows.window == OUTSIDE)].sum())
    for number in np.unique(rows.window[rows.window >= 0]):
        hits = rows.worth[alerts & (rows.window == number)]
        total += float(hits.max()) if hits.size else -profile.miss
    return total


def best_threshold(every: Sequence[Rows], scores: Sequence[F8], profile: Profile) -> float:
    """The one threshold with the highest sum of raw scores over all series; above 1 where none should alert."""
    gains, levels = [], []
    for rows, found in zip(every, scores, strict=True):
        order = np.argsort(-found, kind="stable")
        order = order[rows.window[order] != PROBATION]
        gain = np.where(rows.window[order] == OUTSIDE, rows.worth[order], 0.0)
        for number in np.unique(rows.window[rows.window >= 0]):
            places = np.flatnonzero(rows.window[order] == number)
            reached = np.maximum.accumulate(np.append(-profile.miss, rows.worth[order[places]]))
            gain[places] = np.diff(reached)
        gains.append(gain)
        levels.append(found[order])
    level, gain = np.concatenate(levels), np.concatenate(gains)
    order = np.argsort(-level, kind="stable")
    total = np.cumsum(gain[order])
    level = level[order]
    ends = np.flatnonzero(np.append(level[1:] != level[:-1], True)) if level.size else np.zeros(0, dtype=np.int64)
    if not ends.size or total[ends].max() <= 0.0:
        return 1.1
    return float(level[ends[int(np.argmax(total[ends]))]])


def normalised(raw: F8, windows: I8, scored: I8, profile: Profile) -> float:
    """100 (raw - null) / (perfect - null), over any set of series.

    raw : float64[series]; windows : int64[series], labelled windows, for the perfect detector; scored : those of them
    outside probation, which the null detector misses
    """
    null = -profile.miss * float(scored.sum())
    perfect = profile.hit * float(windows.sum())
    return 100.0 * (float(raw.sum()) - null) / (perfect - null) if perfect > null else float("nan")


def counts(series: Sequence[Series], every: Sequence[Rows]) -> tuple[I8, I8]:
    """Labelled windows, and those of them with a scored row, int64[series] each."""
    return (
        np.array([len(one.windows) for one in series], dtype=np.int64),
        np.array([rows.windows for rows in every], dtype=np.int64),
    )


def interval(raw: F8, windows: I8, scored: I8, profile: Profile, seed: int, draws: int = 2000) -> tuple[float, float]:
    """95 % bootstrap interval of the normalised score over series, the threshold held."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(draws):
        take = rng.integers(0, len(raw), len(raw))
        found.append(normalised(raw[take], windows[take], scored[take], profile))
    low, high = np.nanpercentile(found, [2.5, 97.5])
    return float(low), float(high)


@dataclass(frozen=True, slots=True)
class DetectorScores:
    """A detector's scores of every series, under one profile.

    rows, scores : of every series; threshold : the best over all
    """

    series: Sequence[Series]
    profile: Profile
    rows: Sequence[Rows]
    scores: Sequence[F8]
    threshold: float

    def score(self, members: Sequence[bool] | None = None, threshold: float | None = None) -> float:
        """The normalised score over all series or some, at a threshold or the best one."""
        take = np.flatnonzero(np.ones(len(self.series), dtype=bool) if members is None else members)
        windows, scored = counts(self.series, self.rows)
        return normalised(self.raw(threshold)[take], windows[take], scored[take], self.profile)

    def raw(self, threshold: float | None = None) -> F8:
        """Scores before normalisation, float64[series]."""
        level = self.threshold if threshold is None else threshold
        return np.array(
            [raw_score(one, found, level, self.profile) for one, found in zip(self.rows, self.scores, strict=True)]
        )

    def interval(self, seed: int) -> dict[str, float]:
        """The score with a 95 % bootstrap interval over series, the threshold held."""
        low, high = interval(self.raw(), *counts(self.series, self.rows), self.profile, seed)
        return {"mean": self.score(), "low": low, "high": high}

    def alerts(self, number: int) -> tuple[int, int]:
        """Windows hit and false rows of one series at the best threshold."""
        window = self.rows[number].window[self.scores[number] >= self.threshold]
        return len(np.unique(window[window >= 0])), int((window == OUTSIDE).sum())
