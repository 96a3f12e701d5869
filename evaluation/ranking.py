"""`tapewatch evaluate ranking`: the coin desk's probabilities and regimes on weeks of minutes they have not seen."""

import argparse
from pathlib import Path
from typing import Any

import msgspec

from detectors.coin_features.state import Barriers
from detectors.commands import minute_files
from detectors.ranking import model as ranking_model
from detectors.regime import model as regime_model
from detectors.regime.training import planted_shares
from evaluation import ranking_figures as figures
from evaluation import ranking_report
from tapewatch.errors import TapewatchError
from tapewatch.settings import Settings

DAYS = 14
"""Of a file's beginning that the shipped models were trained on."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the files and the question."""
    parser.epilog = "example: tapewatch evaluate ranking --minutes btc_perp_1m.csv.gz --report report/ --json"
    parser.add_argument(
        "--minutes", nargs="+", type=Path, required=True, metavar="FILE", help="minute bars, CSV, one coin a file"
    )
    parser.add_argument("--target", type=float, metavar="RETURN", help="target return (default: the model's)")
    parser.add_argument("--stop", type=float, metavar="RETURN", help="stop return, negative (default: the model's)")
    parser.add_argument(
        "--days", type=int, default=DAYS, metavar="N",
        help=f"whole days at each file's beginning that are not judged (default: {DAYS}, those trained on)",
    )  # fmt: skip


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Judge every file and print the figures."""
    model, regimes = ranking_model.shipped(), regime_model.shipped()
    asked = Barriers(model.horizon, args.target or model.target, args.stop or model.stop)
    if not (asked.target > 0.0 and -1.0 < asked.stop < 0.0):
        raise TapewatchError(f"{asked.target:g} before {asked.stop:g} cannot be asked", "The stop is negative.")
    histories = minute_files.read_all(args.minutes)
    for seen in histories:
        if seen.day_begins(args.days + 1) >= seen.minutes[-1]:
            raise TapewatchError(
                f"{seen.name} has no day behind the first {args.days}", "Give a longer file or --days."
            )
    coins = [figures.lived(seen, asked, regimes, args.days) for seen in histories]
    own = [
        figures.lived(seen, figures.own_barriers(seen, asked.horizon, args.days), regimes, args.days)
        for seen in histories
    ]
    judged = [figures.judge(one, model) for one in (*coins, *own)]
    document: dict[str, Any] = {
        "evaluate": "ranking",
        "files": [path.name for path in args.minutes],
        "days_left_out": args.days,
        "models": {"ranking": model.hash, "regime": regimes.hash},
        "ranking": [figures.ranking(one) for one in judged],
        "regimes": figures.regimes(coins, regimes.in_force),
        "planted_regimes": planted_shares(regimes),
        "by_regime": [
            row
            for one, found in zip(coins, judged, strict=False)
            for row in figures.by_regime(one, found, regimes.places())
        ],
    }
    if args.report:
        ranking_report.write_report(args.report, document, coins, judged, regimes)
    encoded = msgspec.json.encode(document)
    if args.out:
        args.out.write_bytes(encoded + b"\n")
    print(encoded.decode() if args.json else text(document))
    return 0


def text(document: dict[str, Any]) -> str:
    """The result as lines."""
    lines = ["probability to reach the target before the stop, on held-out days"]
    lines += [
        f"  {one['coin']} {one['target']:+.2%}/{one['stop']:+.2%} in {one['horizon_s'] // 60} min, {one['minutes']:,} "
        f"minutes, reached {one['reached']:.3f}: ECE {_shown(one['ece'])} (naive {one['ece_naive']['mean']:.3f})  "
        f"AUC {_shown(one['auc'])}  Brier {_shown(one['brier'])} (base rate {one['brier_base_rate']['mean']:.4f}, "
        f"naive {one['brier_naive']['mean']:.4f})"
        for one in document["ranking"]
    ]
    lines.append("regimes: what a call tells of the next horizon, bull less bear")
    for one in document["regimes"]:
        for rule, each in one["rules"].items():
            mark = "*" if rule == one["in_force"] else " "
            lines.append(
                f" {mark}{one['coin']} {one['hours']:>2} h {rule:5}  return {_shown(each['next_return'])}  "
                f"log volatility {_shown(each['next_log_volatility'])}  nats {_shown(each['nats'])}, less naive "
                f"{_shown(each['nats_less_naive'])}  {each['turns_a_day']:.1f} turns a day"
            )
    lines.append("planted regimes called right: " + ", ".join(
        f"{hours} h " + " ".join(f"{rule} {_shown(share)}" for rule, share in rules.items())
        for hours, rules in document["planted_regimes"].items()
    ))  # fmt: skip
    return "\n".join(lines)


def _shown(found: dict[str, float] | None) -> str:
    return "n/a" if found is None else f"{found['mean']:.3f} [{found['low']:.3f}, {found['high']:.3f}]"
