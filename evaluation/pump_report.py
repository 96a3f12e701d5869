"""The report of `evaluate pumps`: each stream's prices with all alerts, each case near, and the delays."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evaluation import pump_page as page
from evaluation.pump_streams import PumpAlert, Stream
from tapewatch.clock import NANOS

_NEAR_S = 600


def write_report(
    folder: Path,
    document: dict[str, Any],
    streams: Sequence[Stream],
    engine: Sequence[Sequence[PumpAlert]],
    alone: Sequence[Sequence[PumpAlert]],
) -> Path:
    """Write pumps.html; returns its path."""
    plt = page.pyplot()
    parts = [_table(document), _delays(plt, document)]
    for stream, ours, trees in zip(streams, engine, alone, strict=True):
        parts.append(_whole(plt, stream, ours, trees))
        cases = {stream.announced_ns // NANOS: "announcement"}
        for alert in (*ours, *trees):
            if abs(alert.decided_ns - stream.announced_ns) > _NEAR_S * NANOS:
                cases[alert.decided_ns // NANOS] = "false alert"
        parts += [_near(plt, stream, at, what, ours, trees) for at, what in sorted(cases.items())]
    return page.write(folder, "pumps.html", "Announced pumps in raw trades", parts)


def _table(document: dict[str, Any]) -> str:
    rows = []
    for name, found in (("engine", document), ("pump model alone", document["detector"])):
        rows += [
            [name, one["stream"], one["delay_s"], one["false_alerts"], f"{one['symbol_days']:.1f}"]
            for one in found["streams"]
        ]
    return page.table(["what", "stream", "delay, s (None: missed)", "false alerts", "symbol-days"], rows)


def _delays(plt: Any, document: dict[str, Any]) -> str:
    figure, axes = plt.subplots(figsize=(8, 2.5))
    for row, found in enumerate((document, document["detector"])):
        delays = [one["delay_s"] for one in found["streams"] if one["detected"]]
        axes.plot(delays, [row] * len(delays), "o")
    axes.set_yticks([0, 1], ["engine", "model"])
    axes.set_ylim(-0.5, 1.5)
    axes.set_xlabel("s from announcement to decision")
    return page.picture(figure, "Delays")


def _whole(plt: Any, stream: Stream, engine: Sequence[PumpAlert], alone: Sequence[PumpAlert]) -> str:
    days = (stream.rows.ts_recv - stream.announced_ns) / NANOS / 86_400.0
    figure, axes = plt.subplots(figsize=(10, 3))
    axes.plot(days, stream.rows.columns["price"], lw=0.5, color="0.4")
    _mark(axes, stream, engine, alone, 86_400.0)
    axes.set_xlabel("days from the announcement")
    return page.picture(figure, f"{stream.name}: the whole stream")


def _near(
    plt: Any, stream: Stream, at_s: int, what: str, engine: Sequence[PumpAlert], alone: Sequence[PumpAlert]
) -> str:
    seconds = (stream.rows.ts_recv - stream.announced_ns) / NANOS
    middle = at_s - stream.announced_ns / NANOS
    shown = np.abs(seconds - middle) <= _NEAR_S
    figure, axes = plt.subplots(figsize=(10, 3))
    buys = stream.rows.columns["aggressor_side"] > 0
    for side, colour in ((buys, "tab:green"), (~buys, "tab:red")):
        axes.plot(seconds[shown & side], stream.rows.columns["price"][shown & side], ".", ms=2, color=colour)
    _mark(axes, stream, engine, alone, 1.0)
    axes.set_xlim(middle - _NEAR_S, middle + _NEAR_S)
    axes.set_xlabel("s from the announcement (buys green, sells red)")
    return page.picture(figure, f"{stream.name}: {what}")


def _mark(axes: Any, stream: Stream, engine: Sequence[PumpAlert], alone: Sequence[PumpAlert], unit_s: float) -> None:
    axes.axvline(0.0, color="black", lw=0.8, ls=":")
    for alerts, colour, name in ((engine, "tab:orange", "engine"), (alone, "tab:blue", "model")):
        for number, alert in enumerate(alerts):
            at = (alert.decided_ns - stream.announced_ns) / NANOS / unit_s
            axes.axvline(at, color=colour, lw=1.0, label=name if number == 0 else None)
    if engine or alone:
        axes.legend(loc="upper left")
    axes.set_ylabel("price")
