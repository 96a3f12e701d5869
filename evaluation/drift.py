"""`tapewatch evaluate drift`: whether what the detectors see over a stored history still is what they were made on.

It warns and changes nothing. Scores come from the feature rows of a brokerless engine, all of them, where the topic
`scores` has only those from half the odds that alert; history is scored hour by hour.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from detectors import registry
from detectors.autoencoder import batch
from detectors.autoencoder import inputs as network_inputs
from detectors.autoencoder.model import AutoencoderModel
from detectors.drift import MODERATE, STRONG
from detectors.isolation import training as isolation
from detectors.isolation.model import IsolationModel
from detectors.kmeans.sample import Sample, build
from detectors.monitors import HOUR_S, Monitor, Reference
from evaluation import history_features
from evaluation.history_features import History, Partition, Span
from evaluation.replayed import on_stderr, silent
from evaluation.what_if import add_history, finish, in_force, opened
from streams.engine.models import ModelStore
from tapewatch.clock import NANOS
from tapewatch.errors import TapewatchError
from tapewatch.rfc3339 import to_rfc3339
from tapewatch.settings import Settings

F8 = npt.NDArray[np.float64]
I8 = npt.NDArray[np.int64]
Watched = AutoencoderModel | IsolationModel


class Rows(NamedTuple):
    """Feature rows. instruments : object[rows] of texts; seconds : int64[rows], of the epoch; values : by name"""

    instruments: npt.NDArray[np.object_]
    seconds: I8
    values: dict[str, F8]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the history and the rate of false discoveries."""
    parser.epilog = (
        "example: tapewatch evaluate drift --feed binance --from 2026-11-01 --rate 0.1\n"
        f"A stability index from {MODERATE} is worth a look, from {STRONG} the model should be trained anew."
    )
    parser.add_argument(
        "--rate", type=float, default=0.1, metavar="SHARE",
        help="false discovery rate held over blocks of ten minutes and instrument (default: 0.1)",
    )  # fmt: skip
    add_history(parser)


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Score the history and print what has drifted."""
    if not 0.0 < args.rate < 1.0:
        raise TapewatchError(f"--rate {args.rate} is not between 0 and 1", "Leave it out: 0.1.")
    shelf, found, _ = in_force(settings, need_kafka=args.market is None)
    models = watched(shelf, found)
    history, span = opened(args, settings, shelf)
    try:
        monitors, rows = measured(history, span, models, args.rate, on_stderr())
    finally:
        history.close()
    document = {
        "evaluate": "drift",
        "history": history.where,
        "from": to_rfc3339(span.start_ns),
        "to": to_rfc3339(span.end_ns),
        "feature_rows": rows,
        "rate": args.rate,
        "detectors": {name: described(models[name], monitor) for name, monitor in monitors.items()},
    }
    for name, monitor in monitors.items():
        if monitor.verdict in ("moderate", "strong"):
            sys.stderr.write(
                f"warning: {name}: {monitor.verdict} drift, stability index {monitor.index:.2f}\n"
                f"  next: train {name} on rows of this market, then `tapewatch models promote`\n"
            )
    return finish(args, document, lambda folder: _report(folder, document), lines)


def watched(shelf: ModelStore, found: Mapping[str, str]) -> dict[str, Watched]:
    """The models in force that keep a reference, by detector; TapewatchError where there is none."""
    models = {name: registry.read(shelf.find(wanted)).model for name, wanted in sorted(found.items())}
    kept = {name: model for name, model in models.items() if isinstance(model, Watched) and reference(model).edges}
    if not kept:
        raise TapewatchError(
            "no model in force keeps a reference of its scores", "Promote an autoencoder or an isolation forest."
        )
    return kept


def reference(model: Watched) -> Reference:
    """What the model's file keeps of usual rows."""
    held = model.described if isinstance(model, AutoencoderModel) else model
    return Reference(held.drift_edges, held.drift_shares, held.conformal, held.conformal_rows)


def measured(
    history: History,
    span: Span,
    models: Mapping[str, Watched],
    rate: float,
    say: Callable[[int, int], None] = silent,
) -> tuple[dict[str, Monitor], int]:
    """Monitors of the models after the history, and how many feature rows they saw. Partitions follow each other."""
    monitors = {name: Monitor(reference(model), rate) for name, model in models.items()}
    names = tuple(sorted({name for model in models.values() for name in inputs(model)}))
    count = 0
    for partition in history.partitions(span):
        for monitor in monitors.values():
            monitor.begin()
        for start, rows in hours(partition, span, names, say):
            sample = build(rows.instruments, rows.seconds, names, np.column_stack([rows.values[one] for one in names]))
            owner = np.repeat(np.unique(rows.instruments.astype(str)), np.diff(sample.starts)).astype(object)
            count += len(sample)
            for name, model in models.items():
                monitors[name].hour(start, sample.steps, owner, scores(model, sample))
    return monitors, count


