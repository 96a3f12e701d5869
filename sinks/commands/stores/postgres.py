"""`tapewatch sink postgres`: topics into PostgreSQL, exactly once."""

import argparse
import sys
import threading

import msgspec

from sinks.postgres import PostgresSink, Progress
from tapewatch import logs
from tapewatch.settings import Settings


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument(
        "--begin-anew",
        action="append",
        default=[],
        metavar="TOPIC",
        help="where this topic was made anew, read it from its beginning; what is kept of the one before stays",
    )
    parser.epilog = "example: tapewatch db migrate && tapewatch sink postgres --until-idle 5 --json"


def run(args: argparse.Namespace, settings: Settings, stop: threading.Event) -> int:
    """Keep topics in PostgreSQL until `stop`."""
    sink = PostgresSink(settings)
    with sink.monitor:
        summary = sink.run(stop, args.until_idle, _show, args.begin_anew)
    if args.json:
        print(msgspec.json.encode(summary).decode())
    else:
        for table, rows in summary.rows.items():
            print(f"{table:<12}{rows:>12,} rows")
        refused, dead = sum(summary.refused.values()), sum(summary.dead_letters.values())
        print(f"{summary.duplicates} repeated frames, {refused} refused, {dead} dead letters")
        print(f"{summary.busy_rows_per_s:,} rows/s, lag {summary.lag}")
    return 0


def _show(progress: Progress) -> None:
    """One line on standard error."""
    state = f"  waiting: {logs.printable(progress.trouble)}" if progress.trouble else ""
    line = f"sink postgres  {progress.rows:>12,} rows  {progress.rows_per_s:>9,} rows/s  lag {progress.lag}{state}"
    print(line, file=sys.stderr, flush=True)
