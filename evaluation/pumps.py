"""`tapewatch evaluate pumps`: announced pumps in days of raw trades: found or not, how soon, how many false alerts.

The trades go through the engine as they are; `engine` figures count the alerts of its scenario `pump_and_dump`, and
`detector` figures those of the pump model alone over the same trades. Nothing is trained or tuned on them.
"""

import argparse
import hashlib
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from detectors.pumps.model import shipped
from evaluation import intervals
from evaluation.pump_streams import PumpAlert, Stream, detector_alerts, engine_alerts, read_streams
from tapewatch.clock import NANOS
from tapewatch.settings import Settings

BEFORE_S, AFTER_S, FREE_S = 150, 120, 1800
"""An alert from 150 s before to 120 s after the announcement detects it; up to 30 min after it is not false."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the folder of streams."""
    parser.epilog = "example: tapewatch evaluate pumps --streams pumps/ --json --report report/"
    parser.add_argument(
        "--streams", type=Path, required=True, metavar="DIR", help="folder of SYMBOL_YYYY-MM-DDTHH.MM.csv.gz raw trades"
    )


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Run every stream and print the figures."""
    streams = read_streams(args.streams)
    model = shipped()
    engine: list[list[PumpAlert]] = []
    alone: list[list[PumpAlert]] = []
    facts: dict[str, Any] = {}
    spent = 0.0
    for stream in streams:
        began = time.perf_counter()
        opened, driver = engine_alerts(stream)
        spent += time.perf_counter() - began
        engine.append(opened)
        alone.append(detector_alerts(stream, model))
        force = driver.task.force
        facts = {"configuration": force.config_hash, "models": {**force.models, model.detector: model.hash}}
        print(f"{stream.name}: {len(stream.rows):,} trades, {stream.days:.1f} days", file=sys.stderr)
    document: dict[str, Any] = {
        "evaluate": "pumps",
        "data": {stream.name: _digest(args.streams / stream.name) for stream in streams},
        **figures(streams, engine),
        "rows_per_s": round(sum(len(stream.rows) for stream in streams) / spent),
        "detector": figures(streams, alone),
        **facts,
    }
    encoded = msgspec.json.encode(document)
    if args.out:
        args.out.write_bytes(encoded + b"\n")
    if args.report:
        from evaluation.pump_report import write_report

        print(write_report(args.report, document, streams, engine, alone), file=sys.stderr)
    print(encoded.decode() if args.json else text(document))
    return 0


def figures(streams: Sequence[Stream], opened: Sequence[Sequence[PumpAlert]]) -> dict[str, Any]:
    """Each stream's and the total figures, by the protocol above."""
    each = [judged(stream, alerts) for stream, alerts in zip(streams, opened, strict=True)]
    days = sum(one["symbol_days"] for one in each)
    delays = [one["delay_s"] for one in each if one["detected"]]
    return {
        "recall": intervals.share(len(delays), len(each)),
        "false_alerts": sum(one["false_alerts"] for one in each),
        "symbol_days": days,
        "false_alerts_per_symbol_day": intervals.poisson_rate(sum(one["false_alerts"] for one in each), days),
        "median_delay_s": statistics.median(delays) if delays else None,
        "streams": each,
    }


def judged(stream: Stream, opened: Sequence[PumpAlert]) -> dict[str, Any]:
    """One stream: whether the announced pump was found, how long after the announcement, and what else was reported."""
    delays = [(alert.decided_ns - stream.announced_ns) / NANOS for alert in opened]
    hits = [delay for delay in delays if -BEFORE_S <= delay <= AFTER_S]
    return {
        "stream": stream.name,
        "instrument": stream.instrument,
        "detected": bool(hits),
        "delay_s": hits[0] if hits else None,
        "false_alerts": sum(not -BEFORE_S <= delay <= FREE_S for delay in delays),
        "symbol_days": stream.days,
    }


def text(document: dict[str, Any]) -> str:
    """The figures as lines."""
    lines = []
    for name, found in (("engine", document), ("pump model alone", document["detector"])):
        recall, rate = found["recall"], found["false_alerts_per_symbol_day"]
        lines.append(
            f"{name}: {recall['mean']:.0%} found ({recall['low']:.0%} to {recall['high']:.0%}), "
            f"{rate['mean']:.3f} false alerts a symbol-day ({rate['low']:.3f} to {rate['high']:.3f}), "
            f"median delay {found['median_delay_s']} s"
        )
        for one in found["streams"]:
            said = f"found after {one['delay_s']:g} s" if one["detected"] else "missed"
            lines.append(f"  {one['stream']}: {said}, {one['false_alerts']} false in {one['symbol_days']:.1f} days")
    return "\n".join([*lines, f"{document['rows_per_s']:,} trades/s through the engine"])


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
