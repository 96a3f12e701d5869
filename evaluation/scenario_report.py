"""The report of `evaluate scenarios`: curves of every score, delays, false alerts, and each missed and false case."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evaluation import pump_page as page
from evaluation import scenario_cases as cases
from evaluation.scenario_figures import (
    MARGIN_S,
    ScenarioAlert,
    calibrated,
    detector_of,
    overlapping,
    probabilities,
    scored_seconds,
)
from evaluation.scenario_labels import Event
from evaluation.scenario_market import MarketRun
from tapewatch.contract.rows import Rows

_BINS = 15


def write_report(
    folder: Path,
    document: dict[str, Any],
    result: MarketRun,
    rows: Sequence[Rows],
    events: Sequence[Event],
    said: Sequence[ScenarioAlert],
) -> Path:
    """Write scenarios.html; returns its path."""
    plt = page.pyplot()
    names = sorted({event.scenario for event in events})
    judged = {"all": (calibrated(result), list(events))} | {
        name: (detector_of(result, name), [event for event in events if event.scenario == name]) for name in names
    }
    curves = {name: _separated(result, detectors, own, events) for name, (detectors, own) in judged.items()}
    delays = {
        name: cases.delays([each for each in said if each.scenario == document[name]["alerts_of"]], judged[name][1])
        for name in names
    }
    parts = [
        _table(document, ["all", *names]),
        _roc(plt, curves),
        _precision_recall(plt, curves),
        _reliability(plt, result, events),
        _delays(plt, delays),
        _false_alerts(plt, document, said, events),
        *cases.pictures(plt, document, result, rows, events, said),
    ]
    return page.write(folder, "scenarios.html", "Labelled manipulation", parts)


def _table(document: dict[str, Any], names: Sequence[str]) -> str:
    keys = ("event_recall", "false_alerts_per_instrument_hour", "auroc", "event_recall_at_1pct")
    rows = [
        [
            name,
            document[name]["events"],
            *(_interval(document[name][key]) for key in keys),
            document[name]["median_delay_s"],
            ", ".join(document[name]["score_of"]),
        ]
        for name in names
    ]
    head = ["", "events", "recall", "false alerts an instrument-hour", "AUROC", "recall at 1 %", "median delay, s"]
    return page.table([*head, "score of"], rows)


def _interval(value: dict[str, float | None]) -> str:
    mean, low, high = value["mean"], value["low"], value["high"]
    if mean is None:
        return "-"
    return f"{mean:.3f}" if low is None or high is None else f"{mean:.3f} ({low:.3f} to {high:.3f})"


def _separated(result: MarketRun, detectors: Sequence[str], own: Sequence[Event], every: Sequence[Event]) -> Any:
    """(score, positive) of the seconds that count, highest score first."""
    seconds = scored_seconds(result, detectors)
    positive = overlapping(seconds, own)
    used = positive | ~overlapping(seconds, every, MARGIN_S)
    score = np.where(np.isnan(seconds.score), -np.inf, seconds.score)[used]
    order = np.argsort(-score, kind="stable")
    return score[order], positive[used][order]


def _steps(curve: Any) -> tuple[Any, Any]:
    """True and false positives at each distinct threshold, from the highest score on."""
    score, positive = curve
    last = np.append(np.flatnonzero(score[1:] != score[:-1]), len(score) - 1)
    return np.cumsum(positive)[last], np.cumsum(~positive)[last]


def _roc(plt: Any, curves: dict[str, Any]) -> str:
    figure, axes = plt.subplots(figsize=(5, 4.5))
    for name, curve in curves.items():
        true, false = _steps(curve)
        axes.step(np.r_[0.0, false / max(1, false[-1])], np.r_[0.0, true / max(1, true[-1])], where="post", label=name)
    axes.plot([0, 1], [0, 1], color="0.7", lw=0.8)
    axes.axvline(0.01, color="0.7", ls=":", lw=0.8)
    axes.set_xlabel("share of quiet seconds above the threshold")
    axes.set_ylabel("share of manipulated seconds above it")
    axes.legend(loc="lower right")
    return page.picture(figure, "ROC, per second")


def _precision_recall(plt: Any, curves: dict[str, Any]) -> str:
    figure, axes = plt.subplots(figsize=(5, 4.5))
    for name, curve in curves.items():
        true, false = _steps(curve)
        line = axes.step(true / max(1, true[-1]), true / (true + false), where="post", label=name)[0]
        axes.axhline(curve[1].mean(), color=line.get_color(), ls=":", lw=0.8)
    axes.set_xlabel("recall of manipulated seconds")
    axes.set_ylabel("precision")
    axes.set_ylim(0, 1.02)
    axes.legend(loc="upper right")
    return page.picture(figure, "Precision and recall, per second (dotted: chance)")


def _reliability(plt: Any, result: MarketRun, events: Sequence[Event]) -> str:
    """Said probability against the share of manipulated seconds, in 15 bins of equally many seconds."""
    figure, axes = plt.subplots(figsize=(5, 4.5))
    top = 0.0
    for name in calibrated(result):
        seconds = probabilities(result, (name,))
        own = [event for event in events if event.scenario == name] or events
        used = np.isfinite(seconds.score)
        if not used.any():
            continue
        said, true = seconds.score[used], overlapping(seconds, own)[used]
        bins = np.array_split(np.argsort(said, kind="stable"), min(_BINS, len(said)))
        points = np.array([[said[each].mean(), true[each].mean()] for each in bins])
        axes.plot(points[:, 0], points[:, 1], "o-", ms=3, label=name)
        top = max(top, float(points.max()))
    axes.plot([0, top], [0, top], color="0.7", lw=0.8)
    axes.set_xlabel("probability said")
    axes.set_ylabel("share of manipulated seconds")
    if top > 0:
        axes.legend(loc="upper left")
    return page.picture(figure, "Reliability (injection makes manipulation commoner than in life)")


def _delays(plt: Any, delays: dict[str, list[float]]) -> str:
    figure, axes = plt.subplots(figsize=(8, 0.8 + 0.5 * max(1, len(delays))))
    for row, own in enumerate(delays.values()):
        axes.plot(own, [row] * len(own), "|", ms=14)
    axes.set_yticks(range(len(delays)), list(delays))
    axes.set_xlim(left=0)
    axes.set_xlabel("s from a manipulation's start to the alert's decision")
    return page.picture(figure, "Delays of what was found")


def _false_alerts(plt: Any, document: dict[str, Any], said: Sequence[ScenarioAlert], events: Sequence[Event]) -> str:
    """False alerts by scenario and time of the recording."""
    false = cases.false_alerts(said, events)
    names = sorted({each.scenario for each in said})
    figure, axes = plt.subplots(figsize=(8, 0.8 + 0.4 * max(1, len(names))))
    start = min([each.decided for each in said] + [event.start for event in events], default=0.0)
    for row, name in enumerate(names):
        times = [(each.decided - start) / 60.0 for each in false if each.scenario == name]
        axes.plot(times, [row] * len(times), "x", color="tab:red")
        count = sum(each.scenario == name for each in said)
        axes.text(1.01, row, f"{len(times)} of {count}", transform=axes.get_yaxis_transform(), va="center")
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(-0.5, max(0.5, len(names) - 0.5))
    axes.set_xlabel("minutes from the first event or alert")
    hours = document["instrument_hours_outside"]
    return page.picture(figure, f"False alerts: {len(false)} in {hours:.2f} instrument-hours outside the labels")
