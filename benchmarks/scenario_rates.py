"""Recall and false alerts of four core scenarios on injected episodes in the synthetic market, over seeds, with
intervals: `python -m benchmarks.scenario_rates --seeds 600-601 --json`.

It uses the shipped code path (the brokerless driver) and the shipped thresholds, and tunes nothing.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
from scipy.stats import beta, chi2

from benchmarks.injected_market import CLOSE, IGNITION, InjectedMarket, WashMarket
from producers.synthetic import SyntheticConfig
from streams.driver import Driver, run_source
from tapewatch.clock import NANOS
from tapewatch.contract import messages, topics
from tapewatch.contract.messages import Alert, from_rfc3339
from tapewatch.market_log.registry import FixedRegistry

START_NS = 1_750_000_000 * NANOS
SLACK_S = 60.0
"""An alert belongs to an episode from its start to a minute after its end."""

CONFIG = SyntheticConfig(
    instruments=40, rows_per_second=500.0, seconds=4500, ramp_per_hour=0.4, news_per_hour=0.4, pump_per_hour=0.05,
    large_per_hour=0.4, refresh_per_hour=0.4, auction_per_hour=0.05, halt_per_hour=0.05,
)  # fmt: skip
IGNITIONS = 24

RAMPING, WASH = "ramping", "wash_trades"
INJECTED = {
    IGNITION: "Injected: 1 to 4 % in 5 to 20 s on 8 to 30 one-sided trades a second, half to all of it given back in "
    "10 to 40 s (benchmarks/injected_market.py), among news, pumps, ramps and halts.",
    RAMPING: "Injected by the synthetic market itself: 1 to 4 % in 2 to 6 minutes on small one-sided trades.",
    CLOSE: "Injected: .5 to 3 % over the last 30 to 120 s on 3 to 12 one-sided trades a second, on every third "
    "instrument; the others have an ordinary close (benchmarks/injected_market.py).",
    WASH: "Injected: one account with itself, or two to and fro, 8 to 30 trades in 1 to 4 minutes, among the trades of "
    "60 accounts of unequal activity (benchmarks/injected_market.py).",
}


@dataclass(slots=True)
class Count:
    """Of one scenario: episodes, how many alerted, delays in s, alerts that belong to none, instrument-hours."""

    episodes: int = 0
    detected: int = 0
    false_alerts: int = 0
    instrument_hours: float = 0.0
    delays_s: list[float] = field(default_factory=list)

    def match(self, alerts: Sequence[tuple[str, float]], episodes: Sequence[tuple[str, float, float]]) -> None:
        """Add alerts (instrument, time of decision in s) and episodes (instrument, begin and end in s)."""
        belongs = [False] * len(alerts)
        for name, begin, end in episodes:
            own = [place for place, (who, when) in enumerate(alerts) if who == name and begin <= when <= end + SLACK_S]
            self.episodes += 1
            if own:
                self.detected += 1
                self.delays_s.append(min(alerts[place][1] for place in own) - begin)
            for place in own:
                belongs[place] = True
        self.false_alerts += belongs.count(False)


def run_seed(seed: int, counts: dict[str, Count]) -> None:
    """One market with everything injected, and one with accounts."""
    source = InjectedMarket(CONFIG, seed, START_NS, IGNITIONS)
    driver, alerts = Driver(FixedRegistry(source.instruments)), []
    for _ in run_source(source, driver):
        found = (messages.decode(Alert, record.value) for record in driver.task.take() if record.topic == topics.ALERTS)
        alerts += [alert for alert in found if alert.state == "open" and alert.scenario in counts]
    labels = [
        (label.scenario, label.instrument, (label.start_ns - START_NS) / NANOS, (label.end_ns - START_NS) / NANOS)
        for label in source.market.labels()
    ]
    own = [(each.scenario, each.instrument, each.begin, each.end) for each in source.episodes]
    hours = CONFIG.instruments * CONFIG.seconds / 3600
    for scenario in (IGNITION, RAMPING, CLOSE):
        # An episode during which something else moved the price, or trading was halted, is left out.
        other = [each for each in labels + own if each[0] != scenario]
        mine = [each[1:] for each in labels + own if each[0] == scenario and not _disturbed(each, other)]
        left_out = [each[1:] for each in labels + own if each[0] == scenario and _disturbed(each, other)]
        # What another manipulation raises is no false alert.
        manipulation = [each[1:] for each in other if each[0] in (IGNITION, RAMPING, CLOSE, "pump_and_dump")]
        raised = [
            (alert.instrument, (from_rfc3339(alert.decided) - START_NS) / NANOS)
            for alert in alerts
            if alert.scenario == scenario
        ]
        kept = [each for each in raised if not _within(each, manipulation + left_out)]
        counts[scenario].match(kept, mine)
        counts[scenario].instrument_hours += hours
    wash = WashMarket(seed)
    counts[WASH].match(wash.alerts(), wash.episodes)
    counts[WASH].instrument_hours += wash.instrument_hours


def _disturbed(one: tuple[str, str, float, float], others: Sequence[tuple[str, str, float, float]]) -> bool:
    movers = ("news_jump", "pump_and_dump", "halt", "auction", IGNITION, RAMPING, CLOSE)
    return any(
        scenario in movers and name == one[1] and begin - 300.0 < one[3] and one[2] < end + 300.0
        for scenario, name, begin, end in others
    )


def _within(alert: tuple[str, float], spans: Sequence[tuple[str, float, float]]) -> bool:
    return any(name == alert[0] and begin <= alert[1] <= end + SLACK_S for name, begin, end in spans)


def figures(scenario: str, count: Count) -> dict[str, Any]:
    """Rates with 95 % intervals: Clopper & Pearson for recall, exact Poisson for false alerts."""
    k, n, false, hours = count.detected, count.episodes, count.false_alerts, count.instrument_hours
    return {
        "episodes": n,
        "detected": k,
        "recall": {
            "mean": k / n,
            "low": float(beta.ppf(0.025, k, n - k + 1)) if k else 0.0,
            "high": float(beta.ppf(0.975, k + 1, n - k)) if k < n else 1.0,
        },
        "false_alerts": false,
        "instrument_hours": hours,
        "false_alerts_per_instrument_hour": {
            "mean": false / hours,
            "low": float(chi2.ppf(0.025, 2 * false) / 2 / hours) if false else 0.0,
            "high": float(chi2.ppf(0.975, 2 * false + 2) / 2 / hours),
        },
        "median_delay_s": float(np.median(count.delays_s)) if count.delays_s else None,
        "injected": INJECTED[scenario],
    }


def main(words: list[str] | None = None) -> int:
    """Run the seeds and print the figures."""
    parser = argparse.ArgumentParser(
        description="Recall and false alerts of core scenarios.",
        epilog="example: python -m benchmarks.scenario_rates --seeds 600-601 --json > docs/results/scenario-rates.json",
    )
    parser.add_argument("--seeds", default="600-601", metavar="FIRST-LAST", help="seeds, about 100 s of CPU each")
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    args = parser.parse_args(words)
    first, _, last = args.seeds.partition("-")
    seeds = list(range(int(first), int(last or first) + 1))
    counts = {scenario: Count() for scenario in INJECTED}
    for seed in seeds:
        run_seed(seed, counts)
        sys.stderr.write(f"seed {seed} done\n")
    result = {
        "command": f"python -m benchmarks.scenario_rates --seeds {args.seeds}",
        "seeds": seeds,
        "config": msgspec.to_builtins(CONFIG),
        "scenarios": {scenario: figures(scenario, count) for scenario, count in counts.items()},
    }
    if args.json:
        sys.stdout.write(msgspec.json.encode(result).decode() + "\n")
        return 0
    for scenario, found in result["scenarios"].items():
        sys.stdout.write(f"{scenario}: {found['detected']} of {found['episodes']}, {found['false_alerts']} false\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
