"""The PostgreSQL sink on real servers: what is kept, what is refused, and that each row is there once."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from contextlib import closing, contextmanager

import msgspec
import numpy as np
import psycopg2
import pyarrow as pa
import pytest
from sqlalchemy.engine import make_url

from infra import migrations
from sinks.postgres import PostgresSink, tables
from sinks.postgres.database import claim, connect
from sinks.postgres.intake import TOPICS
from tapewatch import kafka, messages, topics
from tapewatch.errors import TapewatchError
from tapewatch.frames import FrameHeaders, encode, write_stream
from tapewatch.instruments import Instrument
from tapewatch.messages import to_rfc3339
from tapewatch.registry import register
from tapewatch.rows import REQUIRED, Rows, RowType, StatusKind, numpy_dtype
from tapewatch.settings import PostgresSettings, Settings, SinkSettings

START = 1_700_000_000_000_000_000
DAY = tables.DAY
NAMES = ["AAA.XTST", "BBB.XTST"]


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


@pytest.fixture
def ours(settings):
    """The session's stack with a migrated database of the test's own, and small batches."""
    name = f"sink_{uuid.uuid4().hex[:12]}"
    with superuser(settings) as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    url = make_url(settings.postgres.url).set(database=name).render_as_string(hide_password=False)
    changed = msgspec.structs.replace(
        settings, postgres=PostgresSettings(url=url), sink=SinkSettings(batch_rows=2000, linger_ms=20, retention_days=1)
    )
    migrations.migrate(url)
    kafka.create_topics(changed, topics.shared_topics(changed.topics))
    register(changed, [Instrument(id=name, lot=10.0) for name in NAMES])
    yield changed
    with superuser(settings) as cursor:
        cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def feed(ours) -> str:
    name = f"t{uuid.uuid4().hex[:10]}"
    kafka.create_topics(ours, topics.market_topics(name, ours.topics, 2))
    return name


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
    common = {"instrument": np.arange(count, dtype=np.int32) % 2, "ts_event": times, "ts_recv": times}
    if row_type is RowType.BOOK:
        for level in range(3):
            made["bid_price"][:, level], made["ask_price"][:, level] = 99 - level, 100 + level
            made["bid_qty"][:, level] = made["ask_qty"][:, level] = 1.0
    return Rows(row_type, NAMES, {**common, **made, **columns})


class Sender:
    """Sends frames of one source to a feed."""

    def __init__(self, settings: Settings, feed: str, source: str = "test") -> None:
        self.producer, self.topic, self.source = kafka.producer(settings), topics.market(feed), source
        self.sequence = [0, 0]

    def send(self, frame: Rows, partition: int = 0, sequence: int | None = None) -> None:
        number = self.sequence[partition] if sequence is None else sequence
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


def test_every_row_type_lands_in_its_table(ours, feed):
    sender = Sender(ours, feed)
    status = rows(
        RowType.STATUS,
        3,
        kind=np.full(3, StatusKind.GAP, dtype=np.int8),
        detail=np.array(["é", "", "a\0b"], dtype=object),
    )
    trades = rows(
        RowType.TRADE, 3, condition=np.zeros(3, dtype=np.int8), trade_id=np.array(["7", None, "9"], dtype=object)
    )
    for frame in (
        status,
        trades,
        *(rows(kind, 3) for kind in (RowType.ORDER, RowType.QUOTE, RowType.BOOK, RowType.BAR)),
    ):
        sender.send(frame)
    sender.producer.flush()
    keep(ours)
    for table in ("status", "trades", "orders", "quotes", "books", "bars"):
        assert counted(ours, table, feed) == 3, table
    where = f"WHERE topic = '{topics.market(feed)}' ORDER BY log_offset, "
    assert [found[0] for found in query(ours, f"SELECT detail FROM v_status {where} ts_recv")] == ["é", "", "a?b"]
    assert query(ours, f"SELECT instrument, aggressor_side, condition, trade_id FROM v_trades {where} ts_recv") == [
        ("AAA.XTST", "buy", "regular", "7"),
        ("BBB.XTST", "buy", "regular", None),
        ("AAA.XTST", "buy", "regular", "9"),
    ]
    (book,) = query(
        ours, f"SELECT bid_price_1, bid_price_3, bid_price_4, ask_price_2 FROM v_books {where} ts_recv LIMIT 1"
    )
    assert book == (99.0, 97.0, None, 101.0)
    assert query(ours, "SELECT reference ->> 'id', lot FROM instruments WHERE name = 'AAA.XTST'") == [
        ("AAA.XTST", 10.0)
    ]
    assert query(ours, f"SELECT DISTINCT origin FROM v_bars WHERE topic = '{topics.market(feed)}'") == [("venue",)]


def test_refused_rows_are_left_out_and_their_neighbours_kept(ours, feed):
    sender = Sender(ours, feed)
    bid = np.array([99.0, 101.0, np.inf, 99.0])
    sender.send(rows(RowType.QUOTE, 4, bid_price=bid, ask_price=np.full(4, 100.0)))
    sender.producer.produce(
        sender.topic, b"no frame", partition=0, headers=FrameHeaders("quote", "x", 0, 0, 0).to_kafka()
    )
    sender.send(rows(RowType.QUOTE, 2, 10))
    sender.producer.flush()
    summary = keep(ours)
    assert counted(ours, "quotes", feed) == 4
    assert summary.refused["crossed_quote"] >= 1
    assert summary.refused["not_a_number"] >= 1
    assert summary.refused["unreadable"] >= 1


def test_replay_sent_twice_adds_no_row_even_to_a_sink_started_anew(ours, feed):
    sent = Sender(ours, feed, "replay").quotes(10, 50)
    keep(ours)
    Sender(ours, feed, "replay").quotes(10, 50)
    summary = keep(ours)
    assert (counted(ours, "quotes", feed), distinct(ours, feed)) == (sent, sent)
    assert summary.duplicates == 10


def test_rows_of_two_days_go_to_two_partitions_and_retention_drops_old_ones(ours, feed):
    sender = Sender(ours, feed)
    later = rows(RowType.QUOTE, 2)
    times = np.array([START, START + DAY])
    sender.send(Rows(RowType.QUOTE, NAMES, {**later.columns, "ts_recv": times, "ts_event": times}))
    sender.producer.flush()
    keep(ours)
    for day in (14, 15):
        assert counted(ours, f"quotes_d202311{day}", feed) == 1
    command = importable("db", "retention", "--json")
    done = subprocess.run(command, env=environment(ours), capture_output=True, text=True, timeout=60, check=True)
    assert {"quotes_d20231114", "quotes_d20231115"} <= set(json.loads(done.stdout)["partitions"])
    assert query(ours, "SELECT count(*) FROM quotes") == [(0,)]


def engine_frame(kind: str, **columns) -> bytes:
    count = len(next(iter(columns.values())))
    schema = {"tapewatch.type": kind, "tapewatch.version": "1.0"}
    schema |= {"tapewatch.detectors": "kmeans,kmeans_classic", "tapewatch.versions": "kmeans=abc"}
    instrument = pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), pa.array(["AAA.XTST"]))
    times = pa.array([START] * count, pa.timestamp("ns", tz="UTC"))
    arrays = {"instrument": instrument, "ts": times, "offset": pa.array([7] * count, pa.int64()), **columns}
    batch = pa.RecordBatch.from_arrays(list(arrays.values()), names=list(arrays))
    return write_stream(batch.replace_schema_metadata(schema))


def headers(kind: str, feed: str) -> list[tuple[str, bytes]]:
    return [("type", kind.encode()), ("version", b"1"), ("feed", feed.encode()), ("partition", b"0")]


def test_engine_frames_are_kept_and_a_new_feature_gets_its_column(ours, feed):
    producer = kafka.producer(ours)
    old = engine_frame("features", ret_1s=pa.array([0.5, float("nan")], pa.float32()))
    new = engine_frame("features", ret_1s=pa.array([1.5], pa.float32()), brand_new=pa.array([2.5], pa.float32()))
    for value in (old, new, old[:-40]):
        producer.produce(topics.FEATURES, value, partition=0, headers=headers("features", feed))
    for name in ("select", 'a"b; DROP TABLE quotes; --'):
        value = engine_frame("features", **{name: pa.array([1.0], pa.float32())})
        producer.produce(topics.FEATURES, value, partition=0, headers=headers("features", feed))
    score = {
        "detector": pa.array([0], pa.int8()),
        "raw": pa.array([3.0], pa.float32()),
        "probability": pa.array([0.25], pa.float32()),
    }
    producer.produce(topics.SCORES, engine_frame("scores", **score), headers=headers("scores", feed))
    prices = {name: pa.array([4.0]) for name in ("open", "high", "low", "close", "volume", "trades")}
    bars = engine_frame("bars", interval_s=pa.array([60], pa.int32()), **prices)
    producer.produce(topics.BARS, bars, headers=headers("bars", feed))
    producer.produce(topics.BARS, bars)
    producer.flush()
    summary = keep(ours)
    where = f"WHERE topic = '{topics.market(feed)}'"
    found = query(
        ours, f'SELECT ret_1s, brand_new FROM v_features {where} AND (ret_1s > 1 OR "select" IS NULL) ORDER BY 1'
    )
    assert found == [(0.5, None), (1.5, 2.5), (None, None)]
    assert query(ours, f"SELECT detector, version, raw, probability FROM v_scores {where}") == [
        ("kmeans", "abc", 3.0, 0.25)
    ]
    assert query(ours, f"SELECT origin, interval_s, ts - ts_open = '60 s', trades FROM v_bars {where}") == [
        ("engine", 60, True, 4)
    ]
    assert summary.dead_letters["unreadable"] >= 1
    assert summary.dead_letters["wrong_schema"] >= 1
    assert summary.dead_letters["bad_headers"] >= 1
    assert kafka.existing_topics(kafka.admin(ours))["features.dlq"] == 1


def alert(instrument: str, revision: int, **changes) -> messages.Alert:
    sound = messages.Alert(
        id=messages.alert_id("pump_and_dump", instrument, START), scenario="pump_and_dump", instrument=instrument,
        onset=to_rfc3339(START), decided=to_rfc3339(START), updated=to_rfc3339(START + revision), state="open",
        revision=revision, severity="high", score=50.0, sentence="It rose.", data_tier="trades",
        provenance=messages.Provenance("market.x", 0, 1, 2, 3, "c", {}, "b"),
    )  # fmt: skip
    return msgspec.structs.replace(sound, **changes)


def test_newest_revision_of_an_alert_wins_and_history_keeps_all(ours):
    producer, instrument = kafka.producer(ours), f"A{uuid.uuid4().hex[:8].upper()}.XTST"
    for revision in (0, 2, 1, 2):
        producer.produce(topics.ALERTS, messages.encode(alert(instrument, revision)), partition=0)
    producer.flush()
    keep(ours)
    producer.produce(topics.ALERTS, messages.encode(alert(instrument, 1)), partition=0)
    producer.flush()
    keep(ours)
    found = query(ours, "SELECT id, revision FROM v_alerts WHERE instrument = %s", instrument)
    assert found == [(alert(instrument, 0).id, 2)]
    assert query(ours, "SELECT revision FROM alert_history WHERE id = %s ORDER BY 1", found[0][0]) == [(0,), (1,), (2,)]


def test_messages_that_cannot_be_kept_are_dead_letters_and_the_others_are_kept(ours):
    producer, instrument = kafka.producer(ours), f"B{uuid.uuid4().hex[:8].upper()}.XTST"
    sound = messages.encode(alert(instrument, 3))
    bad = [
        b"{", b"\xff", b'{"version":"2.0"}', sound.replace(b'"version":"1.0"', b'"version":"9.1"'),
        messages.encode(alert(instrument, 0, sentence="nul \0 here")),
        messages.encode(alert(instrument, 2**40)),
        messages.encode(alert("no instrument", 0)),
        messages.encode(alert(instrument, 0, onset="2024-02-31T00:00:00Z")),
        messages.encode(alert(instrument, 0, decided="9999-01-01T00:00:00Z")),
    ]  # fmt: skip
    before = query(ours, "SELECT count(*) FROM dead_letters WHERE topic = 'alerts'")[0][0]
    assert before == 0
    for value in (*bad, sound):
        producer.produce(topics.ALERTS, value, partition=1)
    _, high = kafka.watermarks(kafka.consumer(ours), topics.ALERTS, 1)
    producer.flush()
    summary = keep(ours)
    mine = query(
        ours, "SELECT count(*) FROM dead_letters WHERE topic = 'alerts' AND partition = 1 AND log_offset >= %s", high
    )
    assert mine == [(len(bad),)]
    assert summary.dead_letters["not_storable"] >= 2
    assert query(ours, "SELECT revision, sentence FROM v_alerts WHERE instrument = %s", instrument) == [(3, "It rose.")]


def test_malformed_reference_data_is_a_dead_letter_and_stops_nobody(ours, feed):
    producer = kafka.producer(ours)
    producer.produce(topics.INSTRUMENTS, b"{", key=b"x")
    producer.produce(topics.INSTRUMENTS, b'{"id":"not an id"}', key=b"y")
    producer.produce(topics.INSTRUMENTS, None, key=b"x")
    producer.flush()
    sent = Sender(ours, feed).quotes(2, 10)
    summary = keep(ours)
    assert summary.dead_letters["malformed_message"] >= 1
    assert summary.dead_letters["malformed_instrument"] >= 1
    assert counted(ours, "quotes", feed) == sent


def test_signals_and_coverage_are_kept(ours, feed):
    producer, cause = kafka.producer(ours), messages.Cause(topics.market(feed), 1, 5)
    second = messages.Signal(
        id=messages.stable_id(feed), instrument="AAA.XTST", ts=to_rfc3339(START), policy="ddqn", model="m",
        action="buy", q_values={"buy": 1.0, "sell": None}, advantage=0.5, cause=cause,
    )  # fmt: skip
    stretch = messages.Coverage(
        instrument="*", start=to_rfc3339(START), end=to_rfc3339(START + 5), reason="gap", seconds=5, cause=cause
    )
    for message in (second, second, stretch):
        producer.produce(message.TOPIC, messages.encode(message), partition=0)
    producer.flush()
    keep(ours)
    where = f"WHERE topic = '{topics.market(feed)}'"
    assert query(ours, f"SELECT instrument, action, q_values, log_offset FROM v_signals {where}") == [
        ("AAA.XTST", "buy", {"buy": 1.0, "sell": None}, 5)
    ]
    assert query(ours, f"SELECT instrument, reason, seconds FROM v_coverage {where}") == [("*", "gap", 5)]


def own_order(feed: str, revision: int, **changes) -> messages.Order:
    at = to_rfc3339(START + revision)
    body = {
        "id": messages.stable_id(feed), "revision": revision, "mode": "paper", "instrument": "AAA.XTST", "side": "buy",
        "kind": "limit", "price": 10.5, "qty": 3.0, "state": "open", "created": to_rfc3339(START), "updated": at,
        "cause": messages.Cause(topics.market(feed), 0, 7 + revision),
    }  # fmt: skip
    return messages.Order(**(body | changes))


def test_own_orders_fills_and_positions_are_kept(ours, feed):
    kafka.create_topics(ours, topics.paper_topics(ours.topics))
    producer, cause = kafka.producer(ours), messages.Cause(topics.market(feed), 0, 9)
    order = messages.stable_id(feed)
    fill = messages.Fill(
        id=messages.stable_id(order, 0), order=order, mode="paper", instrument="AAA.XTST", side="buy", price=10.5,
        qty=1.0, liquidity="maker", fee=0.01, currency="USD", at=to_rfc3339(START + 1), cause=cause,
    )  # fmt: skip
    account = messages.Position(
        instrument="AAA.XTST", ts=to_rfc3339(START), currency="USD", position=1.0, cost=10.5, cash=-10.51,
        realised=0.0, unrealised=-0.1, fees=0.01, taxes=0.0, result=-0.11, cause=cause,
    )  # fmt: skip
    newest = own_order(feed, 2, state="open", filled=1.0)
    live = own_order(feed, 0, id=messages.stable_id(feed, "live"), mode="live", cause=None, price=None, kind="market")
    for message in (own_order(feed, 0), newest, own_order(feed, 1, state="pending"), live, fill, fill, account):
        producer.produce(message.TOPIC, messages.encode(message), partition=0)
    producer.flush()
    summary = keep(ours)
    assert all(summary.rows[table] for table in ("own_orders", "own_fills", "own_positions"))
    where = f"WHERE topic = '{topics.market(feed)}'"
    assert query(ours, f"SELECT instrument, revision, state, filled, log_offset FROM v_own_orders {where}") == [
        ("AAA.XTST", 2, "open", 1.0, 9)
    ]
    assert query(ours, "SELECT mode, price, log_id FROM own_orders WHERE id = %s", live.id) == [("live", None, None)]
    assert query(ours, f"SELECT order_id, qty, fee, liquidity FROM v_own_fills {where}") == [
        (order, 1.0, 0.01, "maker")
    ]
    assert query(ours, f"SELECT position, cash, result FROM v_own_positions {where}") == [(1.0, -10.51, -0.11)]
    producer.produce(topics.ORDERS, messages.encode(own_order(feed, 1, state="pending")), partition=0)
    producer.flush()
    keep(ours)
    assert query(ours, f"SELECT revision FROM v_own_orders {where}") == [(2,)]


def test_tables_of_the_sink_are_those_of_the_newest_migration(ours):
    assert migrations.head() == tables.REVISION
    layouts = [tables.QUOTES, tables.TRADES, tables.BOOKS, tables.ORDERS, tables.STATUS, tables.BARS, tables.SCORES]
    wanted = {"i2": "smallint", "i4": "integer", "i8": "bigint", "f4": "real", "f8": "double precision"}
    for table in layouts:
        found = dict(
            query(
                ours, "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = %s", table.name
            )
        )
        assert found == {**{name: wanted[kind] for name, kind in table.fixed}, **dict.fromkeys(table.texts, "text")}


def test_second_sink_is_told_that_one_is_at_work(ours):
    first, second = connect(ours.postgres.url), connect(ours.postgres.url)
    assert claim(first, 0.0, threading.Event())
    with pytest.raises(TapewatchError, match="another PostgreSQL sink"):
        claim(second, 0.3, threading.Event())
    first.close()
    assert claim(second, 5.0, threading.Event())
    second.close()


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


def cut_connections(settings: Settings) -> int:
    """End every session of the sink, as a restart of the database does; how many there were."""
    with superuser(settings) as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE datname = current_database() AND application_name = 'tapewatch sink postgres'"
        )
        return cursor.fetchone()[0]


def test_connections_cut_in_mid_load_lose_and_double_nothing(ours, feed):
    sent = Sender(ours, feed).quotes(400, 100)
    summaries = []
    sink = threading.Thread(target=lambda: summaries.append(keep(ours)))
    sink.start()
    cuts = 0
    while sink.is_alive():
        time.sleep(0.05)
        if cuts < 8 and counted(ours, "quotes", feed) > cuts * sent // 10:
            cuts += cut_connections(ours)
    sink.join()
    assert (counted(ours, "quotes", feed), distinct(ours, feed)) == (sent, sent)
    assert summaries[0].retries >= 2


def test_sink_waits_for_a_database_that_takes_no_connections(ours, settings, feed):
    name, stop, summaries, troubles = make_url(ours.postgres.url).database, threading.Event(), [], []
    sent = Sender(ours, feed).quotes(40, 100)
    sink = PostgresSink(ours)
    with superuser(settings) as cursor:
        cursor.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        thread = threading.Thread(
            target=lambda: summaries.append(sink.run(stop, 0.2, lambda now: troubles.append(now.trouble)))
        )
        thread.start()
        while sum(map(bool, troubles)) < 3:
            time.sleep(0.05)
        cursor.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    thread.join()
    assert (counted(ours, "quotes", feed), distinct(ours, feed)) == (sent, sent)
    assert summaries[0].retries >= 3


def test_sink_killed_in_mid_load_again_and_again_keeps_every_row_once(ours, feed):
    sent = Sender(ours, feed).quotes(1200, 100)
    command = importable("sink", "postgres", "--until-idle", "0.5", "--json")
    for kill in range(1, 4):
        process = subprocess.Popen(command, env=environment(ours), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and counted(ours, "quotes", feed) < kill * sent // 5:
            time.sleep(0.01)
        process.kill()
        process.wait()
    assert counted(ours, "quotes", feed) < sent
    done = subprocess.run(command, env=environment(ours), capture_output=True, text=True, timeout=120, check=True)
    assert (counted(ours, "quotes", feed), distinct(ours, feed)) == (sent, sent), done.stdout + done.stderr
    assert json.loads(done.stdout)["lag"] == 0


def test_terminated_sink_commits_what_it_has_and_says_so(ours, feed):
    sent = Sender(ours, feed).quotes(20, 100)
    process = subprocess.Popen(
        importable("sink", "postgres", "--json"),
        env=environment(ours),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while process.poll() is None and counted(ours, "quotes", feed) < sent:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert json.loads(out)["rows"]["quotes"] >= sent


def test_topic_that_appears_while_the_sink_runs_is_taken_up(ours):
    stop = threading.Event()
    sink = threading.Thread(target=lambda: PostgresSink(ours).run(stop))
    sink.start()
    try:
        late = f"t{uuid.uuid4().hex[:10]}"
        kafka.create_topics(ours, topics.market_topics(late, ours.topics, 2))
        sent = Sender(ours, late).quotes(4, 10)
        for _ in range(200):
            if counted(ours, "quotes", late) == sent:
                break
            time.sleep(0.1)
    finally:
        stop.set()
        sink.join()
    assert counted(ours, "quotes", late) == sent


def test_sink_reads_every_topic_that_has_a_table():
    engine = {"instruments", "features", "scores", "bars", "alerts", "signals", "coverage"}
    assert set(TOPICS) == engine | {"orders", "fills", "positions"}
