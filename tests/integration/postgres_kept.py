"""What tests of the PostgreSQL sink share: a database and a feed of their own, frames to send, and questions to ask."""

import os
import sys
import threading
import uuid
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import cache
from typing import Any

import msgspec
import numpy as np
import psycopg2
import pyarrow as pa
from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec
from psycopg2.extras import execute_values
from sqlalchemy.engine import make_url

from infra import migrations
from sinks.postgres import PostgresSink, tables
from sinks.postgres.intake import is_wanted
from tapewatch.contract import topics
from tapewatch.contract.frames import FrameHeaders, encode
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.rows import REQUIRED, Rows, RowType, numpy_dtype
from tapewatch.market_log.registry import register
from tapewatch.runtime import kafka
from tapewatch.settings import PostgresSettings, Settings, SinkSettings

START = 1_700_000_000_000_000_000
DAY = tables.DAY
NAMES = ["BBB.XTST", "EEE.XTST"]
OTHERS = ["AAA.XTST", "DDD.XTST"]
"""Instruments of the first and of the second partition of two."""


def dsn(settings: Settings) -> str:
    return make_url(settings.postgres.url).set(drivername="postgresql").render_as_string(hide_password=False)


@contextmanager
def superuser(settings: Settings):
    session = psycopg2.connect(dsn(settings))
    session.autocommit = True
    try:
        with session.cursor() as cursor:
            yield cursor
    finally:
        session.close()


@cache
def template(url: str) -> str:
    """A database as the migrations leave it, made once on the server of this URL; its name."""
    name = f"migrated_{uuid.uuid4().hex[:12]}"
    with superuser(Settings(postgres=PostgresSettings(url=url))) as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    migrations.migrate(make_url(url).set(database=name).render_as_string(hide_password=False))
    return name


@contextmanager
def migrated(settings: Settings):
    """Settings with a migrated database that goes at the end, small batches, and registered instruments."""
    name = f"sink_{uuid.uuid4().hex[:12]}"
    with superuser(settings) as cursor:
        cursor.execute(f"CREATE DATABASE {name} TEMPLATE {template(settings.postgres.url)}")
    url = make_url(settings.postgres.url).set(database=name).render_as_string(hide_password=False)
    changed = msgspec.structs.replace(
        settings, postgres=PostgresSettings(url=url), sink=SinkSettings(batch_rows=2000, linger_ms=20, retention_days=1)
    )
    kafka.create_topics(changed, topics.shared_topics(changed.topics))
    register(changed, [Instrument(id=name, lot=10.0) for name in (*NAMES, *OTHERS)])
    yield changed
    with superuser(settings) as cursor:
        cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


def ends(settings: Settings) -> list[TopicPartition]:
    """Where the topics end now, for readers of what is committed."""
    client = kafka.admin(settings)
    there = [
        TopicPartition(name, partition)
        for name, count in kafka.existing_topics(client).items()
        if not name.startswith("__")
        for partition in range(count)
    ]
    committed = {"isolation_level": IsolationLevel.READ_COMMITTED}
    asked = client.list_offsets(dict.fromkeys(there, OffsetSpec.latest()), request_timeout=kafka.TIMEOUT_S, **committed)
    found = []
    for log, answer in asked.items():
        try:
            found.append(TopicPartition(log.topic, log.partition, answer.result().offset))
        except KafkaException:
            # Another test's topic, which has just gone.
            continue
    return found


def stand_at_the_ends(settings: Settings) -> None:
    """Let the sink begin with what is sent from now on; of reference data it reads all."""
    places = [
        (each.topic, each.partition, each.offset, -1)
        for each in ends(settings)
        if each.offset > 0 and each.topic != topics.INSTRUMENTS and is_wanted(each.topic)
    ]
    with superuser(settings) as cursor:
        statement = """
            INSERT INTO sink_offsets (topic, partition, next_offset, clock_s) VALUES %s
            ON CONFLICT (topic, partition) DO UPDATE SET next_offset = EXCLUDED.next_offset
        """
        execute_values(cursor, statement, places, page_size=1000)


def column(kind: pa.DataType, count: int):
    if pa.types.is_fixed_size_list(kind):
        return np.full((count, 10), np.nan)
    if pa.types.is_string(kind):
        return np.array([f"x{number}" for number in range(count)], dtype=object)
    return np.ones(count, dtype=numpy_dtype(kind))


def rows(row_type: RowType, count: int, first: int = 0, **columns) -> Rows:
    """`count` sound rows, a millisecond apart from START + `first` ms on."""
    made = {name: column(arrow, count) for name, arrow in REQUIRED[row_type][3:]}
    times = START + (np.arange(count) + first) * 1_000_000
    common: dict[str, Any] = {"instrument": np.arange(count, dtype=np.int32) % 2, "ts_event": times, "ts_recv": times}
    if row_type is RowType.BOOK:
        for level in range(3):
            made["bid_price"][:, level], made["ask_price"][:, level] = 99 - level, 100 + level
            made["bid_qty"][:, level] = made["ask_qty"][:, level] = 1.0
    return Rows(row_type, NAMES, {**common, **made, **columns})


class Sender:
    """Sends frames of one source to a feed; those of NAMES name the instruments of their partition."""

    def __init__(self, settings: Settings, feed: str, source: str = "test") -> None:
        self.producer, self.topic, self.source = kafka.producer(settings), topics.market(feed), source
        self.sequence = [0, 0]

    def send(self, frame: Rows, partition: int = 0, sequence: int | None = None) -> None:
        number = self.sequence[partition] if sequence is None else sequence
        if partition and frame.instruments == NAMES:
            frame = replace(frame, instruments=OTHERS)
        headers = FrameHeaders(frame.type.label, self.source, 0, number, 0).to_kafka()
        self.producer.produce(self.topic, encode(frame), partition=partition, headers=headers)
        self.sequence[partition] = number + 1

    def quotes(self, frames: int, each: int) -> int:
        """Quotes over both partitions; how many."""
        for number in range(frames):
            self.send(rows(RowType.QUOTE, each, number * each), number % 2)
        self.producer.flush()
        return frames * each


def keep(settings: Settings):
    """Run the sink until everything is kept."""
    return PostgresSink(settings).run(threading.Event(), until_idle=0.2)


def query(settings: Settings, statement: str, *values):
    with closing(psycopg2.connect(dsn(settings))) as session, session.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall()


def counted(settings: Settings, table: str, feed: str) -> int:
    statement = f"SELECT count(*) FROM {table} t JOIN logs l ON l.id = t.log_id WHERE l.topic = %s"
    return query(settings, statement, topics.market(feed))[0][0]


def distinct(settings: Settings, feed: str) -> int:
    statement = (
        "SELECT count(*) FROM (SELECT DISTINCT log_id, log_offset, ts_recv_ns FROM quotes) q "
        "JOIN logs l ON l.id = q.log_id WHERE l.topic = %s"
    )
    return query(settings, statement, topics.market(feed))[0][0]


def importable(*words: str) -> list[str]:
    return [sys.executable, "-c", "import sys; from tapewatch.cli import main; sys.exit(main())", *words]


def environment(settings: Settings) -> dict[str, str]:
    return {
        **os.environ,
        "TAPEWATCH_KAFKA_BOOTSTRAP": settings.kafka.bootstrap,
        "TAPEWATCH_POSTGRES_URL": settings.postgres.url,
        "TAPEWATCH_DATA": settings.data,
        "TAPEWATCH_SINK_BATCH_ROWS": str(settings.sink.batch_rows),
        "TAPEWATCH_SINK_RETENTION_DAYS": str(settings.sink.retention_days),
    }
