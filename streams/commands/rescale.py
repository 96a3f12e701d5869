"""`tapewatch rescale`: a feed goes on in a new generation of its topic with another number of partitions."""

import argparse
import sys

import msgspec

from streams.rescaling.protocol import Rescaling
from tapewatch.errors import TapewatchError
from tapewatch.rfc3339 import to_rfc3339
from tapewatch.settings import Settings


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument(
        "feed", metavar="FEED", help="such as binance; its producer has to be stopped, its engine at work"
    )
    parser.add_argument("--partitions", type=int, required=True, metavar="N", help="of the new topic")
    parser.add_argument("--check", action="store_true", help="only say whether something stands in the way")
    parser.add_argument(
        "--quiet-seconds",
        type=float,
        default=3.0,
        metavar="S",
        help="nobody may have written for that long (default: 3)",
    )
    parser.add_argument(
        "--wait", type=float, default=60.0, metavar="S", help="how long the engine is waited for (default: 60)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    parser.epilog = (
        "example: tapewatch rescale binance --partitions 16\n"
        "A command that was interrupted goes on when it is given again. See docs/rescale.md."
    )


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Rescale, or say what stands in the way."""
    if args.partitions < 1:
        raise TapewatchError("a topic has at least one partition", "Name a number of 1 or more.")
    rescaling = Rescaling(
        settings,
        args.feed,
        args.partitions,
        args.quiet_seconds,
        args.wait,
        say=lambda text: print(text, file=sys.stderr, flush=True),
        step=lambda name: print(f"done: {name}", file=sys.stderr, flush=True),
    )
    try:
        if args.check:
            rescaling.check()
            print('{"ready": true}' if args.json else "nothing stands in the way")
            return 0
        done = rescaling.run()
    finally:
        rescaling.close()
    if args.json:
        print(msgspec.json.encode(done).decode())
        return 0
    print(
        f"{done.feed} goes on in {done.topic}: {done.partitions} partitions, {sum(done.instruments):,} instruments "
        f"({min(done.instruments):,} to {max(done.instruments):,} each), cut at {to_rfc3339(done.at)}, "
        f"{done.seconds:.1f} s.\nStart the producer of {done.feed} again, as before."
    )
    return 0
