"""Missed and false cases of `evaluate scenarios`, each drawn with prices, the ten levels, scores and alerts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evaluation import pump_page as page
from evaluation.scenario_figures import MARGIN_S, ScenarioAlert, calibrated, detector_of, scored_seconds
from evaluation.scenario_labels import Event
from evaluation.scenario_market import MarketRun
from tapewatch.clock import NANOS
from tapewatch.contract.rows import Column, Rows, RowType

AROUND_S = 20.0
DRAWN = 60
"""Most cases of each kind that are drawn; the page says how many there are."""


@dataclass(frozen=True, slots=True)
class Case:
    """A missed event or a false alert. start, end : UTC s; scores : detectors whose score is drawn"""

    kind: str
    scenario: str
    instrument: str
    start: float
    end: float
    scores: tuple[str, ...]


def detects(said: ScenarioAlert, event: Event) -> bool:
    """Whether an alert of its instrument comes between an event's start and `MARGIN_S` after its end."""
    return said.instrument == event.instrument and event.start <= said.decided <= event.end + MARGIN_S


def delays(said: Sequence[ScenarioAlert], events: Sequence[Event]) -> list[float]:
    """Seconds from the start of each found event to its first alert."""
    found = ([each.decided - event.start for each in said if detects(each, event)] for event in events)
    return [min(times) for times in found if times]


def false_alerts(said: Sequence[ScenarioAlert], events: Sequence[Event]) -> list[ScenarioAlert]:
    """Alerts farther than `MARGIN_S` from every event of their instrument."""
    return [
        each
        for each in said
        if not any(
            each.instrument == event.instrument and event.start - MARGIN_S <= each.decided <= event.end + MARGIN_S
            for event in events
        )
    ]


def pictures(
    plt: Any,
    document: dict[str, Any],
    result: MarketRun,
    rows: Sequence[Rows],
    events: Sequence[Event],
    said: Sequence[ScenarioAlert],
) -> list[str]:
    """Headings and drawings of the missed, then of the false cases."""
    missed = []
    for event in events:
        counted = document[event.scenario]["alerts_of"]
        if not any(each.scenario == counted and detects(each, event) for each in said):
            scores = detector_of(result, event.scenario)
            missed.append(Case("missed", event.scenario, event.instrument, event.start, event.end, scores))
    false = [
        Case("false", each.scenario, each.instrument, each.decided - 1.0, each.decided, calibrated(result))
        for each in false_alerts(said, events)
    ]
    parts = []
    for name, found in (("Missed", missed), ("False", false)):
        drawn = f", the first {DRAWN} drawn" if len(found) > DRAWN else ""
        parts.append(page.table([f"{name} cases"], [[f"{len(found)}{drawn}"]]))
        parts += [_draw(plt, case, result, rows, events, said) for case in found[:DRAWN]]
    return parts


def _draw(
    plt: Any,
    case: Case,
    result: MarketRun,
    rows: Sequence[Rows],
    events: Sequence[Event],
    said: Sequence[ScenarioAlert],
) -> str:
    low, high = case.start - AROUND_S, case.end + AROUND_S
    figure, (price, depth, score) = plt.subplots(
        3, 1, figsize=(9, 5), sharex=True, gridspec_kw={"height_ratios": [3, 2, 1.3]}
    )
    by_type = {part.type: _window(part, case.instrument, low, high) for part in rows}
    _prices(price, by_type, case.start)
    _depths(depth, by_type.get(RowType.BOOK), case.start)
    seconds = scored_seconds(result, case.scores)
    near = (seconds.instrument == result.instruments.index(case.instrument)) & (seconds.second >= low)
    near &= seconds.second <= high
    score.step(seconds.second[near] + 1 - case.start, seconds.score[near], where="pre", color="tab:purple", lw=1)
    score.set_ylabel("score")
    score.set_xlabel("s from the start")
    for axes in (price, depth, score):
        for event in events:
            if event.instrument == case.instrument and event.end >= low and event.start <= high:
                axes.axvspan(event.start - case.start, event.end - case.start, color="tab:orange", alpha=0.18, lw=0)
        for each in said:
            if each.instrument == case.instrument and low <= each.decided <= high:
                axes.axvline(each.decided - case.start, color="tab:red", lw=1)
    score.set_xlim(low - case.start, high - case.start)
    moment = np.datetime64(round(case.start * 1e3), "ms")
    return page.picture(figure, f"{case.kind}: {case.scenario}, {case.instrument}, {moment}Z")


def _window(rows: Rows, instrument: str, low: float, high: float) -> dict[str, Column]:
    first, last = np.searchsorted(rows.ts_recv, [int(low * NANOS), int(high * NANOS)])
    index = np.arange(first, last)
    if instrument not in rows.instruments:
        index = index[:0]
    else:
        index = index[rows.columns["instrument"][index] == rows.instruments.index(instrument)]
    return {name: column[index] for name, column in rows.columns.items()}


def _prices(axes: Any, by_type: dict[RowType, dict[str, Column]], start: float) -> None:
    quotes, trades = by_type.get(RowType.QUOTE), by_type.get(RowType.TRADE)
    if quotes is not None:
        at = quotes["ts_recv"] / NANOS - start
        for name, colour in (("bid_price", "tab:blue"), ("ask_price", "tab:red")):
            axes.step(at, quotes[name], where="post", color=colour, lw=0.7)
    if trades is not None:
        axes.plot(trades["ts_recv"] / NANOS - start, trades["price"], ".", ms=2, color="0.3")
    axes.set_ylabel("price")


def _depths(axes: Any, books: dict[str, Column] | None, start: float) -> None:
    """Quantity on the visible levels, bids above and asks below zero."""
    if books is not None:
        at = books["ts_recv"] / NANOS - start
        for name, sign, colour in (("bid_qty", 1.0, "tab:blue"), ("ask_qty", -1.0, "tab:red")):
            axes.fill_between(at, sign * np.nansum(books[name], axis=1), step="post", color=colour, alpha=0.5, lw=0)
    axes.set_ylabel("depth")
