"""`tapewatch produce canary`: manipulation of our own on instruments of our own, all day."""

import argparse
import sys
import threading

import msgspec

from producers.canary import Canaries, CanarySummary, run_canaries
from tapewatch.contract.canaries import FEED
from tapewatch.runtime.monitoring import add_flag, asked
from tapewatch.settings import Settings

EXAMPLE = "example: tapewatch produce canary --every 300 & tapewatch sink canary"


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the source."""
    parser.epilog = EXAMPLE
    parser.add_argument("--every", type=float, metavar="S", help="seconds between two events (default: canary.every_s)")
    parser.add_argument("--due", type=float, metavar="S", help="missed where not found by then (default: canary.due_s)")
    parser.add_argument(
        "--scenario",
        action="append",
        metavar="NAME",
        help="inject this; may be given again (default: canary.scenarios)",
    )
    parser.add_argument("--feed", default=FEED, help=f"feed to fill (default: {FEED})")
    parser.add_argument(
        "--partitions", type=int, default=0, help="partitions of a new topic: at least as many as engine processes"
    )
    parser.add_argument(
        "--in-each", type=int, default=0, metavar="N", help="canaries of a partition (default: enough for --every)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of everything drawn (default: 1)")
    parser.add_argument("--back-date", type=int, default=900, metavar="S", help="seconds sent at once (default: 900)")
    parser.add_argument("--seconds", type=int, default=0, help="length after the back-dated part (default: no end)")
    parser.add_argument("--json", action="store_true", help="print a summary as one JSON document")
    add_flag(parser)


def run(args: argparse.Namespace, settings: Settings, stop: threading.Event) -> int:
    """Send canaries until the end or a signal."""
    wanted = {"every_s": args.every, "due_s": args.due, "scenarios": tuple(args.scenario or ())}
    chosen = {name: value for name, value in wanted.items() if value}
    settings = asked(settings, args.metrics)
    settings = msgspec.structs.replace(settings, canary=msgspec.structs.replace(settings.canary, **chosen))
    canaries = Canaries(
        args.feed,
        max(args.partitions, 0),
        max(args.seed, 0),
        max(args.back_date, 0),
        args.seconds,
        max(args.in_each, 0),
    )
    summary = run_canaries(settings, canaries, stop=stop, say=lambda text: print(text, file=sys.stderr, flush=True))
    _print(summary, args.json)
    return 0


def _print(summary: CanarySummary, as_json: bool) -> None:
    if as_json:
        print(msgspec.json.encode(summary).decode(), flush=True)
        return
    print(f"{summary.topic}: {summary.injected} canaries injected, {sum(summary.rows.values()):,} rows")
