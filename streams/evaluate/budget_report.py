"""The report of `evaluate budget`: what each multiple of the thresholds would open, and alerts before and after."""

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from streams.evaluate import pump_page as page
from streams.evaluate.changes import keys_of

_SHOWN = 12
"""Scenarios drawn at most, those that open most first; the table has all."""


def write_report(folder: Path, document: dict[str, Any]) -> Path:
    """Write budget.html; returns its path. document : what the command prints as JSON"""
    parts = [_summary(document)]
    drawn = sorted(document["scenarios"], key=lambda one: -int(one["alerts_at_steps"][0]))[:_SHOWN]
    if drawn:
        plt = page.pyplot()
        parts += [_ladder(plt, document, drawn), _before_and_after(plt, drawn), _scenarios(document)]
    else:
        parts.append("<p>Over this history no scenario opened an alert: there is nothing to set.</p>\n")
    parts.append(_proposal(document))
    return page.write(folder, "budget.html", "Alert budget: thresholds proposed", parts)


def _summary(document: Mapping[str, Any]) -> str:
    rows: list[list[object]] = [
        ["history", document["history"]],
        ["span", f"{document['from']} to {document['to']}"],
        ["instrument-days", f"{document['instrument_days']:.3g}"],
        ["budget, alerts an instrument-day", f"{document['per_instrument_day']:g}"],
    ]
    for side, title in (("in_force", "in force"), ("proposed", "as proposed")):
        found = document[side]
        rate = found["alerts_per_instrument_day"]
        shown = f": {rate['mean']:.3g} an instrument-day ({rate['low']:.3g} to {rate['high']:.3g})" if rate else ""
        rows.append([f"{title} ({found['configuration']})", f"{found['alerts']} alerts{shown}"])
    return page.table(["what", ""], rows)


def _label(one: Mapping[str, Any]) -> str:
    return f"{one['scenario']}, {one['class']}" if one["class"] else str(one["scenario"])


def _ladder(plt: Any, document: Mapping[str, Any], drawn: Sequence[Mapping[str, Any]]) -> str:
    """Alerts of each scenario over the multiples tried, a cross where the proposal lies."""
    figure, axes = plt.subplots(figsize=(10, 4.5))
    for one in drawn:
        (line,) = axes.plot(document["steps"], one["alerts_at_steps"], "o-", ms=3, lw=1, label=_label(one))
        axes.plot(one["multiple"], one["alerts_proposed"], "x", ms=9, mew=2, color=line.get_color())
    axes.set_xscale("log", base=2)
    axes.set_yscale("symlog", linthresh=1.0)
    axes.set_xlabel("multiple of the thresholds in force; x: proposed")
    axes.set_ylabel("alerts over the history")
    axes.legend(fontsize=8)
    return page.picture(figure, "What each multiple opens")


def _before_and_after(plt: Any, drawn: Sequence[Mapping[str, Any]]) -> str:
    figure, axes = plt.subplots(figsize=(10, 0.45 * len(drawn) + 1.2))
    for shift, key, title in ((-0.2, "alerts_in_force", "in force"), (0.2, "alerts_proposed", "as proposed")):
        axes.barh([place + shift for place in range(len(drawn))], [one[key] for one in drawn], 0.38, label=title)
    axes.set_yticks(range(len(drawn)), [_label(one) for one in drawn])
    axes.invert_yaxis()
    axes.set_xlabel("alerts over the history")
    axes.legend()
    return page.picture(figure, "Alerts before and after")


def _scenarios(document: Mapping[str, Any]) -> str:
    rows = [
        [
            _label(one),
            f"{one['multiple']:g}",
            one["alerts_in_force"],
            one["alerts_proposed"],
            "the last step tried still opens more than its part" if one["at_end_of_ladder"] else "",
        ]
        for one in document["scenarios"]
    ]
    return page.table(["scenario", "multiple", "alerts in force", "as proposed", ""], rows)


def _proposal(document: Mapping[str, Any]) -> str:
    """The keys that would change."""
    rows = [[key, document["replaces"][key], value] for key, value in keys_of(document["proposal"])]
    if not rows:
        return "<p>The thresholds in force keep the budget: nothing to change.</p>\n"
    note = "`tapewatch config apply FILE --why TEXT` brings them into force; `tapewatch evaluate what-if` tries them."
    return page.table(["key", "in force", "proposed"], rows) + f"<p>{html.escape(note)}</p>\n"
