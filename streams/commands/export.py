"""`tapewatch export TOPIC ...`: topics to Parquet, each record once; run again, it goes on where it ended."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from streams.commands.backfill import add_engine
from streams.evidence.gathering import Where
from streams.spark import engines, session
from streams.spark.backfill import resolved
from streams.spark.export import Entry, Job, entered, export, places
from tapewatch.clock import NANOS, WALL
from tapewatch.settings import Settings

_EPILOG = """examples:
  tapewatch export features scores bars alerts --out parquet/
  tapewatch export market.binance --as records --out exported/ --json
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add what to export, as what, and where to."""
    parser.epilog = _EPILOG
    parser.add_argument("topics", nargs="+", metavar="TOPIC", help="what to export")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder that every task can write to")
    parser.add_argument(
        "--as", dest="form", choices=("rows", "records"), default="rows",
        help="rows of frames and messages, to be analysed; or whole records, a market topic's with all that it takes "
        "to compute them again (default: rows)",
    )  # fmt: skip
    add_engine(parser, "here")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON document")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Export and print how far each partition is."""
    begun = WALL.elapsed()
    job = Job(resolved(settings), str(args.out.resolve()), args.form)
    wanted = places(job.settings, args.topics, job.form)
    before = {where: entered(args.out, where, job.form).records for where in wanted}
    entries = _done(args, job, wanted)
    document = {
        "form": args.form,
        "records": sum(each.records - before[each.topic, each.partition] for each in entries),
        "partitions": [msgspec.to_builtins(each) for each in entries],
        "seconds": round((WALL.elapsed() - begun) / NANOS, 1),
    }
    print(msgspec.json.encode(document).decode() if args.json else _text(document, args.out))
    return 0


def _done(args: argparse.Namespace, job: Job, wanted: Sequence[Where]) -> list[Entry]:
    def progress(done: int, total: int) -> None:
        print(f"export: {done} of {total} partitions", file=sys.stderr)

    if args.engine == "here":
        found = []
        for number, where in enumerate(wanted, 1):
            found.append(export(job, where))
            progress(number, len(wanted))
        return found
    spark = session.start(args.master, args.memory, "take --engine here")
    try:
        spread = engines.spread(
            spark, len(wanted), lambda number: msgspec.to_builtins(export(job, wanted[number])), progress
        )
        return [msgspec.convert(each, Entry) for each in spread]
    finally:
        spark.stop()


def _text(document: dict[str, Any], out: Path) -> str:
    lines = [
        f"{each['topic']}[{each['partition']}]  to offset {each['next']:,}  {each['records']:,} records  "
        + ", ".join(f"{table} {count:,}" for table, count in each["rows"].items())
        + (f"  {each['unreadable']:,} unreadable" if each["unreadable"] else "")
        for each in document["partitions"]
    ]
    return "\n".join([*lines, f"{document['records']:,} records in {document['seconds']:.1f} s: {out}"])
