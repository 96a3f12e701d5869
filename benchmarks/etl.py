"""One million rows of daily bars through the ETL, on Spark and in one process: times, and that every bit is the same.

`python -m benchmarks.etl --out docs/results/etl.json`
"""

import argparse
import filecmp
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import msgspec
import numpy as np
import psutil
import pyarrow as pa
import pyarrow.csv as pc_csv

from benchmarks.figures import Figure, machine, versions
from streams.spark import engines, raw, session
from streams.spark.cleaning import Rule
from streams.spark.job import Plan

SYMBOLS, DAYS = 400, 2_500
_PACKAGES = ("tapewatch", "pyspark", "pandas", "pyarrow", "numpy")


def write_market(folder: Path, symbols: int, days: int, seed: int) -> None:
    """CSV files of random walks, a file a symbol, with missing cells, bad ticks and rows that cannot be."""
    random = np.random.default_rng(seed)
    dates = np.datetime_as_string(np.datetime64("2014-01-01") + np.arange(days))
    for number in range(symbols):
        close = 100.0 * np.exp(np.cumsum(0.015 * random.standard_normal(days)))
        high = close * (1.0 + 0.01 * random.random(days))
        low = close * (1.0 - 0.01 * random.random(days))
        low[random.random(days) < 0.001] *= 2.0
        close[random.random(days) < 0.002] *= 1.5
        opened = np.where(random.random(days) < 0.01, 0.0, close * (1.0 + 0.004 * random.standard_normal(days)))
        volume = random.integers(0, 1_000_000, days).astype(np.float64)
        cells = [opened, high, low, close, volume]
        table = pa.table(
            [dates, *(np.round(each, 4) for each in cells)], ["Date", "Open", "High", "Low", "Close", "Volume"]
        )
        pc_csv.write_csv(table, folder / f"S{number:04}.csv")


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What it gave, and s."""
    began = perf_counter()
    found = work()
    return found, perf_counter() - began


def children_s() -> float:
    """Processor time of the processes below this one, s: Spark's JVM and Python workers."""
    times = [child.cpu_times() for child in psutil.Process().children(recursive=True)]
    return float(sum(each.user + each.system for each in times))


def same_files(one: Path, other: Path) -> bool:
    """Whether two folders hold the same files, byte for byte."""
    files = sorted(path.relative_to(one) for path in one.rglob("*") if path.is_file())
    theirs = sorted(path.relative_to(other) for path in other.rglob("*") if path.is_file())
    return files == theirs and all(filecmp.cmp(one / file, other / file, shallow=False) for file in files)


def measure(folder: Path, symbols: int, days: int, runs: int, cores: int) -> dict[str, Any]:
    """All figures. folder : to work in, empty"""
    market = folder / "market"
    market.mkdir()
    write_market(market, symbols, days, seed=1)
    sources = raw.find([market])
    rule = Rule(outliers="clip")
    before = machine()
    plans = {name: Plan(str(folder / name), rule, records="rows") for name in ("spark", "pandas")}
    cpu = process_time()
    quality, pandas_s = timed(lambda: engines.on_pandas(sources, plans["pandas"]))
    pandas_cpu = process_time() - cpu
    spark, start_s = timed(lambda: session.start(f"local[{cores}]"))
    try:
        start_cpu = children_s()
        runs_s, cpus = [], [start_cpu]
        for number in range(runs):
            counts, seconds = timed(lambda: engines.on_spark(spark, sources, plans["spark"]))
            runs_s.append(seconds)
            cpus.append(children_s())
            print(f"spark, run {number + 1}: {seconds:.1f} s", file=sys.stderr)
        ways = {name: [timed(way)[1] for _ in range(runs)] for name, way in _ways(spark, sources, rule, folder).items()}
    finally:
        spark.stop()
    rows = sum(one["rows"] for one in quality)
    return {
        "benchmark": "ETL of daily bars",
        "rows": rows,
        "symbols": symbols,
        "bars": sum(one["bars"] for one in quality),
        "outputs": "Parquet and TFRecord, a record a bar",
        "runs": runs,
        "pandas": {"seconds": round(pandas_s, 1), "cpu_s": round(pandas_cpu, 1), "rows_per_s": round(rows / pandas_s)},
        "spark": {
            "master": f"local[{cores}]",
            "start_s": round(start_s, 1),
            "start_cpu_s": round(start_cpu, 1),
            "seconds": Figure.of(runs_s),
            "cpu_s": Figure.of(np.diff(cpus)),
            "rows_per_s": round(rows / float(np.median(runs_s))),
        },
        "rows_through_spark_s": {name: Figure.of(seconds) for name, seconds in ways.items()},
        "equal": {"quality": counts == quality, "files": same_files(folder / "spark", folder / "pandas")},
        "versions": versions(_PACKAGES),
        "machine": before,
    }


def _ways(spark: Any, sources: Any, rule: Rule, folder: Path) -> dict[str, Callable[[], Any]]:
    """Other ways for clean rows to come out: as a DataFrame, through Arrow or through pandas, counted or written."""
    frame = engines.bars(spark, sources, rule)
    through_pandas = frame.groupBy("symbol").applyInPandas(lambda rows: rows, frame.schema)
    written = frame.write.mode("overwrite").partitionBy("symbol")
    return {
        "mapInArrow, counted": lambda: frame.selectExpr("count(close)").collect(),
        "mapInArrow, written by Spark as Parquet": lambda: written.parquet(str(folder / "by_spark")),
        "mapInArrow, shuffled by symbol into applyInPandas, counted": lambda: through_pandas.selectExpr(
            "count(close)"
        ).collect(),
    }


def main() -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="write the document here too")
    parser.add_argument("--symbols", type=int, default=SYMBOLS)
    parser.add_argument("--days", type=int, default=DAYS)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--cores", type=int, default=2)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), args.symbols, args.days, args.runs, args.cores)
    found["command"] = "python -m benchmarks.etl --out docs/results/etl.json"
    document = msgspec.json.format(msgspec.json.encode(found)).decode()
    if args.out:
        args.out.write_text(document + "\n", encoding="utf-8")
    print(document)
    return 0 if all(found["equal"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
