"""`tapewatch demo`: market in, alerts out, the whole product in one command."""

import argparse
import sys
from pathlib import Path

import msgspec
from rich.console import Console

from infra.demo import Wishes, run_demo
from infra.demo.closing import told
from tapewatch.settings import Settings

_EPILOG = """examples:
  tapewatch demo
  tapewatch demo --seconds 60 --json
  tapewatch demo --live-sim --seconds 120
  tapewatch demo --recording spot_btcusdt_20240808.gz spot_btcusdt_20240809.gz --speed max --json

exit status: 0 all went well; 1 a part failed, or the alerts in topic and table differ; 130 ended before its time
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of `demo`."""
    usual = Wishes()
    parser.add_argument(
        "--seconds", type=_count, default=0, metavar="N", help="end by itself after N seconds of live market"
    )
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON document")
    parser.add_argument("--seed", type=int, default=usual.seed, help=f"of the synthetic market (default: {usual.seed})")
    parser.add_argument(
        "--instruments", type=_count, default=usual.instruments, metavar="N", help=f"(default: {usual.instruments})"
    )
    parser.add_argument("--recording", nargs="+", type=Path, metavar="FILE", help="replay these instead")
    parser.add_argument(
        "--speed", default=usual.speed, help="of the replay: 1, N times recorded speed, or max (default)"
    )
    parser.add_argument("--kind", default="", help="kind of the recordings (default: told by their content)")
    parser.add_argument(
        "--live-sim", action="store_true", help="run every live source too, each against its simulated venue"
    )
    parser.add_argument("--no-console", action="store_true", help="without cases and the web console")
    parser.add_argument(
        "--secure", action="store_true", help="Kafka with TLS, an account and the least rights for each process"
    )
    parser.add_argument("--keep", action="store_true", help="leave the stack running at the end")
    parser.epilog = _EPILOG


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Run the demo and print what came out."""
    if args.secure:
        settings = msgspec.structs.replace(settings, embedded=msgspec.structs.replace(settings.embedded, secure=True))
    wishes = Wishes(
        seconds=args.seconds,
        seed=args.seed,
        instruments=args.instruments,
        recording=tuple(args.recording or ()),
        speed=args.speed,
        kind=args.kind,
        keep=args.keep,
        live_sim=args.live_sim,
        console=not args.no_console,
        settings_file=args.settings,
    )
    summary = run_demo(settings, wishes, args.json)
    if args.json:
        print(msgspec.json.encode(summary).decode(), flush=True)
    else:
        Console(file=sys.stdout, highlight=False).print(told(summary, wishes.keep))
    if summary.alert_ids_equal is False:
        return 1
    has_a_limit = bool(wishes.seconds or wishes.recording)
    return 130 if has_a_limit and not summary.drained else 0


def _count(text: str) -> int:
    """A whole number of at least 1."""
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError("a whole number of at least 1")
    return count
