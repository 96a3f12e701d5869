"""NAB's score: early hits earn, misses and false rows cost, between a detector that never alerts and a perfect one.

Lavin & Ahmad, "Evaluating Real-Time Anomaly Detection Algorithms", ICMLA 2015, section II, with the positions that the
benchmark's published scorer uses.

The report of `evaluate nab`: the figures, and every series with its windows, hits, misses and false alerts.

The Numenta Anomaly Benchmark's files: series, labelled windows and cost profiles, as its repository has them.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv

from evaluation import pump_page as page
from tapewatch.errors import TapewatchError

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]

PROBATION_SHARE = 0.15
_PROBATION_ROWS = 5000
"""Length from which a longer series has no longer probation."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What a profile pays for a window found early, and charges for a window missed and for a false row."""

    name: str
    hit: float
    miss: float
    false: float


@dataclass(frozen=True, slots=True)
class Series:
    """One labelled series.

    name : folder/file.csv, the labels' key; seconds : float64[rows], since the epoch; values : float64[rows]
    windows : int64[n, 2], first and last row of every labelled window
    """

    name: str
    seconds: F8
    values: F8
    windows: I8

    @property
    def category(self) -> str:
        """The folder: realTweets, realAdExchange, ..."""
        return self.name.partition("/")[0]

    @property
    def probation(self) -> int:
        """Rows at the start that are not scored."""
        rows = len(self.values)
        return int(min(np.floor(PROBATION_SHARE * rows), PROBATION_SHARE * _PROBATION_ROWS))


def read_series(folder: Path) -> list[Series]:
    """Every labelled series below `folder`, by name. TapewatchError where the layout is another."""
    labels = _json(folder / "labels" / "combined_windows.json")
    found = []
    for name in sorted(labels):
        path = folder / "data" / name
        if not path.is_file():
            raise TapewatchError(f"{path} is labelled but not there", "Name a complete NAB checkout with --data.")
        table = pa.csv.read_csv(
            path, convert_options=pa.csv.ConvertOptions(column_types={"timestamp": pa.string(), "value": pa.float64()})
        )
        times = _microseconds(table["timestamp"].to_pylist())
        limits = [_microseconds(window) for window in labels[name]]
        windows = [[_row(times, limit, name) for limit in window] for window in limits]
        values = np.asarray(table["value"], dtype=np.float64)
        found.append(
            Series(name, times.astype(np.float64) / 1e6, values, np.array(windows, dtype=np.int64).reshape(-1, 2))
        )
    return found


def read_profiles(folder: Path) -> list[Profile]:
    """The cost profiles, the standard one first."""
    profiles = [
        Profile(name, costs["CostMatrix"]["tpWeight"], costs["CostMatrix"]["fnWeight"], costs["CostMatrix"]["fpWeight"])
        for name, costs in _json(folder / "profiles.json").items()
    ]
    return sorted(profiles, key=lambda profile: profile.name != "standard")


def development(series: list[Series]) -> list[bool]:
    """Which series the detector may be developed on: in every folder, by name, the first, third, fifth, ..."""
    seen: dict[str, int] = {}
    chosen = []
    for one in series:
        position = seen.get(one.category, 0)
        chosen.append(position % 2 == 0)
        seen[one.category] = position + 1
    return chosen


def _json(path: Path) -> dict[str, Any]:
    """A JSON document of the benchmark."""
    if not path.is_file():
        raise TapewatchError(f"there is no {path}", "Name the folder of a NAB checkout with --data.")
    document: dict[str, Any] = json.loads(path.read_text())
    return document


def _microseconds(times: list[str]) -> I8:
    """Microseconds since the epoch, int64[n]."""
    return np.array(times, dtype="datetime64[us]").astype(np.int64)


def _row(times: I8, limit: int, name: str) -> int:
    """The first row at a window's limit."""
    rows = np.flatnonzero(times == limit)
    if not len(rows):
        raise TapewatchError(f"{name}: no row lies at a window's limit", "Use the labels that belong to the data.")
    return int(rows[0])


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


_HIT, _MISSED, _FALSE = "#2a9d55", "#d98c00", "#c0392b"


def write_report(folder: Path, document: dict[str, Any], judged: DetectorScores) -> Path:
    """Write nab.html; returns its path. judged : under the standard profile"""
    parts = [_scores(document), _categories(document)]
    order = np.argsort(judged.raw() - np.array([len(one.windows) for one in judged.series]), kind="stable")
    parts += [_series(judged, int(number)) for number in order]
    return page.write(folder, "nab.html", "Univariate detector on the Numenta Anomaly Benchmark", parts)


def _scores(document: dict[str, Any]) -> str:
    """Scores by detector and profile."""
    profiles = list(document["profiles"])
    entries = {"univariate": document["profiles"], **document["baselines"]}
    rows = [[name, *(f"{one[profile]['score']:.1f}" for profile in profiles)] for name, one in entries.items()]
    return page.table(["detector", *profiles], rows)


def _categories(document: dict[str, Any]) -> str:
    """Figures by category and half."""
    keys = ("series", "windows", "hit", "false_rows")
    rows = [
        [name, *(one[key] for key in keys), "" if one["score"] is None else f"{one['score']:.1f}"]
        for name, one in {**document["categories"], "finance": document["finance"], **document["halves"]}.items()
    ]
    return page.table(["part", *keys, "score"], rows)


def _series(judged: DetectorScores, number: int) -> str:
    """One series over its scores: windows found green, missed orange; alerts in windows green, false ones red."""
    series, window = judged.series[number], judged.rows[number].window
    alerts = judged.scores[number] >= judged.threshold
    times = series.seconds.astype("datetime64[s]")
    plt = page.pyplot()
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(10, 3.2), sharex=True, height_ratios=(3, 1))
    top.plot(times, series.values, linewidth=0.6, color="#345")
    for at, (first, last) in enumerate(series.windows):
        colour = _HIT if (alerts & (window == at)).any() else _MISSED
        top.axvspan(times[first], times[last], color=colour, alpha=0.2, linewidth=0)
    for colour, rows in ((_HIT, alerts & (window >= 0)), (_FALSE, alerts & (window == OUTSIDE))):
        top.plot(times[rows], series.values[rows], "o", markersize=5, color=colour)
    if series.probation:
        top.axvspan(times[0], times[series.probation - 1], color="#999", alpha=0.15, linewidth=0)
    bottom.plot(times, judged.scores[number], linewidth=0.6, color="#345")
    bottom.axhline(judged.threshold, color=_FALSE, linewidth=0.6)
    bottom.set(ylim=(0, 1), ylabel="score")
    hit, false = judged.alerts(number)
    return page.picture(figure, f"{series.name}: {hit} of {len(series.windows)} windows found, {false} false rows")
