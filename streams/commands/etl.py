"""`tapewatch etl`: bars of many instruments, cleaned, to Parquet and TFRecord, on Spark or in one process."""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from streams.spark import engines, raw, session
from streams.spark.cleaning import Rule
from streams.spark.job import Plan
from streams.spark.raw import Source
from tapewatch.clock import WallClock
from tapewatch.errors import TapewatchError
from tapewatch.settings import Settings

_EPILOG = """examples:
  tapewatch etl --daily DIR --out clean/ --format both
  tapewatch etl --minute DIR --out clean/ --engine pandas --outliers clip --json
"""
_SHOWN = 20


def configure(parser: argparse.ArgumentParser) -> None:
    """Add what to read, where to write, and how to clean."""
    parser.epilog = _EPILOG
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument("--daily", type=Path, nargs="+", metavar="DIR", help="folders of daily bars, one file a symbol")
    given.add_argument("--minute", type=Path, nargs="+", metavar="DIR", help="the same of minute bars, times UTC")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new or empty folder")
    parser.add_argument("--engine", choices=("spark", "pandas"), default="spark", help="default: spark")
    parser.add_argument("--format", choices=("parquet", "tfrecord", "both"), default="parquet", help="default: parquet")
    parser.add_argument(
        "--records", choices=("windows", "rows"), default="windows",
        help="a TFRecord's record: a window of 50 bars x 8 columns, or a bar (default: windows)",
    )  # fmt: skip
    parser.add_argument(
        "--outliers", choices=("keep", "clip"), default="keep",
        help="what becomes of a bar whose return is an outlier; it is marked in any case (default: keep)",
    )  # fmt: skip
    parser.add_argument("--limit", type=float, default=10.0, help="robust z of an outlier (default: 10)")
    parser.add_argument("--master", default="local[2]", help="Spark's master (default: local[2])")
    parser.add_argument("--memory", default="1g", help="of Spark's driver (default: 1g)")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON document")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Clean and print the counts."""
    if not args.limit > 0:
        raise TapewatchError("--limit is not positive", "Take some robust standard deviations, such as 10.")
    if args.out.exists() and not args.out.is_dir():
        raise TapewatchError(f"{args.out} is no folder", "Name a new folder with --out.")
    if args.out.exists() and any(args.out.iterdir()):
        raise TapewatchError(f"{args.out} is not empty", "Name a new folder with --out.")
    sources = raw.find(_folders(args.daily or args.minute))
    rule = Rule(86_400 if args.daily else 60, args.outliers, args.limit)
    records = None if args.format == "parquet" else args.records
    plan = Plan(str(args.out.resolve()), rule, args.format != "tfrecord", records)
    args.out.mkdir(parents=True, exist_ok=True)
    began = WallClock().elapsed()
    quality = _done(args, sources, plan)
    document = document_of(args.engine, plan, quality) | {"seconds": (WallClock().elapsed() - began) / 1e9}
    (args.out / "quality.json").write_text(
        msgspec.json.format(msgspec.json.encode({**document, "symbols": quality})).decode() + "\n", encoding="utf-8"
    )
    print(msgspec.json.encode({**document, "symbols": quality}).decode() if args.json else text(document, quality))
    return 0 if document["bars"] else 1


def _folders(folders: Sequence[Path]) -> Sequence[Path]:
    for folder in folders:
        if not folder.is_dir():
            raise TapewatchError(f"{folder} is no folder", "Name folders of CSV or Parquet files.")
    return folders


def _done(args: argparse.Namespace, sources: Sequence[Source], plan: Plan) -> list[dict[str, Any]]:
    told = -1

    def progress(done: int, total: int) -> None:
        nonlocal told
        if (tenths := done * 10 // total) > told:
            told = tenths
            print(f"etl: {done} of {total} symbols", file=sys.stderr)

    if args.engine == "pandas":
        return engines.on_pandas(sources, plan, progress)
    spark = session.start(args.master, args.memory)
    try:
        return engines.on_spark(spark, sources, plan, progress)
    finally:
        spark.stop()


def document_of(engine: str, plan: Plan, quality: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Sums over symbols."""
    refused: Counter[str] = Counter()
    filled: Counter[str] = Counter()
    for one in quality:
        refused.update(one["refused"])
        filled.update(one["filled"])
    sums = ("rows", "bars", "outliers", "clipped", "close_outside_bar")
    return {
        "engine": engine,
        "rule": msgspec.to_builtins(plan.rule),
        "out": plan.out,
        **{name: sum(one[name] for one in quality) for name in sums},
        "records": sum(one.get("records", 0) for one in quality),
        "refused": dict(sorted(refused.items())),
        "filled": dict(sorted(filled.items())),
    }


def text(document: dict[str, Any], quality: Sequence[dict[str, Any]]) -> str:
    """The counts as lines; the symbols with most refused rows first."""
    worst = sorted(quality, key=lambda one: (one["bars"] - one["rows"], one["symbol"]))[:_SHOWN]
    lines = [f"{'symbol':28}{'rows':>9}{'bars':>9}{'outliers':>10}{'clipped':>9}  refused"]
    lines += [
        f"{one['symbol']:28}{one['rows']:>9,}{one['bars']:>9,}{one['outliers']:>10}{one['clipped']:>9}  "
        + ", ".join(f"{reason} {count}" for reason, count in one["refused"].items())
        for one in worst
    ]
    lines += [f"... and {len(quality) - _SHOWN} more"] if len(quality) > _SHOWN else []
    refused = sum(document["refused"].values())
    return "\n".join([
        *lines,
        f"{len(quality)} symbols, {document['rows']:,} rows: {document['bars']:,} bars, {refused:,} rows refused "
        f"(see refused/), {document['records']:,} records in {document['seconds']:.1f} s: {document['out']}",
    ])  # fmt: skip
