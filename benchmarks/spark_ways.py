"""Two ways to do the engine's work in Spark, over the same frames by the same kernels: mapInArrow with the state in the
worker, as `tapewatch run spark` does it, and transformWithStateInPandas with the state in Spark's store (RocksDB).

No broker is in it: market frames come from files, as binary, and what comes out goes into files by Spark's file sink,
so that only the way differs. What both give is held to what the brokerless task gives, bit for bit.

`python -m benchmarks.spark_ways --rows 400000 --out docs/results/spark-ways.json`
"""

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.document import give
from benchmarks.engine_run import START_NS, Shape, frames_of, partition_rows
from benchmarks.figures import Figure, machine, versions
from benchmarks.parity_told import Facts, PartitionOutputs
from benchmarks.spark_ways_tasks import (
    IN,
    OUT,
    Share,
    SparkRun,
    StateStoreProcessor,
    computed,
    fresh,
    in_arrow,
    rows,
    stored,
)
from producers.feed import FrameEncoder
from streams.engine.snapshots import dump
from streams.spark import session
from tapewatch.clock import NANOS
from tapewatch.contract.frames import FrameHeaders

ARROW, STORE = "mapInArrow", "transformWithStateInPandas"
_PACKAGES = ("tapewatch", "pyspark", "pandas", "pyarrow", "protobuf", "numba", "numpy")
_ROCKSDB = "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider"
_WHOLE_FILE = str(1 << 30)

Query = Callable[[Any, SparkRun], Any]


def fill(folder: Path, shape: Shape, batches: int) -> int:
    """Write the log, a file a partition and micro-batch, older ones first; records in all."""
    (folder / "input").mkdir()
    records = 0
    for partition, names in enumerate(shape.by_partition()):
        log = list(_log(shape, partition, names))
        records += len(log)
        for number, part in enumerate(np.array_split(np.arange(len(log)), batches)):
            path = folder / "input" / f"{number:04d}-{partition}.parquet"
            headers, values = zip(*(log[at] for at in part.tolist()), strict=True)
            cells = {
                "partition": pa.array([partition] * len(part), pa.int32()),
                "offset": pa.array(part, pa.int64()),
                "headers": pa.array(headers, pa.binary()),
                "value": pa.array(values, pa.binary()),
            }
            pq.write_table(pa.table(cells), path)
            # Spark takes files by their age.
            os.utime(path, (1_700_000_000 + number, 1_700_000_000 + number))
    return records


def _log(shape: Shape, partition: int, names: list[str]) -> Iterator[tuple[bytes, bytes]]:
    """Headers and value of a partition's records."""
    encoder = FrameEncoder(names)
    values = [("quote", encoder.encode(each)) for each in frames_of(partition_rows(shape, partition, names))]
    closing = np.array([START_NS + shape.seconds * NANOS], dtype=np.int64)
    for sequence, (kind, value) in enumerate([*values, ("status", encoder.heartbeats(closing))]):
        yield msgspec.msgpack.encode(FrameHeaders(kind, "bench", 0, sequence, 0).to_kafka()), value


def driven(folder: Path, shape: Shape) -> tuple[list[Facts], int, float]:
    """What the brokerless task makes of the log, by partition; bytes of all states at the end, and s."""
    begun, found, size = perf_counter(), [], 0
    for partition in range(shape.partitions):
        task, told = fresh(shape, partition), PartitionOutputs()
        for path in stored(str(folder), partition):
            for batch in pq.ParquetFile(path).iter_batches():
                _add(told, computed(task, rows(batch)))
        found.append(told.facts())
        size += len(dump(task))
    return found, size, perf_counter() - begun


def _add(told: PartitionOutputs, batch: pa.RecordBatch) -> None:
    for topic, key, value in zip(*(batch.column(name).to_pylist() for name in ("topic", "key", "value")), strict=True):
        told.record(topic, value, key, [])


def written(run: SparkRun) -> list[Facts]:
    """What a run has written, by partition."""
    table = pa.concat_tables(pq.read_table(path, partitioning=None) for path in (run.own / "out").glob("*.parquet"))
    found = []
    for partition in range(run.shape.partitions):
        told = PartitionOutputs()
        mine = table.filter(pa.compute.equal(table["partition"], partition))
        for batch in mine.sort_by([("offset", "ascending"), ("place", "ascending")]).to_batches():
            _add(told, batch)
        found.append(told.facts())
    return found


def _by_arrow(frame: Any, run: SparkRun) -> Any:
    return frame.mapInArrow(in_arrow(run), OUT)


def _by_store(frame: Any, run: SparkRun) -> Any:
    return frame.groupBy("partition").transformWithStateInPandas(StateStoreProcessor(run), OUT, "append", "none")


WAYS: dict[str, Query] = {ARROW: _by_arrow, STORE: _by_store}


