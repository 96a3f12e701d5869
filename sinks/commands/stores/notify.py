"""`tapewatch sink notify`: alerts to subscribers."""

import argparse
import sys
import threading

import msgspec

from sinks.notify import NotifySink, Progress
from tapewatch import logs
from tapewatch.settings import Settings


def configure(parser: argparse.ArgumentParser) -> None:
    """Example of the command."""
    parser.epilog = "example: tapewatch sink notify --until-idle 5 --json"


def run(args: argparse.Namespace, settings: Settings, stop: threading.Event) -> int:
    """Deliver until `stop`."""
    sink = NotifySink(settings)
    with sink.monitor:
        summary = sink.run(stop, args.until_idle, _show)
    if args.json:
        print(msgspec.json.encode(summary).decode())
    else:
        print(f"{summary.alerts} alerts read, {summary.inhibited} inhibited, {summary.planned} messages made")
        print(f"{summary.delivered} delivered, {summary.failed} attempts failed, {summary.dead} given up")
    return 0


def _show(progress: Progress) -> None:
    """One line on standard error."""
    state = f"  waiting: {logs.printable(progress.trouble)}" if progress.trouble else ""
    line = f"sink notify  {progress.planned} messages  {progress.delivered} delivered  {progress.failed} failed{state}"
    print(line, file=sys.stderr, flush=True)
