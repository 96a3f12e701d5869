"""The Structured Streaming job writes what a live engine writes, and hands over to one."""

import sys
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchmarks.parity_told import driven
from streams.spark.ranges import RangeEngine
from streams.spark.stage import SparkStage, ends
from streams.verifying.feed import verify_feed
from tapewatch.contract import topics
from tapewatch.settings import Settings
from tests.integration.spark_facts import in_parquet
from tests.integration.spark_market import PARTITIONS, go_on, of_group, work, written
from tests.needs import needs

pytestmark = needs("pyspark")


def test_job_writes_each_row_once_and_hands_over_to_a_live_engine(
    settings: Settings, spark: Any, tmp_path: Path
) -> None:
    feed = written(settings, 200, 3600)
    chosen = msgspec.structs.replace(
        settings.spark, parquet=str(tmp_path / "out"), trigger_seconds=0.0, batch_records=1200, transaction_frames=300
    )
    mine = msgspec.structs.replace(of_group(settings, feed), spark=chosen)
    stage = SparkStage(mine, spark)
    # Spark is longer than that between two batches: silence alone does not end the job.
    stage.run(threading.Event(), 0.01)
    assert stage.totals.batches > 1
    assert stage.totals.transactions > stage.totals.batches
    assert in_parquet(tmp_path / "out", feed) == [driven(mine, feed, partition) for partition in range(PARTITIONS)]
    again = SparkStage(mine, spark)
    again.run(threading.Event(), 0.01)
    assert again.totals.frames == 0
    go_on(settings, feed, 20, 3600 - 180, epoch=2)
    assert 0 < work(mine).totals.rows < stage.totals.rows
    found = verify_feed(mine, feed, quiet=True)
    assert found.sound
    assert found.rows_out > 1000


def test_a_python_process_that_starts_too_slowly_for_spark_does_not_end_the_job(
    settings: Settings, spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed, slow, begun = written(settings, 20, 3600), tmp_path / "python", tmp_path / "begun"
    # Spark waits 10 s for it, which no setting changes.
    slow.write_text(f'#!/bin/sh\n[ -e {begun} ] || {{ touch {begun}; sleep 11; }}\nexec {sys.executable} "$@"\n')
    slow.chmod(0o755)
    monkeypatch.setattr(spark.sparkContext, "pythonExec", str(slow))
    stage = SparkStage(of_group(settings, feed), spark)
    stage.run(threading.Event(), 0.01)
    assert begun.exists()
    assert stage.totals.frames > 0
    assert verify_feed(of_group(settings, feed), feed, quiet=True).sound


def test_workers_that_take_turns_go_on_from_what_each_has_kept(settings: Settings, tmp_path: Path) -> None:
    feed = written(settings, 200, 100)
    chosen = msgspec.structs.replace(settings.spark, parquet=str(tmp_path), transaction_frames=100)
    mine = msgspec.structs.replace(of_group(settings, feed, snapshot_seconds=1e6, replay_seconds=1e6), spark=chosen)
    key = (topics.market(feed), 0)
    whole = ends(mine, [feed])[f"{key[0]}/0"]
    workers = [RangeEngine(mine, key), RangeEngine(mine, key)]
    shares = [workers[turn % 2].work(whole * (turn + 1) // 5) for turn in range(5)]
    assert [each.recovered for each in shares] == [False, True, False, False, False]
    assert sum(each.rows for each in shares) > 0
    assert shares[-1].next_offset == whole
    assert in_parquet(tmp_path, feed)[0] == driven(mine, feed, 0)
