"""`tapewatch sink`: topics to a database or orders to a venue, until stopped or until nothing comes any more."""

import argparse
import signal
import sys
import threading

import msgspec

from sinks.orders import Progress as GatewayProgress
from sinks.orders import run as gateway
from sinks.postgres import PostgresSink, Progress
from tapewatch import logs
from tapewatch.errors import TapewatchError
from tapewatch.settings import Settings


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of `sink`."""
    parser.add_argument("store", choices=["postgres", "orders"], help="where to: a database, or a venue")
    parser.add_argument("--until-idle", type=float, metavar="SECONDS", help="end when nothing came for that long")
    parser.add_argument("--json", action="store_true", help="print a summary as one JSON document at the end")
    parser.add_argument("--venue", choices=["upbit", "binance", "fix"], help="orders: where they are sent")
    parser.add_argument("--i-mean-it", action="store_true", help="orders: yes, send real orders")
    parser.epilog = (
        "example: tapewatch db migrate && tapewatch sink postgres --until-idle 5 --json\n"
        "         tapewatch sink orders --venue upbit --i-mean-it"
    )


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Run the sink; the first SIGINT or SIGTERM ends it after the batch at hand."""
    logs.configure(settings.log)
    return _orders(args, settings) if args.store == "orders" else _postgres(args, settings)


def _orders(args: argparse.Namespace, settings: Settings) -> int:
    """Run an order gateway."""
    if args.venue is None:
        raise TapewatchError("`sink orders` needs a venue", "Add --venue upbit, binance or fix.")
    done = gateway.run(settings, args.venue, args.i_mean_it, args.until_idle, _show_orders)
    if args.json:
        print(msgspec.json.encode(done).decode())
    else:
        print(f"{done.taken} records read, {done.published} written, {done.active} orders not done")
    return 0


def _show_orders(progress: GatewayProgress) -> None:
    """One line on standard error."""
    line = f"sink orders {progress.venue}  {progress.active} orders open  {progress.published} records written"
    print(line, file=sys.stderr, flush=True)


def _postgres(args: argparse.Namespace, settings: Settings) -> int:
    """Keep topics in PostgreSQL."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: _end(stop))
    summary = PostgresSink(settings).run(stop, args.until_idle, _show)
    if args.json:
        print(msgspec.json.encode(summary).decode())
    else:
        for table, rows in summary.rows.items():
            print(f"{table:<12}{rows:>12,} rows")
        refused, dead = sum(summary.refused.values()), sum(summary.dead_letters.values())
        print(f"{summary.duplicates} repeated frames, {refused} refused, {dead} dead letters")
        print(f"{summary.busy_rows_per_s:,} rows/s, lag {summary.lag}")
    return 0


def _end(stop: threading.Event) -> None:
    """End soon; at the second request, at once."""
    if stop.is_set():
        raise KeyboardInterrupt
    stop.set()


def _show(progress: Progress) -> None:
    """One line on standard error."""
    state = f"  waiting: {logs.printable(progress.trouble)}" if progress.trouble else ""
    line = f"sink postgres  {progress.rows:>12,} rows  {progress.rows_per_s:>9,} rows/s  lag {progress.lag}{state}"
    print(line, file=sys.stderr, flush=True)
