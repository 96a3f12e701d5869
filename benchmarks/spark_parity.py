"""Live engine, brokerless driver and Spark over one log: every row of every output the same, bit for bit, and how long
each took.

`python -m benchmarks.spark_parity --rows 50000000 --out docs/results/spark-parity.json`
`python -m benchmarks.spark_parity --recording FILE ... --out docs/results/spark-parity-recordings.json`
"""

import argparse
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter
from typing import Any

import msgspec
from confluent_kafka import TopicPartition

from benchmarks.engine import fill_market
from benchmarks.engine_run import Shape, command, engine_process, environment, own_stack
from benchmarks.figures import machine, versions
from benchmarks.parity_told import Facts, by_partition, driven, in_partition, joined, on_topic, watched
from streams.driver import TOPICS
from streams.spark import backfill, session
from streams.spark.backfill import Job
from streams.spark.sessions import Session, Source, plan
from tapewatch import settings
from tapewatch.contract import topics
from tapewatch.errors import TapewatchError
from tapewatch.runtime import group_offsets, kafka
from tapewatch.settings import Settings

LONGEST_S = 3600.0
_PACKAGES = ("tapewatch", "pyspark", "pyarrow", "confluent-kafka", "numba", "numpy")


def timed(what: str, work: Callable[[], Any]) -> tuple[Any, float]:
    """What it gave, and s; said on standard error."""
    begun = perf_counter()
    found = work()
    seconds = perf_counter() - begun
    print(f"{what}: {seconds:.1f} s", file=sys.stderr, flush=True)
    return found, round(seconds, 1)


def beside(cores: int, work: Callable[..., Any], given: Sequence[tuple[Any, ...]]) -> list[Any]:
    """What `work` gives for each of these arguments, in their order, in so many processes."""
    with ProcessPoolExecutor(min(cores, len(given)), mp_context=get_context("spawn")) as pool:
        return [each.result() for each in [pool.submit(work, *arguments) for arguments in given]]


def compare(own: Settings, feed: str, folder: Path, cores: int) -> dict[str, Any]:
    """The three ways over a feed's log, whose records are all there. folder : for Spark's output"""
    mine = msgspec.structs.replace(own, engine=msgspec.structs.replace(own.engine, group=f"parity-{feed}"))
    partitions = kafka.existing_topics(kafka.admin(mine))[topics.market(feed)]
    (totals, _), live_s = timed("live engine", lambda: _live(mine, feed, partitions))
    outputs = [(mine, feed, partitions, topic) for topic in TOPICS]
    live, read_s = timed("its topics read back", lambda: joined(beside(cores, on_topic, outputs)))
    inputs = [(mine, feed, partition) for partition in range(partitions)]
    truth, driver_s = timed("driver", lambda: beside(cores, driven, inputs))
    source = Source(mine)
    sessions = plan(source, feed)
    source.close()
    spark, start_s = timed("start of Spark", lambda: session.start(f"local[{cores}]"))
    try:
        job = Job(backfill.resolved(mine), str(folder))
        done, spark_s = timed("Spark", lambda: _on_spark(spark, job, sessions))
    finally:
        spark.stop()
    written = [(folder, each) for each in by_partition(sessions)]
    found, parquet_s = timed("its Parquet read back", lambda: beside(cores, in_partition, written))
    rows = sum(totals["by_type"].values())
    return {
        "feed": feed,
        "rows_in": rows,
        "refused": totals["refused"],
        "partitions": partitions,
        "sessions": len(sessions),
        "openings": sum(each.opening for each in sessions),
        "rows_out": _sums(truth),
        "equal": {"live engine and driver": live == truth, "Spark and driver": found == truth},
        "digests": [{table: digest for table, (_, digest) in facts.items()} for facts in truth],
        "seconds": {
            "live engine": live_s, "topics read back": read_s, f"driver, {cores} processes": driver_s,
            "start of Spark": start_s, f"Spark, local[{cores}], to Parquet": spark_s, "Parquet read back": parquet_s,
        },
        "rows_per_s": {
            "live engine": round(rows / totals["work_ns"] * 1e9), f"driver, {cores} processes": round(rows / driver_s),
            "Spark": round(rows / spark_s),
        },
        "records": sum(each.records for each in done),
        "parquet_bytes": sum(path.stat().st_size for path in folder.rglob("*.parquet")),
    }  # fmt: skip


