"""`tapewatch sink elasticsearch`: alerts, cases and the day's data into Elasticsearch, each document once."""

import argparse
import json
import sys
import threading

import msgspec

from sinks.elasticsearch import ElasticsearchSink, Progress, retention
from sinks.elasticsearch.client import connect
from tapewatch import logs
from tapewatch.clock import WALL
from tapewatch.rfc3339 import to_rfc3339
from tapewatch.settings import Settings


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the command."""
    parser.add_argument(
        "--retention",
        action="store_true",
        help="only delete daily indices older than elasticsearch.retention_days; needed without lifecycle management",
    )
    parser.add_argument("--dry-run", action="store_true", help="with --retention: only say what would be deleted")
    parser.epilog = "example: tapewatch sink elasticsearch --until-idle 5 --json"


def run(args: argparse.Namespace, settings: Settings, stop: threading.Event) -> int:
    """Keep topics in Elasticsearch until `stop`, or delete what is old."""
    if args.retention:
        return _retention(args, settings)
    sink = ElasticsearchSink(settings)
    with sink.monitor:
        summary = sink.run(stop, args.until_idle, _show)
    if args.json:
        print(msgspec.json.encode(summary).decode())
    else:
        for kind, count in summary.documents.items():
            print(f"{kind:<12}{count:>12,} documents")
        dead = sum(summary.dead_letters.values())
        print(f"{summary.conflicts} known already, {summary.retried} sent again, {dead} dead letters")
        print(f"{summary.busy_documents_per_s:,} documents/s, lag {summary.lag}")
    return 0


def _retention(args: argparse.Namespace, settings: Settings) -> int:
    """Delete daily indices past their time."""
    before = WALL.now() - settings.elasticsearch.retention_days * retention.DAY
    client = connect(settings)
    old = retention.old_indices(client, settings.elasticsearch.prefix, before)
    if not args.dry_run:
        for number, index in enumerate(retention.delete(client, old), start=1):
            print(f"{number}/{len(old)} {index.name}", file=sys.stderr)
    client.close()
    names = [index.name for index in old]
    if args.json:
        print(json.dumps({"before": to_rfc3339(before), "deleted": not args.dry_run, "indices": names}))
    else:
        print(
            f"{'would delete' if args.dry_run else 'deleted'} {len(old)} indices made before {to_rfc3339(before)[:10]}"
        )
    return 0


def _show(progress: Progress) -> None:
    """One line on standard error."""
    state = f"  waiting: {logs.printable(progress.trouble)}" if progress.trouble else ""
    line = f"sink elasticsearch  {progress.documents:>12,} documents  lag {progress.lag}{state}"
    print(line, file=sys.stderr, flush=True)
