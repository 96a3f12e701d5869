"""`tapewatch sink canary`: whether canaries are found, and how soon they can be read everywhere."""

import argparse
import sys
import threading

import msgspec

from sinks.canary import CanarySink, Progress, Summary
from tapewatch import logs
from tapewatch.settings import Settings


def configure(parser: argparse.ArgumentParser) -> None:
    """Where alerts have to arrive."""
    parser.add_argument(
        "--stage",
        action="append",
        choices=("topic", "postgres", "elasticsearch"),
        help="where an alert has to be readable; may be given again (default: canary.stages)",
    )
    parser.epilog = "example: tapewatch sink canary --stage topic --stage postgres --stage elasticsearch"


def run(args: argparse.Namespace, settings: Settings, stop: threading.Event) -> int:
    """Judge canaries until `stop`."""
    stages = tuple(args.stage or settings.canary.stages)
    settings = msgspec.structs.replace(settings, canary=msgspec.structs.replace(settings.canary, stages=stages))
    summary = CanarySink(settings).run(stop, args.until_idle, _show)
    if args.json:
        print(msgspec.json.encode(summary).decode())
    else:
        _print(summary)
    return 0


def _print(summary: Summary) -> None:
    found = summary.figures
    recall = "-" if found.recall is None else f"{found.recall:.1%}"
    print(f"{found.found} found, {found.late} late, {found.missed} missed: recall {recall}")
    if found.decision_s is not None:
        print(f"decided {found.decision_s:.1f} s after the first injected row (median, market time)")
    for stage, (middle, most) in found.stages.items():
        print(f"{stage:<14}readable {middle:.3f} s after the decision (median), {most:.3f} s at most")


def _show(progress: Progress) -> None:
    """One line on standard error."""
    state = f"  waiting: {logs.printable(progress.trouble)}" if progress.trouble else ""
    recall = "-" if progress.recall is None else f"{progress.recall:.1%}"
    line = f"sink canary  {progress.waiting} open  {progress.found} found  {progress.missed} missed  recall {recall}"
    print(line + state, file=sys.stderr, flush=True)
