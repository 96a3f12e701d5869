"""What the Spark job has written, by input partition."""

from pathlib import Path

from benchmarks.parity_told import Facts, PartitionOutputs
from streams.spark.backfill import batches
from streams.spark.stored_log import span
from tests.integration.spark_market import PARTITIONS


def in_parquet(out: Path, feed: str) -> list[Facts]:
    """What the job has written as Parquet, by input partition."""
    found = []
    for partition in range(PARTITIONS):
        told = PartitionOutputs()
        for place in sorted(out.glob(f"*/feed={feed}/partition={partition}")):
            for batch in batches(sorted(place.glob("[0-9]*.parquet"), key=span)):
                told.add(place.relative_to(out).parts[0], batch)
        found.append(told.facts())
    return found
