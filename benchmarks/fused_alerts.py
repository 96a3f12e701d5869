"""False alerts of `fused_anomaly` in the engine, by the odds it asks for: `python -m benchmarks.fused_alerts`.

Usual synthetic markets with their look-alikes, through the brokerless driver with all shipped models. An alert that
overlaps an injected manipulation of its instrument, up to a minute after its end, is a true one.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.training_data import START_NS, WARMUP_S, market_config
from detectors.scenarios.fused_anomaly import NAME, Parameters
from evaluation import intervals
from producers.synthetic import Label, SyntheticMarket
from streams.driver import Driver
from streams.engine.detector_config import DetectorConfig
from streams.engine.models import ActiveModels, ModelStore
from tapewatch.clock import NANOS
from tapewatch.contract import messages, topics
from tapewatch.contract.messages import Alert, from_rfc3339
from tapewatch.market_log.registry import FixedRegistry

CHOSEN_ON, COUNTED_ON = (9311, 9312), (9321, 9322)
SECONDS = 2400
MARKETS = ((2.0, 300), (0.2, 300), (20.0, 100))
"""Rows a second and instrument, and instruments, of the markets of a seed."""
AFTER_NS = 60 * NANOS
_TAKE_CHUNKS = 100
COMMAND = "python -m benchmarks.fused_alerts --out docs/results/fused-alerts.json"


def opened(market: SyntheticMarket, ratios: Sequence[float]) -> dict[float, list[Alert]]:
    """First revisions of the scenario's alerts on one market, by the odds ratio asked for."""
    shelf = ModelStore()
    models = ActiveModels.default(shelf).models
    drivers = {}
    for ratio in ratios:
        config = DetectorConfig(fused_anomaly=Parameters(odds_ratio=ratio))
        drivers[ratio] = Driver(FixedRegistry(market.instruments), force=ActiveModels(shelf, models, config))
    found: dict[float, list[Alert]] = {ratio: [] for ratio in ratios}
    for number, chunk in enumerate(market.chunks(), start=1):
        for ratio, driver in drivers.items():
            driver.heartbeat(chunk.end_ns // NANOS - 1)
            for rows in sorted(chunk.rows, key=lambda each: each.type):
                if len(rows):
                    driver.send(rows)
            if number % _TAKE_CHUNKS == 0:
                found[ratio] += _first(driver)
    return {ratio: alerts + _first(drivers[ratio]) for ratio, alerts in found.items()}


def _first(driver: Driver) -> list[Alert]:
    alerts = [messages.decode(Alert, one.value) for one in driver.task.take() if one.topic == topics.ALERTS]
    return [alert for alert in alerts if alert.scenario == NAME and alert.revision == 0]


def is_true(alert: Alert, labels: Sequence[Label]) -> bool:
    """Whether an injected manipulation explains it."""
    return any(
        label.labelled
        and label.instrument == alert.instrument
        and label.start_ns <= from_rfc3339(alert.decided)
        and from_rfc3339(alert.onset) <= label.end_ns + AFTER_NS
        for label in labels
    )


def measure(seeds: Sequence[int], ratios: Sequence[float], seconds: int = SECONDS) -> dict[str, Any]:
    """True and false alerts by odds ratio over the markets of all seeds, and how long was watched."""
    counts: Counter[tuple[float, bool]] = Counter()
    days = 0.0
    for seed in seeds:
        for rate, instruments in MARKETS:
            market = SyntheticMarket(market_config(instruments, seconds, rate=rate), seed, START_NS)
            for ratio, alerts in opened(market, ratios).items():
                counts.update((ratio, is_true(alert, market.labels())) for alert in alerts)
            days += instruments * (seconds - WARMUP_S) / 86_400
            print(f"seed {seed}, {rate:g} rows/s: {days:.1f} instrument-days so far", file=sys.stderr, flush=True)
    return {
        "bench": "fused alerts",
        "command": f"{COMMAND} --seeds {shown(seeds)} --ratios {shown(ratios)}",
        "seeds": list(seeds),
        "instrument_days": days,
        "by_odds_ratio": {
            f"{ratio:g}": {
                "true": counts[ratio, True],
                "false": counts[ratio, False],
                "false_per_instrument_day": intervals.poisson_rate(counts[ratio, False], days),
            }
            for ratio in ratios
        },
    }


def shown(numbers: Sequence[float]) -> str:
    """Numbers as words of a command."""
    return " ".join(f"{number:g}" for number in numbers)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fused_alerts", description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=COUNTED_ON, help="default: those it was not chosen on")
    parser.add_argument("--ratios", type=float, nargs="+", default=(1.0, Parameters().odds_ratio), help="odds ratios")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the JSON document to a file too")
    parser.epilog = f"example: {COMMAND}"
    args = parser.parse_args()
    encoded = msgspec.json.encode(measure(args.seeds, args.ratios))
    if args.out:
        args.out.write_bytes(encoded + b"\n")
    print(encoded.decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
