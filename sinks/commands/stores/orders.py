"""`tapewatch sink orders`: orders to a venue."""

import argparse
import sys
import threading

import msgspec

from sinks.orders import Progress
from sinks.orders import service as gateway
from tapewatch.errors import TapewatchError
from tapewatch.settings import Settings


def configure(parser: argparse.ArgumentParser) -> None:
    """Where orders go, and that it is meant."""
    parser.add_argument("--venue", choices=["upbit", "binance", "fix"], help="where they are sent")
    parser.add_argument("--i-mean-it", action="store_true", help="yes, send real orders")
    parser.epilog = "example: tapewatch sink orders --venue upbit --i-mean-it"


def run(args: argparse.Namespace, settings: Settings, stop: threading.Event) -> int:
    """Run an order gateway."""
    if args.venue is None:
        raise TapewatchError("`sink orders` needs a venue", "Add --venue upbit, binance or fix.")
    done = gateway.run(settings, args.venue, args.i_mean_it, args.until_idle, _show)
    if args.json:
        print(msgspec.json.encode(done).decode())
    else:
        print(f"{done.taken} records read, {done.published} written, {done.active} orders not done")
    return 0


def _show(progress: Progress) -> None:
    """One line on standard error."""
    line = f"sink orders {progress.venue}  {progress.active} orders open  {progress.published} records written"
    print(line, file=sys.stderr, flush=True)
