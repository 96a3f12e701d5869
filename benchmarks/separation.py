"""How well `pump_and_dump` tells pumps from news: injected pumps that alert, and news jumps that do, over seeds, with
intervals.

Run as `python -m benchmarks.separation --seeds 100-109 --json`. It uses the shipped code path (the brokerless driver)
with the shipped thresholds.
"""

import argparse
import sys
from dataclasses import asdict, dataclass, field

import msgspec
import numpy as np
from scipy.stats import beta

from producers.synthetic import SyntheticConfig, SyntheticMarket
from streams.driver import Driver, run_source
from tapewatch.clock import NANOS
from tapewatch.contract import messages, topics
from tapewatch.contract.messages import Alert, from_rfc3339
from tapewatch.market_log.registry import FixedRegistry

START_NS = 1_750_000_000 * NANOS
SLACK_NS = 60 * NANOS
"""An alert belongs to an event from its start to a minute after its end."""


@dataclass(slots=True)
class Outcome:
    """Events of the seeds and how many alerted; delays in seconds from an injected pump's start.

    anomalies : alerts of every other scenario, right or wrong
    """

    seeds: list[int] = field(default_factory=list)
    pumps: int = 0
    pumps_detected: int = 0
    news: int = 0
    news_alerted: int = 0
    other_alerts: int = 0
    anomalies: int = 0
    instrument_hours: float = 0.0
    delays_s: list[float] = field(default_factory=list)


def run_seed(seed: int, seconds: int, outcome: Outcome) -> None:
    """One market: the warm-up, then `seconds` with everything injected."""
    config = msgspec.structs.replace(SyntheticConfig.demo(), seconds=int(SyntheticConfig.demo().warmup_s) + seconds)
    market = SyntheticMarket(config, seed, START_NS)
    driver = Driver(FixedRegistry(market.instruments))
    alerts: list[Alert] = []
    for _ in run_source(market, driver):
        alerts += [
            messages.decode(Alert, record.value) for record in driver.task.take() if record.topic == topics.ALERTS
        ]
    _count(market, [alert for alert in alerts if alert.state == "open"], seconds, outcome)
    outcome.seeds.append(seed)
    outcome.instrument_hours += config.instruments * config.seconds / 3600


def _count(market: SyntheticMarket, opened: list[Alert], seconds: int, outcome: Outcome) -> None:
    """Match opened pump alerts with what was injected; events too young to be decided at the end are left out."""
    pumps = [alert for alert in opened if alert.scenario == "pump_and_dump"]
    outcome.anomalies += len(opened) - len(pumps)
    last = START_NS + (int(SyntheticConfig.demo().warmup_s) + seconds - 30) * NANOS
    matched: set[str] = set()
    for label in market.labels():
        if label.start_ns > last or label.scenario not in ("pump_and_dump", "news_jump"):
            continue
        hits = [
            alert
            for alert in pumps
            if alert.instrument == label.instrument
            and label.start_ns <= from_rfc3339(alert.decided) <= label.end_ns + SLACK_NS
        ]
        matched |= {alert.id for alert in hits}
        if label.scenario == "news_jump":
            outcome.news += 1
            outcome.news_alerted += bool(hits)
            continue
        outcome.pumps += 1
        outcome.pumps_detected += bool(hits)
        if hits:
            outcome.delays_s.append((min(from_rfc3339(alert.decided) for alert in hits) - label.start_ns) / NANOS)
    outcome.other_alerts += len({alert.id for alert in pumps} - matched)


def interval(hits: int, of: int) -> dict[str, float]:
    """Share with its 95 % Clopper-Pearson interval."""
    low = float(beta.ppf(0.025, hits, of - hits + 1)) if hits else 0.0
    high = float(beta.ppf(0.975, hits + 1, of - hits)) if hits < of else 1.0
    return {"mean": hits / of if of else float("nan"), "low": low, "high": high}


def main() -> int:
    """Run the seeds and print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="example: python -m benchmarks.separation --seeds 100-109"
    )
    parser.add_argument("--seeds", default="100-109", metavar="A-B", help="first and last seed")
    parser.add_argument("--seconds", type=int, default=300, help="simulated seconds after the warm-up")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    first, _, last = args.seeds.partition("-")
    outcome = Outcome()
    for seed in range(int(first), int(last or first) + 1):
        run_seed(seed, args.seconds, outcome)
        print(
            f"seed {seed}: {outcome.pumps_detected}/{outcome.pumps} pumps, {outcome.news_alerted}/{outcome.news} news",
            file=sys.stderr,
        )
    result = {
        **{key: value for key, value in asdict(outcome).items() if key != "delays_s"},
        "pump_recall": interval(outcome.pumps_detected, outcome.pumps),
        "news_alert_share": interval(outcome.news_alerted, outcome.news),
        "median_delay_s": float(np.median(outcome.delays_s)) if outcome.delays_s else None,
    }
    print(
        msgspec.json.encode(result).decode()
        if args.json
        else "\n".join(f"{key:20} {value}" for key, value in result.items())
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
