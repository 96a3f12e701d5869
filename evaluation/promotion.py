"""`tapewatch evaluate promotion`: a challenger against the champion on the same stretches, by a sequential test."""

import argparse
import sys
from pathlib import Path

import msgspec

from detectors.ddqn import promotion
from detectors.ddqn.model import Policy
from detectors.ddqn.promotion import NOBODY, Report, Veto
from detectors.ddqn.sequential import Rule
from evaluation import stages
from evaluation.what_if import finish
from tapewatch.errors import TapewatchError
from tapewatch.settings import Settings

REPORT = "promotion.json"
"""Name of the report in the folder of --report; `models promote --report-file` takes it."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add both players, what they play on, and the rule."""
    rule, veto = Rule(), Veto()
    parser.epilog = (
        "example: tapewatch evaluate promotion --champion ddqn --challenger 4f2a9c --market DIR --report report/"
    )
    name = "FILE|HASH"
    parser.add_argument("--champion", required=True, metavar=name, help=f"in force now, or `{NOBODY}`: no policy")
    parser.add_argument("--challenger", required=True, metavar=name, help="the policy that wants its place")
    stages.configure(parser)
    parser.add_argument(
        "--slot", type=int, metavar="N", help="length of a pair, days or seconds (default: 7 days, 60 s)"
    )
    parser.add_argument("--level", type=float, default=rule.level, help=f"default: {rule.level:g}")
    parser.add_argument("--pairs", type=int, default=rule.pairs, help=f"the most that are judged ({rule.pairs:,})")
    parser.add_argument(
        "--drawdown-margin", type=float, default=veto.margin, metavar="SHARE",
        help=f"by which the challenger may fall deeper than the champion (default: {veto.margin:g})",
    )  # fmt: skip


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Let both play, judge, and write the report."""
    champion, challenger = (stages.policy_of(word, settings) for word in (args.champion, args.challenger))
    if challenger is None:
        raise TapewatchError(f"`{NOBODY}` cannot be a challenger", "Name a policy with --challenger.")
    report = judged(stages.stage_of(args, (champion, challenger)), champion, challenger, args)
    found = finish(args, msgspec.Raw(report.encoded()), lambda folder: _page(folder, report), lambda _: text(report))
    if args.report:
        (args.report / REPORT).write_bytes(report.encoded())
        print(args.report / REPORT, file=sys.stderr)
    return found


def judged(stage: stages.Stage, champion: Policy | None, challenger: Policy, args: argparse.Namespace) -> Report:
    """The report of both on a stage."""
    count = stage.slots if args.slot is None else args.slot
    if count < 1:
        raise TapewatchError("--slot must be at least 1", "See `tapewatch evaluate promotion --help`.")
    rule, veto = Rule(level=args.level, pairs=args.pairs), Veto(margin=args.drawdown_margin)
    try:
        report = promotion.compared(
            stage.environment,
            (champion.hash if champion else NOBODY, stage.curves(champion)),
            (challenger.hash, stage.curves(challenger)),
            stage.slot(count),
            rule,
            veto,
        )
    except ValueError as error:
        raise TapewatchError(f"cannot compare: {error}", "See `tapewatch evaluate promotion --help`.") from error
    return msgspec.structs.replace(
        report,
        data=stage.told(),
        slot=f"{count} {stage.unit}",
        seeds={"challenger": challenger.card.seed} | ({"champion": champion.card.seed} if champion else {}),
        command=_command(args, report, count),
    )


def _command(args: argparse.Namespace, report: Report, slot: int) -> str:
    where = f"--market {args.market.name}" if args.market else "--daily " + " ".join(path.name for path in args.daily)
    day = f" --from {args.from_day}" if args.from_day else ""
    players = f"--champion {report.champion.policy} --challenger {report.challenger.policy}"
    return f"tapewatch evaluate promotion {players} {where}{day} --slot {slot}"


def text(report: Report) -> str:
    """The report as lines."""
    wins, losses = report.outcomes.count(1), report.outcomes.count(-1)
    lines = [
        f"{len(report.outcomes)} pairs of {report.slot}: {wins} won, {losses} lost, "
        f"{len(report.outcomes) - wins - losses} the same; p = {report.p_value:.4f} whenever one stops"
    ]
    for name, player in (("champion", report.champion), ("challenger", report.challenger)):
        lines.append(
            f"{name:11}{player.policy:18}earned {player.result:+.5f} of capital, drawdown {player.worst_drawdown:.5f} "
            f"at worst, {player.mean_drawdown:.5f} in the mean"
        )
    return "\n".join([*lines, f"{report.decision}: {'; '.join(report.reasons)}"])


def _page(folder: Path, report: Report) -> Path:
    from evaluation.promotion_report import write_report

    return write_report(folder, report)
