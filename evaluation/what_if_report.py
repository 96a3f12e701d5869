"""The report of `evaluate what-if`: counts before and after, when alerts were decided, and every difference."""

from pathlib import Path
from typing import Any

import numpy as np

from evaluation import pump_page as page
from evaluation.replayed import Replay
from tapewatch.clock import NANOS

_HOUR = 3600.0


def write_report(folder: Path, document: dict[str, Any], found: Replay) -> Path:
    """Write what-if.html; returns its path."""
    plt = page.pyplot()
    parts = [_changes(document), _counts(document), _timeline(plt, found), _scores(plt, found)]
    for name, title in (("only_old", "only before"), ("only_new", "only after"), ("changed", "in both, changed")):
        rows = [
            [title, one["decided"], one["scenario"], one["instrument"], one["severity"], one["score"], one["sentence"]]
            for one in document[name]
        ]
        if rows:
            parts.append(page.table(["", "decided", "scenario", "instrument", "severity", "score", ""], rows))
    return page.write(folder, "what-if.html", "What if: alerts before and after a change", parts)


def _changes(document: dict[str, Any]) -> str:
    said = {**document["changes"], **document["models"]}
    rows = [[name, both["old"], both["new"]] for name, both in said.items()]
    rows.append(["span", document["from"], document["to"]])
    return page.table(["what", "in force", "changed"], rows)


def _counts(document: dict[str, Any]) -> str:
    old, new = document["old"], document["new"]
    before, after = old["by_scenario"], new["by_scenario"]
    rows: list[list[object]] = [[name, before.get(name, 0), after.get(name, 0)] for name in sorted({*before, *after})]
    rows.append(["all", old["alerts"], new["alerts"]])
    rates = [side["alerts_per_instrument_day"] for side in (old, new)]
    rows.append(
        ["an instrument-day", *(f"{r['mean']:.3g} ({r['low']:.3g} to {r['high']:.3g})" if r else "" for r in rates)]
    )
    return page.table(["alerts", "in force", "changed"], rows)


def _timeline(plt: Any, found: Replay) -> str:
    """A row a scenario and run, a mark where an alert was decided."""
    names = sorted({each.first.scenario for episodes in found.episodes for each in episodes})
    figure, axes = plt.subplots(figsize=(10, 0.5 * len(names) + 1.5))
    begin = min((each.decided_ns for episodes in found.episodes for each in episodes), default=0)
    for run, (episodes, colour) in enumerate(zip(found.episodes, ("tab:blue", "tab:orange"), strict=True)):
        hours = [(each.decided_ns - begin) / NANOS / _HOUR for each in episodes]
        rows = [names.index(each.first.scenario) + 0.25 * (2 * run - 1) for each in episodes]
        axes.plot(hours, rows, "|", ms=12, color=colour, label=("in force", "changed")[run])
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("h from the first alert")
    axes.legend(loc="upper right")
    return page.picture(figure, "When alerts were decided")


def _scores(plt: Any, found: Replay) -> str:
    """How strong the alerts of both runs are."""
    figure, axes = plt.subplots(figsize=(10, 2.5))
    axes.hist(
        [[each.first.score for each in episodes] for episodes in found.episodes],
        bins=np.linspace(0.0, 100.0, 21),
        color=("tab:blue", "tab:orange"),
        label=("in force", "changed"),
    )
    axes.set_xlabel("score")
    axes.set_ylabel("alerts")
    axes.legend()
    return page.picture(figure, "Scores")
