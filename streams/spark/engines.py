"""The two engines: the same job for every symbol, one after the other here or a Spark task each."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import msgspec
import pyarrow as pa

from streams.spark import job, raw
from streams.spark.cleaning import BARS, Rule, clean
from streams.spark.job import Plan
from streams.spark.raw import Source
from tapewatch.errors import TapewatchError

Progress = Callable[[int, int], None]
"""Called with the symbols that are done, and all."""
_BARS = "symbol string, at bigint, " + ", ".join(f"`{name}` double" for name in BARS.names[2:-1]) + ", flags tinyint"
_LOOK_S = 0.5


def on_pandas(sources: Sequence[Source], plan: Plan, progress: Progress | None = None) -> list[dict[str, Any]]:
    """Quality counts of every symbol, in the order of the sources; everything in this process."""
    found = []
    for number, source in enumerate(sources, 1):
        found.append(job.do(source, plan))
        if progress is not None:
            progress(number, len(sources))
    return found


def on_spark(
    spark: Any, sources: Sequence[Source], plan: Plan, progress: Progress | None = None
) -> list[dict[str, Any]]:
    """The same counts from Spark: one partition, and so one task, a symbol; tasks read and write the files themselves.

    spark : SparkSession; every executor must see the folders under the same path
    TapewatchError where a task fails, after Spark's own tries
    """
    return spread(spark, len(sources), lambda number: job.do(sources[number], plan), progress)


def spread(
    spark: Any, count: int, do: Callable[[int], dict[str, Any]], progress: Progress | None = None
) -> list[dict[str, Any]]:
    """What `do` gives for each number below `count`, a Spark task each; it must be safe to do a number twice.

    TapewatchError where a task fails, after Spark's own tries
    """
    from pyspark.errors import PySparkException

    def tasks(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number in batch.column(0).to_pylist():
                found = msgspec.json.encode(do(number))
                yield pa.record_batch({"number": [number], "found": pa.array([found], pa.binary())})

    frame = _partitions(spark, count).mapInArrow(tasks, "number bigint, found binary")
    with ThreadPoolExecutor(1) as beside:
        rows = beside.submit(frame.collect)
        _watch(spark, rows, count, progress)
    try:
        by_number = {row["number"]: msgspec.json.decode(bytes(row["found"])) for row in rows.result()}
    except PySparkException as error:
        last = str(error).strip().splitlines()[-1]
        raise TapewatchError(
            f"a Spark task failed: {last}", "See the trace above, or work without Spark: --engine."
        ) from error
    return [by_number[number] for number in range(count)]


def bars(spark: Any, sources: Sequence[Source], rule: Rule) -> Any:
    """Clean bars as a Spark DataFrame with the columns of BARS, a partition a symbol, oldest first in it."""

    def cleaned(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for source in _own(batches, sources):
            yield from clean(source.symbol, raw.read(source), rule).bars.to_batches(max_chunksize=10_000)

    return _partitions(spark, len(sources)).mapInArrow(cleaned, _BARS)


def _partitions(spark: Any, count: int) -> Any:
    """The numbers below `count`, one in a partition."""
    return spark.range(0, count, 1, numPartitions=max(count, 1))


def _own(batches: Iterator[pa.RecordBatch], sources: Sequence[Source]) -> Iterator[Source]:
    for batch in batches:
        for number in batch.column(0).to_pylist():
            yield sources[number]


def _watch(spark: Any, rows: "Future[Any]", total: int, progress: Progress | None) -> None:
    """Tell how many tasks are done until all are."""
    tracker = spark.sparkContext.statusTracker()
    while not wait([rows], timeout=_LOOK_S).done:
        stages = [tracker.getStageInfo(each) for each in tracker.getActiveStageIds()]
        if progress is not None and any(stages):
            progress(sum(each.numCompletedTasks for each in stages if each), total)
    if progress is not None:
        progress(total, total)
