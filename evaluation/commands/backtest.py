"""`tapewatch backtest`: what policies would have earned on daily bars or a stored market, beside four simple rules."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from detectors.ddqn.model import Policy
from evaluation import stages
from evaluation.ddqn_figures import intervals
from evaluation.stages import Stage
from evaluation.strategies import POLICY, RULES, InstrumentResult, figures_of, summed
from evaluation.what_if import finish
from tapewatch.errors import TapewatchError
from tapewatch.settings import Settings

_EPILOG = """examples:
  tapewatch backtest --policy ddqn --daily AAPL.csv MSFT.csv --from 2018-01-01 --report report/
  tapewatch backtest --policy 4f2a9c 77e0b1 --market DIR --report report/ --json
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the policies and what they play on."""
    parser.epilog = _EPILOG
    parser.add_argument(
        "--policy", nargs="+", required=True, metavar="FILE|HASH",
        help="policies, such as those of several seeds; `ddqn` is the shipped one",
    )  # fmt: skip
    stages.configure(parser)
    parser.add_argument("--seed", type=int, default=1, help="of the bootstrap (default: 1)")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON document")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the JSON document to a file too")
    parser.add_argument("--report", type=Path, metavar="DIR", help="write backtest.html with pictures")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Play and print."""
    policies = [policy for word in args.policy if (policy := stages.policy_of(word, settings))]
    if len(policies) < len(args.policy):
        raise TapewatchError("`hold` is no policy", "Name a policy file or hash with --policy.")
    seen = {policy.described.inputs for policy in policies}
    if len(seen) > 1:
        raise TapewatchError("the policies see different things", "Back-test them one after another.")
    for policy in policies:
        warn_of_training(args, policy)
    stage = stages.stage_of(args, policies)
    tested = stage.tested(policies)
    document = document_of(stage, policies, tested, args.seed)

    def page(folder: Path) -> Path:
        from evaluation.backtest_report import write_report

        return write_report(folder, document, tested)

    return finish(args, document, page, text)


def warn_of_training(args: argparse.Namespace, policy: Policy) -> None:
    """Say on stderr where a policy may have learnt from the days it is tested on."""
    words = policy.card.command.split()
    last = words[words.index("--before") + 1] if "--before" in words[:-1] else ""
    if args.daily and args.from_day and not (last and last <= args.from_day):
        until = f"from days before {last}" if last else "from days without an end"
        print(f"policy {policy.hash} learnt {until}: it may know these", file=sys.stderr)


def document_of(
    stage: Stage, policies: Sequence[Policy], tested: Sequence[InstrumentResult], seed: int
) -> dict[str, Any]:
    """All figures."""
    measure = stage.measure
    names = (POLICY, *RULES)
    rows = min(len(one.ts) for one in tested)
    if rows < 2 * measure.length:
        raise TapewatchError("there is too little to test on", "At least two minutes are needed.")
    gains = {
        name: np.array([[summed(line.gains[:rows], measure.length) for line in one.lines(name)] for one in tested])
        for name in names
    }
    means, apart = intervals(gains, POLICY, "buy_and_hold", seed, measure.block, measure.year)
    instruments = {
        one.name: {name: [figures_of(line, measure) for line in one.lines(name)] for name in names} for one in tested
    }
    return {
        "backtest": stage.environment,
        "data": stage.told(),
        "policies": [
            {"hash": policy.hash, "seed": policy.card.seed, "learnt_from": policy.card.data} for policy in policies
        ],
        "sharpe_of": measure.words,
        "bootstrap": {"block": measure.block, "of_rows": measure.length, "seed": seed},
        "instruments": instruments,
        "mean": {name: {"sharpe": means[name]} | _means(instruments, name) for name in names},
        "difference_to_buy_and_hold": apart,
    }


def _means(instruments: dict[str, dict[str, list[dict[str, Any]]]], name: str) -> dict[str, float]:
    """Over instruments and policies."""
    every = [found for one in instruments.values() for found in one[name]]
    return {
        what: float(np.mean([found[what] for found in every])) for what in ("return", "drawdown", "turnover", "trades")
    }


def text(document: dict[str, Any]) -> str:
    """The figures as lines."""
    lines = [f"{'mean of instruments':20}{'Sharpe':>24}{'return':>10}{'drawdown':>10}{'turnover':>10}{'trades':>8}"]
    for name, one in document["mean"].items():
        ratio = f"{one['sharpe']['mean']:.3f} ({one['sharpe']['low']:.2f} to {one['sharpe']['high']:.2f})"
        figures = f"{one['return']:>10.4f}{one['drawdown']:>10.4f}{one['turnover']:>10.2f}{one['trades']:>8.1f}"
        lines.append(f"{name:20}{ratio:>24}{figures}")
    apart = document["difference_to_buy_and_hold"]
    lines.append(f"policy less buy-and-hold {apart['mean']:+.3f} ({apart['low']:+.3f} to {apart['high']:+.3f})")
    lines.append(f"{len(document['policies'])} policies, {len(document['instruments'])} instruments")
    return "\n".join(lines)
