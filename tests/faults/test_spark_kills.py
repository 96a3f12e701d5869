"""The Spark job killed in mid-work, driver, JVM and workers: nothing is lost, and nothing lies anywhere twice."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import Message, TopicPartition

from benchmarks.parity_told import driven
from sinks.reconcile.rows import compare_rows
from streams.verifying.feed import verify_feed
from tapewatch.contract import topics
from tapewatch.contract.messages import Alert
from tapewatch.runtime import group_offsets, kafka
from tapewatch.settings import Settings
from tests.eventually import eventually, runs
from tests.integration.elasticsearch_kept import IndexReader, own, run_sink
from tests.integration.elasticsearch_node import Node
from tests.integration.postgres_kept import counted, keep, migrated
from tests.integration.spark_facts import in_parquet
from tests.integration.spark_market import PARTITIONS, of_group, written
from tests.needs import needs

pytestmark = needs("pyspark")


KILLS = 3


def started(settings: Settings, out: Path, until_idle_s: float) -> "subprocess.Popen[bytes]":
    """The job as a process of its own, with a group of processes that die together."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TAPEWATCH_")}
    environment = {
        **kept,
        "TAPEWATCH_DATA": settings.data,
        "TAPEWATCH_KAFKA_BOOTSTRAP": settings.kafka.bootstrap,
        "TAPEWATCH_ENGINE_GROUP": settings.engine.group,
        "TAPEWATCH_SPARK_PARQUET": str(out),
        "TAPEWATCH_SPARK_TRIGGER_SECONDS": "0",
        "TAPEWATCH_SPARK_BATCH_RECORDS": "400",
        "TAPEWATCH_SPARK_TRANSACTION_FRAMES": "150",
        "TAPEWATCH_SPARK_MEMORY": "512m",
        "TAPEWATCH_LOG_LEVEL": "warning",
    }
    words = ["run", "spark", "--feed", settings.engine.feeds[0], "--quiet", "--until-idle", str(until_idle_s)]
    return subprocess.Popen([sys.executable, "-m", "tapewatch", *words], env=environment, start_new_session=True)


def position(settings: Settings) -> int:
    """Sum of the group's committed offsets."""
    reader = kafka.consumer(settings, settings.engine.group)
    try:
        places = [TopicPartition(topics.market(settings.engine.feeds[0]), each) for each in range(PARTITIONS)]
        return sum(max(place.offset, 0) for place in group_offsets.committed(reader, places))
    finally:
        reader.close()


@pytest.mark.long
def test_job_killed_in_mid_work_loses_and_doubles_nothing_anywhere(
    settings: Settings, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    feed, out = written(settings, 700, 3600), tmp_path / "out"
    node = Node(tmp_path_factory.mktemp("elasticsearch"))
    node.start()
    with migrated(of_group(settings, feed)) as ours:
        both = own(ours, node.url)
        try:
            killed_and_finished(both, out)
            found = verify_feed(both, feed, quiet=True)
            assert found.sound
            assert found.rows_out > 3000
            assert in_parquet(out, feed) == [driven(both, feed, partition) for partition in range(PARTITIONS)]
            keep(both)
            run_sink(both)
            report = compare_rows(both, feed)
            assert (report.differences, report.behind) == (0, 0)
            assert counted(both, "features", feed) > 3000
            said = newest(both, feed)
            assert said
            kept = IndexReader(both).documents("alerts")
            assert {id_: document["tapewatch"]["alert"]["revision"] for id_, document in kept.items()} == said
        finally:
            node.stop()


def killed_and_finished(settings: Settings, out: Path) -> None:
    """Kill the job in mid-work, again and again, then let it come to its end."""
    for _ in range(KILLS):
        process, before = started(settings, out, 600.0), position(settings)

        def is_at_work(process: "subprocess.Popen[bytes]" = process, goal: int = before + 300) -> bool:
            return runs(process) and position(settings) >= goal

        eventually(is_at_work, what="the job is in mid-work", seconds=120, pause=0.02)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    last = started(settings, out, 3.0)
    assert last.wait(600) == 0


def newest(settings: Settings, feed: str) -> dict[str, int]:
    """Newest revision of each alert of the feed, by id, as the topic has them."""
    found: dict[str, int] = {}

    def note(message: Message) -> None:
        try:
            alert = msgspec.json.decode(message.value() or b"", type=Alert)
        except msgspec.MsgspecError:
            return  # other tests leave broken ones
        if alert.provenance.topic == topics.market(feed):
            found[alert.id] = max(alert.revision, found.get(alert.id, -1))

    kafka.read_all(settings, topics.ALERTS, note)
    return found
