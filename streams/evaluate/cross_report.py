"""The report of `evaluate cross-market`: every alert with the paths and net volumes of both instruments."""

import html
from pathlib import Path
from typing import Any

import numpy as np

from streams.evaluate import pump_page as page
from streams.evaluate.cross_tracks import Track
from tapewatch.clock import NANOS
from tapewatch.rfc3339 import from_rfc3339

_DRAWN = 40
"""Alerts drawn at most, the strongest first; the table has all."""
_BEFORE_S, _AFTER_S = 150, 60


def write_report(folder: Path, document: dict[str, Any], tracks: dict[str, Track]) -> Path:
    """Write cross-market.html; returns its path. document : what the command prints as JSON"""
    found = document["alerts"]
    parts = [
        page.table(
            ["what", ""],
            [
                ["history", document["history"]],
                ["span", f"{document['from']} to {document['to']}"],
                *([f"{one} and {other}", ""] for one, other in document["pairs"]),
                *document["parameters"].items(),
            ],
        ),
        f"<p>{len(found)} alerts</p>\n",
    ]
    if found:
        rows = [[one["decided"], one["severity"], f"{one['score']:.0f}", one["sentence"]] for one in found]
        parts.append(page.table(["decided", "severity", "score", ""], rows))
        plt = page.pyplot()
        strongest = sorted(found, key=lambda one: -float(one["score"]))[:_DRAWN]
        parts += [_case(plt, one, tracks) for one in strongest]
    else:
        parts.append(f"<p>{html.escape('No pair was pushed as the parameters ask.')}</p>\n")
    return page.write(folder, "cross-market.html", "Cross-market: one pushed for the sake of another", parts)


def _case(plt: Any, one: dict[str, Any], tracks: dict[str, Track]) -> str:
    """Paths in percent, and net bought volume of a second, around the decision."""
    decided = from_rfc3339(one["decided"]) // NANOS
    figure, axes = plt.subplots(3, 1, figsize=(10, 5), sharex=True, height_ratios=(3, 1, 1))
    for place, name in enumerate((one["pushed"], one["follower"]), start=1):
        track = tracks[name]
        near = (track.seconds >= decided - _BEFORE_S) & (track.seconds < decided + _AFTER_S)
        seconds, rows = track.seconds[near] - decided, track.rows[near]
        path = 100.0 * np.cumsum(np.nan_to_num(rows[:, 0]))
        axes[0].plot(seconds, path, lw=1, label=f"{name} ({'pushed' if place == 1 else 'follower'})")
        axes[place].bar(seconds, np.nan_to_num(rows[:, 2]), width=1.0, color=f"C{place - 1}")
        axes[place].set_ylabel("net units")
    axes[0].axvline(0.0, color="#c0392b", lw=0.8)
    axes[0].set_ylabel("path, %")
    axes[0].legend(fontsize=8)
    axes[2].set_xlabel("s from the decision")
    return page.picture(figure, f"{one['decided'][:19]}Z {one['pushed']} and {one['follower']}")