def _live(own: Settings, feed: str, partitions: int) -> tuple[dict[str, Any], int]:
    """A live engine over one feed, until it is idle."""
    (Path(own.data) / "tapewatch.toml").write_text(f'[engine]\nfeeds = ["{feed}"]\n')
    group = kafka.consumer(own, own.engine.group)
    places = [TopicPartition(topics.market(feed), partition) for partition in range(partitions)]
    whole = sum(kafka.watermarks(group, each.topic, each.partition)[1] for each in places)

    def look() -> tuple[int, float]:
        done = sum(max(each.offset, 0) for each in group_offsets.committed(group, places))
        return done, done / whole

    try:
        with watched("live engine", "records", look):
            return engine_process(own, own.engine.group, LONGEST_S)
    finally:
        group.close()


def _on_spark(spark: Any, job: Job, sessions: Sequence[Session]) -> list[backfill.CompletedSession]:
    """A backfill, its Parquet watched as it grows."""
    share = 0.0

    def progress(done: int, total: int) -> None:
        nonlocal share
        share = done / total

    def look() -> tuple[int, float]:
        size = 0
        for path in Path(job.out).rglob("*"):
            # One that has got its name since it was listed is counted the next time.
            with suppress(FileNotFoundError):
                size += path.stat().st_size
        return size >> 20, share

    with watched("Spark", "MiB of Parquet", look):
        return backfill.on_spark(spark, job, sessions, progress)


def _sums(truth: Sequence[Facts]) -> dict[str, int]:
    tables = sorted({table for facts in truth for table in facts})
    return {table: sum(facts[table][0] for facts in truth if table in facts) for table in tables}


def replay(own: Settings, recording: Path) -> str:
    """Send a recording into the broker; its feed."""
    before = set(kafka.existing_topics(kafka.admin(own)))
    words = command("produce", "replay", str(recording), "--speed", "max")
    done = subprocess.run(words, env=environment(own), cwd=own.data, check=False)  # noqa: S603 - our own words
    fresh = [each for each in set(kafka.existing_topics(kafka.admin(own))) - before if topics.is_market(each)]
    if done.returncode or len(fresh) != 1:
        raise TapewatchError(f"{recording} was not replayed into a feed of its own", "Its messages stand above.")
    return topics.feed_of(fresh[0])


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """All figures."""
    facts, results = machine(), []
    with own_stack(settings.load(environment={})) as own:
        if args.recording:
            for recording in args.recording:
                feed = replay(own, recording)
                results.append({"recording": recording.name, **compare(own, feed, Path(own.data) / feed, args.cores)})
        else:
            shape = Shape.of(args.instruments, args.rows, args.partitions)
            timed("filling the log", lambda: fill_market(own, "parity", shape))
            results.append(
                {"instruments": args.instruments, **compare(own, "parity", Path(own.data) / "p", args.cores)}
            )
    return {"benchmark": "Spark parity", "runs": results, "versions": versions(_PACKAGES), "machine": facts}


def main() -> int:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=50_000_000)
    parser.add_argument("--instruments", type=int, default=500)
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--recording", type=Path, nargs="+", metavar="FILE", help="these instead of synthetic rows")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--out", type=Path, help="write the document here too")
    args = parser.parse_args()
    found = measure(args)
    words = [f"--recording {' '.join(each.name for each in args.recording)}"] if args.recording else [
        f"--rows {args.rows}", f"--instruments {args.instruments}", f"--partitions {args.partitions}"
    ]  # fmt: skip
    found["command"] = " ".join(["python -m benchmarks.spark_parity", *words])
    document = msgspec.json.format(msgspec.json.encode(found)).decode()
    if args.out:
        args.out.write_text(document + "\n", encoding="utf-8")
    print(document)
    return 0 if all(all(run["equal"].values()) for run in found["runs"]) else 1


if __name__ == "__main__":
    sys.exit(main())
