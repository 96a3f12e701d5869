"""Exports hold each record once, whole and in rows, whenever they are killed and however often they are run again."""

import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from streams.spark import export
from streams.spark.export import Entry, Job
from streams.spark.stored_log import StoredLog, StoredRegistry
from tapewatch import cli
from tapewatch.contract.topics import TopicSpec
from tapewatch.errors import TapewatchError
from tapewatch.runtime import kafka
from tapewatch.settings import Settings
from tests.eventually import eventually, runs
from tests.unit import engine_market as m

NAMES = ["*", "AA.SIMX", "AB.SIMX"]
RECORDS = 60_000


@pytest.fixture
def topic(settings: Settings) -> str:
    """A topic of one partition."""
    name = f"export-{uuid.uuid4().hex[:8]}"
    kafka.create_topics(settings, [TopicSpec(name, 1)])
    return name


def send(settings: Settings, topic: str, count: int, first: int = 0) -> None:
    """Frames of two trades each, over two days that take turns, and a message every tenth time."""
    producer = kafka.producer(settings, linger_ms=5)
    for number in range(first, first + count):
        if number % 10 == 9:
            producer.produce(topic, b'{"instrument":"AA.SIMX","number":%d}' % number, b"key", 0)
            continue
        second = number + (number % 2) * 86_400
        events = [m.trade(name, second, 100.0 + number) for name in NAMES[1:]]
        producer.produce(topic, m.frame(events, NAMES), None, 0, headers=[("type", b"trade"), ("version", b"1")])
        producer.poll(0)
    assert producer.flush(30) == 0


def rows(out: Path, topic: str, table: str) -> pa.Table:
    """All rows of a table by their place in the log."""
    files = sorted((out / topic / table).rglob("*.parquet"))
    return pa.concat_tables([pq.ParquetFile(path).read() for path in files]).sort_by("log_offset")


def test_rows_are_there_once_with_their_place_and_go_on_where_they_ended(
    settings: Settings, topic: str, tmp_path: Path
) -> None:
    send(settings, topic, 100)
    job = Job(settings, str(tmp_path), stretch=30)
    done = export.export(job, (topic, 0))
    assert (done.next, done.records, done.rows) == (100, 100, {"trade": 180, topic: 10})
    assert export.export(job, (topic, 0)) == done
    send(settings, topic, 50, 100)
    assert export.export(job, (topic, 0)).records == 150
    trades = rows(tmp_path, topic, "trade")
    wanted = [number for number in range(150) if number % 10 != 9 for _ in NAMES[1:]]
    assert trades["log_offset"].to_pylist() == wanted
    assert trades["price"].to_pylist() == [100.0 + number for number in wanted]
    assert set(trades["instrument"].to_pylist()) == set(NAMES[1:])
    assert len(list((tmp_path / topic / "trade" / "partition=0").glob("day=*"))) == 2
    said = rows(tmp_path, topic, topic)["message"].to_pylist()
    assert [json.loads(each)["number"] for each in said] == list(range(9, 150, 10))


def test_whole_records_come_back_as_they_were(settings: Settings, topic: str, tmp_path: Path) -> None:
    send(settings, topic, 45)
    export.export(Job(settings, str(tmp_path), "records", stretch=20), (topic, 0))
    reader = kafka.consumer(settings)
    wanted = [
        (each.offset(), each.timestamp()[1], each.key(), each.value(), each.headers() or [])
        for each in kafka.read_range(reader, topic, 0, 0, 45)
    ]
    reader.close()
    log = StoredLog(tmp_path)
    found = [
        (each.offset, each.timestamp_ms, each.key, each.value, each.headers) for each in log.read((topic, 0), 0, 99)
    ]
    assert found == wanted
    assert [each.offset for each in log.read((topic, 0), 19, 21)] == [19, 20, 21]
    assert log.bounds((topic, 0)) == (0, 45)
    with pytest.raises(TapewatchError, match=r"holds .* as records"):
        export.export(Job(settings, str(tmp_path), "rows"), (topic, 0))


def test_registry_of_an_export_counts_the_topics_partitions_whichever_are_empty_or_not_exported_yet(
    settings: Settings, tmp_path: Path
) -> None:
    name = f"export-{uuid.uuid4().hex[:8]}"
    kafka.create_topics(settings, [TopicSpec(name, 3)])
    send(settings, name, 5)
    export.export(Job(settings, str(tmp_path), "records"), (name, 0))
    log = StoredLog(tmp_path)
    assert log.partitions(name) == 1
    assert StoredRegistry(log).partitions(name) == 3
    ledger = export.ledger(tmp_path, (name, 0))
    ledger.write_text(f'{{"topic":"{name}","partition":0,"form":"records","next":5,"records":5}}')
    assert StoredRegistry(log).partitions(name) == 0


def test_files_that_the_ledger_does_not_cover_are_taken_away(settings: Settings, topic: str, tmp_path: Path) -> None:
    send(settings, topic, 40)
    job = Job(settings, str(tmp_path), stretch=20)
    done = export.export(job, (topic, 0))
    ledger = export.ledger(tmp_path, (topic, 0))
    ledger.unlink()
    ledger.write_text(f'{{"topic":"{topic}","partition":0,"form":"rows","next":20,"records":20}}')
    before = rows(tmp_path, topic, "trade")
    assert export.export(job, (topic, 0)).next == done.next
    assert rows(tmp_path, topic, "trade") == before


def test_log_whose_records_are_gone_is_refused(settings: Settings, topic: str, tmp_path: Path) -> None:
    send(settings, topic, 5)
    job = Job(settings, str(tmp_path))
    export.export(job, (topic, 0))
    export._enter(tmp_path, Entry(topic, 0, "rows", 9))
    with pytest.raises(TapewatchError, match="the export at 9"):
        export.export(job, (topic, 0))


@pytest.fixture
def command(settings: Settings, topic: str, tmp_path: Path) -> Iterator[Any]:
    """The command as a process."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TAPEWATCH_")}
    environment = {**kept, "TAPEWATCH_KAFKA_BOOTSTRAP": settings.kafka.bootstrap}
    words = [sys.executable, "-m", "tapewatch", "export", topic, "--out", str(tmp_path), "--as", "records"]
    yield lambda: subprocess.Popen(words, env=environment)


def test_export_that_is_killed_in_mid_work_leaves_no_hole_and_nothing_twice(
    settings: Settings, topic: str, tmp_path: Path, command: Any, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    producer = kafka.producer(settings, linger_ms=20)
    frame = m.frame([m.trade(name, 1.0, 100.0) for name in NAMES[1:]], NAMES)
    for _ in range(RECORDS):
        kafka.enqueue(producer, topic, frame, None, [("type", b"trade"), ("version", b"1")], 0)
    assert producer.flush(30) == 0
    process = command()
    eventually(
        lambda: list((tmp_path / topic).rglob("*.parquet")) or not runs(process), what="a file", pause=0.005
    )  # fmt: skip
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    monkeypatch.setenv("TAPEWATCH_KAFKA_BOOTSTRAP", settings.kafka.bootstrap)
    assert cli.main(["export", topic, "--out", str(tmp_path), "--as", "records", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["partitions"][0]["records"] == RECORDS
    offsets = [each.offset for each in StoredLog(tmp_path).read((topic, 0), 0, 2**62)]
    assert offsets == list(range(RECORDS))
