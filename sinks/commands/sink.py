"""`tapewatch sink STORE`: topics to a store, to subscribers or to a venue, until stopped or until nothing comes."""

import argparse
import importlib
import signal
import threading

from tapewatch import logs
from tapewatch.access.check import check
from tapewatch.runtime.monitoring import add_flag, asked
from tapewatch.settings import Settings

STORES = {
    "postgres": "keep topics in PostgreSQL",
    "elasticsearch": "keep alerts, cases and the day's data in Elasticsearch",
    "notify": "bring alerts to subscribers",
    "orders": "send orders to a venue",
    "canary": "watch whether canaries are found, and how soon they can be read",
}
"""Each is a module of sinks.commands.stores with `configure(parser)` and `run(args, settings, stop)`."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of `sink`."""
    stores = parser.add_subparsers(dest="store", metavar="STORE", required=True)
    for name, summary in STORES.items():
        each = stores.add_parser(
            name, help=summary, description=summary, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        each.add_argument(
            "--until-idle", type=float, metavar="SECONDS", help="end when all is read and nothing came for that long"
        )
        each.add_argument("--json", action="store_true", help="print a summary as one JSON document at the end")
        add_flag(each)
        importlib.import_module(f"sinks.commands.stores.{name}").configure(each)
    parser.epilog = (
        "example: tapewatch db migrate && tapewatch sink postgres --until-idle 5 --json\n"
        "         tapewatch sink notify\n"
        "         tapewatch sink orders --venue upbit --i-mean-it"
    )


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Run the sink; the first SIGINT or SIGTERM ends it after the batch at hand, the second at once."""
    logs.configure(settings.log)
    stop = threading.Event()

    def end(*_: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    store = importlib.import_module(f"sinks.commands.stores.{args.store}")
    check(settings, f"sink-{args.store}")
    return int(store.run(args, asked(settings, args.metrics), stop))
