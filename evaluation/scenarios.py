"""`tapewatch evaluate scenarios`: what the shipped detectors find of labelled manipulation in a market's files.

The files go through the engine as a live feed would, with the shipped models and thresholds; nothing is trained or
tuned on them. A scenario's score is that of the detector of the same name; where there is none the K-means score stands
in (`score_of` says so) and the scenario is named under `not_assessed`. The score of `all` is the largest calibrated
probability over detectors.
"""

import argparse
import hashlib
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from detectors.scenarios.library import SCENARIOS
from evaluation.scenario_figures import (
    MARGIN_S,
    STAND_IN_SCENARIO,
    ScenarioAlert,
    alerting,
    calibrated,
    detector_of,
    overlapping,
    scored_seconds,
    separation,
)
from evaluation.scenario_labels import Event, read_labels
from evaluation.scenario_market import FILES, MarketRun, read_market, run_market
from tapewatch.clock import NANOS
from tapewatch.contract.messages import from_rfc3339
from tapewatch.errors import TapewatchError
from tapewatch.settings import Settings


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the market, its labels and the seed of the intervals."""
    parser.epilog = "example: tapewatch evaluate scenarios --market market/ --labels market/labels.csv --json"
    names = ", ".join(sorted(FILES.values()))
    parser.add_argument("--market", type=Path, required=True, metavar="DIR", help=f"folder with {names} (any of them)")
    parser.add_argument("--labels", type=Path, required=True, metavar="CSV", help="scenario,instrument,start,end (UTC)")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap intervals")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Run the market through the engine and print the figures."""
    events = read_labels(args.labels)
    rows = read_market(args.market)
    print(f"{sum(map(len, rows)):,} rows, {len(events)} labelled events", file=sys.stderr)
    result = run_market(rows)
    document = {
        "evaluate": "scenarios",
        "data": _data(args.market, args.labels),
        "rows": {part.type.label: len(part) for part in rows},
        "refused": result.refused,
        **figures(result, events, args.seed),
        "configuration": result.configuration,
        "models": result.models,
        "build": result.build,
        "seed": args.seed,
    }
    encoded = msgspec.json.encode(document)
    if args.out:
        args.out.write_bytes(encoded + b"\n")
    if args.report:
        from evaluation.scenario_report import write_report

        print(write_report(args.report, document, result, rows, events, alerts_said(result)), file=sys.stderr)
    print(encoded.decode() if args.json else text(document))
    return 0


def figures(result: MarketRun, events: Sequence[Event], seed: int) -> dict[str, Any]:
    """`all` and one object a labelled scenario, `not_assessed`, and the alerts by scenario."""
    names = sorted({event.scenario for event in events})
    unwatched = sorted({event.instrument for event in events} - set(result.instruments))
    if unwatched:
        raise TapewatchError(f"{unwatched[0]} is labelled, but the market has no rows of it", "Correct the labels.")
    said = alerts_said(result)
    hours = float((~overlapping(scored_seconds(result, ()), events, MARGIN_S)).sum()) / 3600.0
    found: dict[str, Any] = {"all": _one(result, calibrated(result), events, events, said, hours, seed)}
    for name in names:
        own = [event for event in events if event.scenario == name]
        mine = [each for each in said if each.scenario == alert_of(result, name)]
        found[name] = _one(result, detector_of(result, name), own, events, mine, hours, seed)
        found[name]["alerts_of"] = alert_of(result, name)
    return {
        **found,
        "not_assessed": [name for name in names if alert_of(result, name) != name and name not in result.scores],
        "alerts": dict(sorted(Counter(each.scenario for each in said).items())),
        "detectors": sorted(result.scores),
        "instrument_hours_outside": hours,
    }


def alerts_said(result: MarketRun) -> list[ScenarioAlert]:
    """The alerts that opened, in the order of the log."""
    return [
        ScenarioAlert(alert.scenario, alert.instrument, from_rfc3339(alert.decided) / NANOS) for alert in result.alerts
    ]


def alert_of(result: MarketRun, scenario: str) -> str:
    """The scenario whose alerts are counted: itself where the engine knows it, else the stand-in's."""
    known = scenario in SCENARIOS or scenario in result.scores or any(one.scenario == scenario for one in result.alerts)
    return scenario if known else STAND_IN_SCENARIO


def _one(
    result: MarketRun,
    detectors: tuple[str, ...],
    own: Sequence[Event],
    every: Sequence[Event],
    said: Sequence[ScenarioAlert],
    hours: float,
    seed: int,
) -> dict[str, Any]:
    return {
        "events": len(own),
        "score_of": list(detectors),
        **separation(scored_seconds(result, detectors), own, every, seed),
        **alerting(said, own, every, hours),
    }


def _data(market: Path, labels: Path) -> dict[str, str]:
    """sha256 of every file that was read."""
    paths = [market / name for name in FILES.values() if (market / name).is_file()]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (*paths, labels)}


def text(document: dict[str, Any]) -> str:
    """The figures as a table for people."""
    lines = [f"{'':20} {'events':>6} {'recall':>18} {'false/h':>22} {'AUROC':>18} {'recall at 1 %':>18} {'delay s':>8}"]
    for name, own in document.items():
        if isinstance(own, dict) and "auroc" in own:
            delay = own["median_delay_s"]
            lines.append(
                f"{name:20} {own['events']:>6} {_cell(own['event_recall']):>18} "
                f"{_cell(own['false_alerts_per_instrument_hour']):>22} {_cell(own['auroc']):>18} "
                f"{_cell(own['event_recall_at_1pct']):>18} {'-' if delay is None else f'{delay:.1f}':>8}"
            )
    if document["not_assessed"]:
        lines.append(f"not assessed (no detector, K-means stands in): {', '.join(document['not_assessed'])}")
    lines.append(f"alerts: {', '.join(f'{name} {count}' for name, count in document['alerts'].items()) or 'none'}")
    return "\n".join(lines)


def _cell(value: dict[str, float | None]) -> str:
    mean, low, high = value["mean"], value["low"], value["high"]
    if mean is None:
        return "-"
    return f"{mean:.3f}" if low is None or high is None else f"{mean:.3f} [{low:.3f}, {high:.3f}]"