def inputs(model: Watched) -> tuple[str, ...]:
    """Features that a model reads."""
    return tuple(network_inputs.SOURCES) if isinstance(model, AutoencoderModel) else model.inputs


def scores(model: Watched, sample: Sample) -> F8:
    """Raw scores, float64[rows]; NaN where not assessable."""
    if isinstance(model, AutoencoderModel):
        return batch.score_rows(model.network(sample.names), sample)
    return isolation.score_rows(model, sample)


def hours(
    partition: Partition, span: Span, names: tuple[str, ...], say: Callable[[int, int], None]
) -> Iterator[tuple[int, Rows]]:
    """The partition's feature rows within the span, an hour at a time."""
    parts: list[Rows] = []
    for columns in history_features.tables(partition, span, say):
        parts += _within(columns, span, names)
        while parts and parts[-1].seconds[-1] // HOUR_S > parts[0].seconds[0] // HOUR_S:
            start, whole, parts = _first_hour(parts)
            yield start, whole
    while parts:
        start, whole, parts = _first_hour(parts)
        yield start, whole


def _within(columns: dict[str, Any], span: Span, names: tuple[str, ...]) -> list[Rows]:
    """The rows of the span, none where there is none."""
    # A row is stamped with the end of its second.
    seconds = columns["ts"] // NANOS - 1
    keep = (seconds >= span.start_ns // NANOS) & (seconds < span.end_ns // NANOS)
    if not keep.any():
        return []
    values = {name: columns[name][keep].astype(np.float64) for name in names}
    return [Rows(columns["instrument"][keep], seconds[keep], values)]


def _first_hour(parts: list[Rows]) -> tuple[int, Rows, list[Rows]]:
    """Begin of the earliest hour, its rows, and what is left."""
    rows = Rows(
        np.concatenate([part.instruments for part in parts]),
        np.concatenate([part.seconds for part in parts]),
        {name: np.concatenate([part.values[name] for part in parts]) for name in parts[0].values},
    )
    hour = int(rows.seconds.min()) // HOUR_S
    mine = rows.seconds // HOUR_S == hour
    left = [_where(rows, ~mine)] if not mine.all() else []
    return hour * HOUR_S, _where(rows, mine), left


def _where(rows: Rows, keep: npt.NDArray[np.bool_]) -> Rows:
    return Rows(rows.instruments[keep], rows.seconds[keep], {name: each[keep] for name, each in rows.values.items()})


def described(model: Watched, monitor: Monitor) -> dict[str, Any]:
    """What a monitor found, as the result has it."""
    return {
        "model": model.hash,
        "rows": int(monitor.counts.sum()),
        "stability_index": None if np.isnan(monitor.index) else monitor.index,
        "verdict": monitor.verdict,
        "hours": [
            {"from": to_rfc3339(hour.start * NANOS), "rows": hour.rows, "stability_index": hour.stability}
            for hour in monitor.hours
        ],
        "mean_moved": [to_rfc3339(second * NANOS) for second in monitor.moved],
        "reference": list(monitor.reference.shares),
        "shares": (monitor.counts / max(monitor.counts.sum(), 1.0)).tolist(),
        "tests": monitor.tests,
        "discoveries": [
            {"instrument": one.instrument, "from": to_rfc3339(one.block * NANOS), "p": one.p, "score": one.score}
            for one in monitor.discoveries
        ],
    }


def lines(document: dict[str, Any]) -> str:
    """The result for a terminal."""
    text = [f"{document['feature_rows']:,} feature rows, {document['from']} to {document['to']}"]
    for name, found in document["detectors"].items():
        index = found["stability_index"]
        shown = "no score" if index is None else f"stability index {index:.3f}, {found['verdict']} drift"
        text.append(f"{name:20s} {shown}; mean moved {len(found['mean_moved'])} times")
        held = f"at most {document['rate']:.0%} of them false"
        held = "their rate does not hold: usual rows are others now" if found["verdict"] == "strong" else held
        text.append(
            f"{'':20s} {len(found['discoveries'])} discoveries in {found['tests']:,} blocks of ten minutes, {held}"
        )
        text += [
            f"{'':22s}{one['from'][:16]}Z {one['instrument']} p {one['p']:.2g}" for one in found["discoveries"][:20]
        ]
    return "\n".join(text)


def _report(folder: Path, document: dict[str, Any]) -> Path:
    from evaluation.drift_report import write_report

    return write_report(folder, document)
