"""`tapewatch run engine|desk`: one engine process of the consumer group, or the coin desk."""

import argparse
import signal
import sys
import threading

import msgspec

from streams.desk import running as desk
from streams.engine.process import Engine, Totals
from tapewatch.clock import NANOS, WALL
from tapewatch.settings import Settings


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument("stage", choices=["engine", "desk"], help="what to run")
    parser.add_argument(
        "--instance", metavar="NAME", help="static member id, unique in the group (default: host and process id)"
    )
    parser.add_argument(
        "--until-idle", type=float, default=0.0, metavar="SECONDS", help="end when nothing came for that long"
    )
    parser.add_argument(
        "--feed",
        action="append",
        metavar="NAME",
        help="work on this feed only; may be given again (default: every feed)",
    )
    parser.add_argument("--batch-frames", type=int, metavar="N", help="frames of one transaction at most")
    parser.add_argument("--quiet", action="store_true", help="no progress line")
    parser.add_argument("--json", action="store_true", help="print totals as one JSON document at the end")
    desk.add_arguments(parser)
    parser.epilog = "example: tapewatch run engine --instance engine-1; tapewatch run desk --min-turnover 100000"


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Run the stage until SIGINT or SIGTERM, or until it is idle."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return desk.run(args, settings, stop) if args.stage == "desk" else _engine(args, settings, stop)


def _engine(args: argparse.Namespace, settings: Settings, stop: threading.Event) -> int:
    changes = {"instance": args.instance, "batch_frames": args.batch_frames, "feeds": tuple(args.feed or ())}
    engine_settings = msgspec.structs.replace(
        settings.engine, **{key: value for key, value in changes.items() if value}
    )
    engine = Engine(msgspec.structs.replace(settings, engine=engine_settings))
    if not args.quiet:
        threading.Thread(target=_report, args=(engine.totals, stop), daemon=True).start()
    engine.run(stop, args.until_idle)
    stop.set()
    if args.json:
        print(msgspec.json.encode(engine.totals).decode())
    return 0


def _report(totals: Totals, stop: threading.Event) -> None:
    """A progress line every two seconds in which something happened."""
    last, since = 0, WALL.now()
    while not stop.wait(2.0):
        now = WALL.now()
        if totals.rows != last:
            rate = (totals.rows - last) / ((now - since) / NANOS)
            print(
                f"engine  {totals.rows:>12,} rows  {rate:>10,.0f}/s  {totals.features:,} features  "
                f"{totals.alerts:,} alerts  {totals.refused:,} refused  {totals.transactions:,} transactions",
                file=sys.stderr,
            )
        last, since = totals.rows, now
