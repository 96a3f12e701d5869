"""`tapewatch backfill`: a feed's history computed again, by partition and session, on Spark or in one process."""

import argparse
import re
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from streams.spark import backfill, session
from streams.spark.backfill import CompletedSession, Job
from streams.spark.sessions import Session, Source, plan
from tapewatch.clock import NANOS, WALL
from tapewatch.contract import topics
from tapewatch.errors import TapewatchError
from tapewatch.market_log import generations
from tapewatch.settings import Settings

_EPILOG = """examples:
  tapewatch backfill --feed binance --out history/
  tapewatch backfill --feed binance --from 2026-01-05 --until 2026-01-09 --out history/ --master local[2] --json
  tapewatch backfill --feed binance --log exported/ --out history/ --engine here
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add what to compute, from what, where to, and by what."""
    parser.epilog = _EPILOG
    parser.add_argument("--feed", required=True, metavar="NAME", help="whose history")
    parser.add_argument("--from", dest="since", type=_day, metavar="DAY", help="first session, 2026-01-31")
    parser.add_argument("--until", type=_day, metavar="DAY", help="last session")
    parser.add_argument(
        "--partition", type=int, action="append", default=[], metavar="N", help="this one only, or these"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder that every task can write to")
    parser.add_argument(
        "--log", type=Path, metavar="DIR", help="from a log that `export --as records` has written (default: Kafka)"
    )
    parser.add_argument("--again", action="store_true", help="compute what is there and whole, too")
    add_engine(parser, "spark")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON document")


def add_engine(parser: argparse.ArgumentParser, usual: str) -> None:
    """Add by what the work is done. usual : the default"""
    parser.add_argument(
        "--engine", choices=("spark", "here"), default=usual, help="Spark, or this process (default: %(default)s)"
    )
    parser.add_argument("--master", default="local[2]", help="Spark's master (default: local[2])")
    parser.add_argument("--memory", default="1g", help="of Spark's driver (default: 1g)")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Compute and print what there is now."""
    begun = WALL.elapsed()
    job = Job(backfill.resolved(settings), str(args.out.resolve()), str(args.log.resolve()) if args.log else "")
    source = Source(job.settings, job.log)
    try:
        sessions = plan(source, args.feed, args.since or "", args.until or "", args.partition)
    finally:
        source.close()
    if not sessions:
        raise TapewatchError("no session lies there", "Leave --from and --until out to see which there are.")
    if not job.log and (later := generations.read(job.settings).successor(topics.market(args.feed))):
        print(f"backfill: {args.feed} goes on as {later.name}: give that name to go on there", file=sys.stderr)
    args.out.mkdir(parents=True, exist_ok=True)
    wanted, whole = backfill.parted(args.out, sessions, args.again)
    done = _done(args, job, wanted)
    document = _document(args.feed, wanted, whole, done) | {"seconds": round((WALL.elapsed() - begun) / NANOS, 1)}
    print(msgspec.json.encode(document).decode() if args.json else _text(document, args.out))
    return 0


def _day(text: str) -> str:
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        raise argparse.ArgumentTypeError("a day is written as 2026-01-31")
    return text


def _done(args: argparse.Namespace, job: Job, sessions: Sequence[Session]) -> list[CompletedSession]:
    def progress(done: int, total: int) -> None:
        print(f"backfill: {done} of {total} sessions", file=sys.stderr)

    if args.engine == "here" or not sessions:
        return backfill.here(job, sessions, progress)
    spark = session.start(args.master, args.memory, "take --engine here")
    try:
        return backfill.on_spark(spark, job, sessions, progress)
    finally:
        spark.stop()


def _document(
    feed: str, wanted: Sequence[Session], whole: Sequence[Session], done: Sequence[CompletedSession]
) -> dict[str, Any]:
    rows: Counter[str] = Counter()
    for each in done:
        rows.update(each.rows)
    return {
        "feed": feed,
        "computed": len(wanted),
        "whole_before": len(whole),
        "records": sum(each.records for each in done),
        "accepted": sum(sum(each.accepted.values()) for each in done),
        "rows": dict(sorted(rows.items())),
        "sessions": [msgspec.to_builtins(each) for each in done],
    }


def _text(document: dict[str, Any], out: Path) -> str:
    lines = [
        f"{each['topic']}[{each['partition']}] {each['day']}  offsets {each['first']:,} to {each['end']:,}  "
        f"{sum(each['rows'].values()):,} rows"
        for each in document["sessions"]
    ]
    tables = ", ".join(f"{name} {count:,}" for name, count in document["rows"].items())
    kept = f", {document['whole_before']} were whole" if document["whole_before"] else ""
    return "\n".join([
        *lines,
        f"{document['computed']} sessions{kept}; {document['accepted']:,} rows in; {tables or 'nothing'} "
        f"in {document['seconds']:.1f} s: {out}",
    ])  # fmt: skip
