"""How well a proposed alert budget is kept: set on synthetic markets of some seeds, counted on others.

Run as `python -m benchmarks.alert_budget --json`; with `--out docs/results/alert-budget.json` it writes the result.
`--detectors` counts instead what K-means, autoencoder, isolation forest and fusion open at their own limits on markets
that these were not set on, for every kind of feed: one false alert an instrument and day is their budget.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from benchmarks.anomaly_peers import false_alerts_of, limits_of, rate_of
from benchmarks.document import give
from benchmarks.ship_models import markets
from benchmarks.ship_peers import KMEANS, Peer, chances, rows_of, score_of
from benchmarks.training_data import START_NS, WARMUP_S, market_config
from detectors import fusion
from detectors.autoencoder import model as autoencoder
from detectors.autoencoder import training
from detectors.feeds import FEEDS
from detectors.isolation import model as isolation
from detectors.kmeans import model as kmeans
from detectors.kmeans import training as kmeans_training
from detectors.model_file import content_hash
from evaluation import budget, intervals
from evaluation.history_features import Partition, Record, Span
from producers.synthetic import SyntheticMarket
from streams.driver import FOREVER_NS
from streams.engine.build import build_hash
from streams.engine.detector_config import DetectorConfig
from streams.engine.models import ActiveModels, ModelStore, shipped
from streams.engine.task import Task
from tapewatch.clock import NANOS
from tapewatch.contract import frames
from tapewatch.contract.frames import FrameHeaders
from tapewatch.contract.rows import Rows, heartbeat_rows
from tapewatch.market_log.registry import FixedRegistry

SET_ON, COUNTED_ON = (9101, 9102), (9201, 9202)
INSTRUMENTS, SECONDS, RATE = 100, 2400, 2.0
FACTOR = 2.0
"""Kept means within this factor of the budget, or below it."""
FRESH = (8501, 8502)
"""Of the detectors' own budgets."""
DETECTORS_COMMAND = "python -m benchmarks.alert_budget --detectors --out docs/results/detector-budgets.json"
COMMAND = "python -m benchmarks.alert_budget --out docs/results/alert-budget.json"


class SyntheticHistory:
    """Synthetic markets, one partition a seed."""

    def __init__(self, seeds: Sequence[int], seconds: int, rate: float) -> None:
        self.where = f"synthetic markets of seeds {', '.join(map(str, seeds))}"
        config = market_config(INSTRUMENTS, seconds, rate=rate)
        self._markets = [SyntheticMarket(config, seed, START_NS) for seed in seeds]
        self.span = Span(START_NS + int(WARMUP_S) * NANOS, START_NS + seconds * NANOS, WARMUP_S)

    def partitions(self, span: Span) -> Sequence[Partition]:
        """All of them."""
        return [MarketPartition(market) for market in self._markets]

    def kind(self, instrument: str) -> str:
        """By its reference data."""
        return next(each.kind for market in self._markets for each in market.instruments if each.id == instrument)

    def close(self) -> None:
        """Nothing is held."""


class MarketPartition:
    """One market as one partition, in frames as the brokerless driver makes them."""

    def __init__(self, market: SyntheticMarket) -> None:
        self._market = market
        self.name = market.fingerprint[:16]
        self.begin = f"without state, {WARMUP_S:.0f} s before the span"

    def task(self, force: ActiveModels) -> Task:
        """A new task."""
        return Task("market.synthetic", 0, FixedRegistry(self._market.instruments), force, build_hash())

    def records(self) -> Iterator[Record]:
        """The market's rows, second by second."""
        offset = 0
        for chunk in self._market.chunks():
            beat = heartbeat_rows(np.full(1, chunk.end_ns - NANOS, dtype=np.int64))
            for rows in (beat, *sorted(chunk.rows, key=lambda each: each.type)):
                if len(rows):
                    yield _record(rows, offset)
                    offset += 1


def _record(rows: Rows, offset: int) -> Record:
    headers = FrameHeaders(rows.type.label, "synthetic", 0, offset, 0).to_kafka()
    return Record(offset, frames.encode(rows), headers, FOREVER_NS)