def spark_run(spark: Any, way: str, run: SparkRun) -> dict[str, Any]:
    """One query over the whole log. The first micro-batch, in which workers start, is not in the rates."""
    log = spark.readStream.schema(IN).option("maxFilesPerTrigger", run.shape.partitions).parquet(f"{run.folder}/input")
    query = (
        WAYS[way](log, run)
        .writeStream.format("parquet")
        .option("path", str(run.own / "out"))
        .option("checkpointLocation", str(run.own / "checkpoint"))
        .trigger(availableNow=True)
        .start()
    )
    query.awaitTermination()
    steady = [each for each in query.recentProgress if each["batchId"] > 0 and each["numInputRows"]]
    seconds = sum(each["durationMs"]["triggerExecution"] for each in steady) / 1000
    shares = [msgspec.json.decode(path.read_bytes(), type=Share) for path in (run.own / "shares").glob("*.json")]
    behind = [each for each in shares if each.first]
    batches = len(steady)
    store = sum(path.stat().st_size for path in (run.own / "checkpoint" / "state").rglob("*") if path.is_file())
    return {
        "records_per_s": sum(each["numInputRows"] for each in steady) / seconds,
        "seconds_a_batch": statistics.median(each["durationMs"]["triggerExecution"] for each in steady) / 1000,
        "batches": batches,
        "shares": len(behind),
        "kept": sum(each.kept for each in behind),
        "replayed": sum(each.replayed for each in behind),
        "state_read": sum(each.state_read for each in behind) / batches,
        "state_written": sum(each.state_written for each in behind) / batches,
        "store_files": store / (batches + 1),
    }


def measure(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All figures."""
    facts, shape = machine(), Shape.of(args.instruments, args.rows, args.partitions)
    records = fill(folder, shape, args.batches)
    truth, state, driver_s = driven(folder, shape)
    print(f"brokerless: {driver_s:.1f} s", file=sys.stderr, flush=True)
    spark = session.start(f"local[{args.cores}]")
    spark.conf.set("spark.sql.streaming.stateStore.providerClass", _ROCKSDB)
    spark.conf.set("spark.sql.shuffle.partitions", str(args.partitions))
    # A file is a partition's share of a micro-batch: none is put together with another.
    spark.conf.set("spark.sql.files.openCostInBytes", _WHOLE_FILE)
    spark.conf.set("spark.sql.files.maxPartitionBytes", _WHOLE_FILE)
    runs: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    try:
        for number in range(args.runs):
            for way in WAYS:
                run = SparkRun(str(folder), f"{way}-{number}", shape)
                found = spark_run(spark, way, run) | {"equal": written(run) == truth}
                print(f"{way}: {found['records_per_s']:,.0f} records/s", file=sys.stderr, flush=True)
                runs[way].append(found)
    finally:
        spark.stop()
    rate = shape.rows / records
    return {
        "benchmark": "Spark ways",
        "command": f"python -m benchmarks.spark_ways --rows {args.rows} --instruments {args.instruments} "
        f"--partitions {args.partitions} --batches {args.batches} --runs {args.runs}",
        "rows": shape.rows,
        "records": records,
        "instruments": args.instruments,
        "partitions": args.partitions,
        "micro_batches": args.batches,
        "state_bytes_of_all_partitions": state,
        "driver_rows_per_s": round(shape.rows / driver_s),
        "rows_out": {table: sum(each[table][0] for each in truth if table in each) for table in sorted(truth[0])},
        "ways": {way: _figures(found, rate) for way, found in runs.items()},
        "versions": versions(_PACKAGES),
        "machine": facts,
    }


def _figures(runs: list[dict[str, Any]], rows_a_record: float) -> dict[str, Any]:
    """Of a way: over its runs, without the first micro-batch of each."""

    def over(name: str, digits: int = 0, factor: float = 1.0) -> Figure:
        return Figure.of((each[name] * factor for each in runs), digits)

    return {
        "equal": all(each["equal"] for each in runs),
        "rows_per_s": over("records_per_s", factor=rows_a_record),
        "seconds_a_micro_batch": over("seconds_a_batch", 3),
        "shares": sum(each["shares"] for each in runs),
        "shares_whose_state_the_worker_had": sum(each["kept"] for each in runs),
        "records_replayed": sum(each["replayed"] for each in runs),
        "state_bytes_read_a_micro_batch": over("state_read"),
        "state_bytes_written_a_micro_batch": over("state_written"),
        "bytes_in_sparks_store_a_micro_batch": over("store_files"),
    }


def main() -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--instruments", type=int, default=100)
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--batches", type=int, default=10, help="micro-batches; the first is not in the rates")
    parser.add_argument("--runs", type=int, default=1, help="of each way, in turn")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--out", type=Path, help="write the document here too")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tapewatch-ways-") as folder:
        found = measure(args, Path(folder))
    give(found, args.out)
    return 0 if all(way["equal"] for way in found["ways"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
