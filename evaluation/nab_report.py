"""The report of `evaluate nab`: the figures, and every series with its windows, hits, misses and false alerts."""

from pathlib import Path
from typing import Any

import numpy as np

from evaluation import pump_page as page
from evaluation.nab_score import OUTSIDE, DetectorScores

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
