"""Real recordings through the engine: the pumps are found, every record is accounted for, and twice is once."""

import os
import threading
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import psycopg2
import pytest
from sqlalchemy.engine import make_url

from infra import migrations
from producers.feed import FrameEncoder, RecordedFrames
from producers.recordings import announcement_ns, open_recording
from producers.replay import replay
from sinks.postgres import PostgresSink
from streams.driver import Driver
from streams.engine.process import Engine
from streams.engine.totals import Totals
from tapewatch.clock import NANOS
from tapewatch.contract import messages, topics
from tapewatch.contract.frames import FrameHeaders
from tapewatch.contract.messages import Alert, from_rfc3339
from tapewatch.market_log.registry import FixedRegistry
from tapewatch.runtime import kafka
from tapewatch.settings import PostgresSettings, Settings

DATA = Path(os.environ.get("TAPEWATCH_TEST_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no recorded data at {DATA}; set TAPEWATCH_TEST_DATA")
SPOT = [DATA / "binance" / f"spot_btcusdt_2024080{day}.gz" for day in (8, 9)]
PUMPS = ["AST_2018-09-07T15.30.csv.gz", "ICN_2018-09-11T15.30.csv.gz"]
AFTER_S = 30


def alerts_of(path: Path) -> list[Alert]:
    """Every alert record that a recording raises, cut into frames as its replay cuts it."""
    recording = open_recording([path])
    (instrument,) = recording.instruments
    driver, encoder, frames = Driver(FixedRegistry([instrument])), FrameEncoder([instrument.id]), RecordedFrames(1)
    found: list[Alert] = []
    sequence = 0

    def send(due) -> None:
        nonlocal sequence
        beats = due.rows is None
        times = np.arange(due.beats.start, due.beats.stop) * NANOS
        value = encoder.heartbeats(times) if beats else encoder.encode(due.rows)
        driver.record(value, FrameHeaders("status" if beats else "trade", "recording", 0, sequence, 0).to_kafka())
        sequence += 1

    for chunk in recording.chunks():
        for due in frames.cut(chunk):
            send(due)
        found += [messages.decode(Alert, one.value) for one in driver.task.take() if one.topic == topics.ALERTS]
    for due in frames.end():
        send(due)
    return found + [messages.decode(Alert, one.value) for one in driver.task.take() if one.topic == topics.ALERTS]


@pytest.mark.parametrize("name", PUMPS)
def test_announced_pump_is_found_within_thirty_seconds_with_few_false_alerts(name: str) -> None:
    path = DATA / "pumps" / name
    announced = announcement_ns(path)
    assert announced is not None
    opened = [alert for alert in alerts_of(path) if alert.scenario == "pump_and_dump" and alert.state == "open"]
    delays = [(from_rfc3339(alert.decided) - announced) / NANOS for alert in opened]
    hits = [delay for delay in delays if 0 <= delay <= AFTER_S]
    assert len(hits) == 1, delays
    assert len(delays) - len(hits) <= 4, delays


@pytest.fixture
def ours(settings: Settings):
    """The session's stack with a migrated database of the test's own, and an engine group of its own."""
    name = f"recorded_{uuid.uuid4().hex[:12]}"
    server = make_url(settings.postgres.url)
    execute(server.render_as_string(hide_password=False), f"CREATE DATABASE {name}")
    url = server.set(database=name).render_as_string(hide_password=False)
    migrations.migrate(url)
    yield msgspec.structs.replace(settings, postgres=PostgresSettings(url=url))
    execute(server.render_as_string(hide_password=False), f"DROP DATABASE {name} WITH (FORCE)")


def execute(url: str, statement: str) -> list[tuple[Any, ...]]:
    dsn = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with closing(psycopg2.connect(dsn)) as session:
        session.autocommit = True
        with session.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []


def run_engine(settings: Settings, feed: str) -> Totals:
    """An engine over the feed until it is idle."""
    group = msgspec.structs.replace(settings.engine, group=feed, instance=feed, feeds=(feed,), snapshot_seconds=0.2)
    engine = Engine(msgspec.structs.replace(settings, engine=group))
    engine.run(threading.Event(), until_idle_s=0.5)
    return engine.totals


def kept(settings: Settings, topic: str) -> dict[str, int]:
    """Rows of the feed in PostgreSQL by table."""
    tables = ("quotes", "trades", "books", "features", "scores", "bars")
    counted = {
        table: execute(
            settings.postgres.url,
            f"SELECT count(*) FROM {table} t JOIN logs l ON l.id = t.log_id WHERE l.topic = '{topic}'",
        )[0][0]
        for table in tables
    }
    alerts = "SELECT count(*) FROM alerts"
    return {**counted, "alerts": execute(settings.postgres.url, alerts)[0][0]}


def end(settings: Settings, topic: str) -> int:
    """Next offset of a topic, all partitions together."""
    reader = kafka.consumer(settings)
    count = kafka.existing_topics(kafka.admin(settings))[topic]
    highs = [kafka.watermarks(reader, topic, partition)[1] for partition in range(count)]
    reader.close()
    return sum(highs)


def test_spot_recordings_are_kept_row_for_row_and_a_second_replay_adds_nothing(ours: Settings) -> None:
    feed = f"spot-{uuid.uuid4().hex[:8]}"
    topic = topics.market(feed)
    sent = replay(ours, SPOT, feed=feed)
    assert sent.refused == {"before_snapshot": 2}
    first = run_engine(ours, feed)
    PostgresSink(ours).run(threading.Event(), until_idle=0.5)
    before = kept(ours, topic)
    assert (before["quotes"], before["trades"]) == (73_174, 19_904)
    assert before["books"] == 6_495 - sent.refused["before_snapshot"] + 1
    assert first.by_type == {"quote": 73_174, "trade": 19_904, "book": 6_494, "status": sent.heartbeats}
    assert first.refused == 0
    assert before["features"] == first.features > 600
    alerts, letters = end(ours, topics.ALERTS), end(ours, topics.dead_letters(topic))

    again = replay(ours, SPOT, feed=feed)
    assert (again.frames, again.rows) == (sent.frames, sent.rows)
    second = run_engine(ours, feed)
    summary = PostgresSink(ours).run(threading.Event(), until_idle=0.5)
    assert (second.duplicates, second.frames, second.rows) == (sent.frames, 0, 0)
    assert summary.duplicates == sent.frames
    assert kept(ours, topic) == before
    assert (end(ours, topics.ALERTS), end(ours, topics.dead_letters(topic))) == (alerts, letters)