def measure(wanted: float, seconds: int, rate: float) -> dict[str, Any]:
    """Propose on some seeds, count on others."""
    models = ModelStore(), {name: content_hash(data) for name, data in shipped().items()}
    config = DetectorConfig()
    known = SyntheticHistory(SET_ON, seconds, rate)
    proposal = budget.proposed(known, known.span, config, models, wanted)
    print(budget.text(proposal), file=sys.stderr)
    multiples = {(one["class"], one["scenario"]): one["multiple"] for one in proposal["scenarios"]}
    chosen = budget.multiplied(config, multiples)
    fresh = SyntheticHistory(COUNTED_ON, seconds, rate)
    found = budget.counts(fresh, fresh.span, [config, chosen], models)
    days = found.watched_s / 86_400.0
    rates = [intervals.poisson_rate(len(episodes), days) for episodes in found.episodes]
    return {
        "bench": "alert budget",
        "command": COMMAND,
        "budget": wanted,
        "data": f"{INSTRUMENTS} instruments x {seconds / 60:.0f} minutes a seed at {rate:g} rows/s",
        "set_on": {"seeds": SET_ON, "instrument_days": proposal["instrument_days"], **proposal["proposed"]},
        "counted_on": {
            "seeds": COUNTED_ON,
            "instrument_days": days,
            "in_force": {"alerts": len(found.episodes[0]), "alerts_per_instrument_day": rates[0]},
            "proposed": {"alerts": len(found.episodes[1]), "alerts_per_instrument_day": rates[1]},
        },
        "ratio_to_budget": rates[1]["mean"] / wanted,
        "kept_within_factor_of_two": rates[1]["mean"] <= FACTOR * wanted,
        "not_under_half_of_it": rates[1]["mean"] >= wanted / FACTOR,
        "proposal": proposal["proposal"],
    }


def detectors(cache: Path, seeds: Sequence[int]) -> dict[str, Any]:
    """False alerts of every detector on usual markets, by kind of feed, each at its own limit."""
    models: dict[str, Peer] = {
        "kmeans": kmeans.decode(KMEANS.read_bytes()),
        "autoencoder": autoencoder.shipped("stock"),
        "isolation": isolation.shipped(),
    }
    fused = fusion.shipped()
    scores = {name: score_of(model) for name, model in models.items()}
    limits = {name: dict(zip(FEEDS, limits_of(model), strict=False)) for name, model in models.items()}
    lacking = {"kmeans": kmeans_training.TIERS, "autoencoder": training.TIERS, "isolation": kmeans_training.TIERS}
    scores["fusion"] = lambda rows: fusion.fused(chances(list(models.values()), rows), fused)
    limits["fusion"], lacking["fusion"] = {FEEDS[0]: fused.alert}, {FEEDS[0]: ()}
    counted: dict[str, dict[str, list[float]]] = {name: {} for name in scores}
    for seed in seeds:
        rows = markets(cache, (seed,), 1.0, rows_of).rows
        for name, score in scores.items():
            for feed, limit in limits[name].items():
                given = rows.masked(lacking[name][feed]) if lacking[name][feed] else rows
                pair = false_alerts_of(score(given), given, limit)
                known = counted[name].get(feed, [0.0, 0.0])
                counted[name][feed] = [a + b for a, b in zip(known, pair, strict=True)]
        print(f"usual seed {seed} counted", file=sys.stderr, flush=True)
    return {
        "bench": "detectors' alert budgets",
        "command": DETECTORS_COMMAND,
        "budget": 1.0,
        "seeds": list(seeds),
        "models": {name: model.hash for name, model in models.items()} | {"fusion": fused.hash},
        "detectors": {name: {feed: rate_of(*pair) for feed, pair in by.items()} for name, by in counted.items()},
    }


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.alert_budget", description=__doc__)
    parser.add_argument("--budget", type=float, default=3.0, help="alerts an instrument and day (default: 3)")
    parser.add_argument("--seconds", type=int, default=SECONDS, help=f"of each market (default: {SECONDS})")
    parser.add_argument("--rate", type=float, default=RATE, help=f"rows a second and instrument (default: {RATE:g})")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON document")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the JSON document to a file too")
    parser.epilog = f"example: {COMMAND}"
    parser.add_argument("--detectors", action="store_true", help="what each detector opens at its own limits instead")
    parser.add_argument("--cache", type=Path, default=Path(".tapewatch/training"), help="keeps the markets' features")
    args = parser.parse_args()
    if args.detectors:
        give(detectors(args.cache, FRESH), args.out)
        return 0
    document = measure(args.budget, args.seconds, args.rate)
    encoded = msgspec.json.encode(document)
    if args.out:
        args.out.write_bytes(encoded + b"\n")
    there = document["counted_on"]["proposed"]
    said = (
        f"budget {args.budget:g}: {there['alerts']} alerts on other seeds, {document['ratio_to_budget']:.2f} times it"
    )
    print(encoded.decode() if args.json else said)
    return 0


if __name__ == "__main__":
    sys.exit(main())
