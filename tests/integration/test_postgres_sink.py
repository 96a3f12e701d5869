"""The PostgreSQL sink on real servers: rows of every type, what is refused, and that each row is there once."""

import json
import subprocess

import numpy as np
import pyarrow as pa

from tapewatch.contract import topics
from tapewatch.contract.frames import FrameHeaders, write_stream
from tapewatch.contract.rows import Rows, RowType, StatusKind
from tapewatch.runtime import kafka
from tests.integration.postgres_kept import (
    DAY,
    NAMES,
    START,
    Sender,
    counted,
    distinct,
    environment,
    importable,
    keep,
    query,
    rows,
)


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
        ("BBB.XTST", "buy", "regular", "7"),
        ("EEE.XTST", "buy", "regular", None),
        ("BBB.XTST", "buy", "regular", "9"),
    ]
    (book,) = query(
        ours, f"SELECT bid_price_1, bid_price_3, bid_price_4, ask_price_2 FROM v_books {where} ts_recv LIMIT 1"
    )
    assert book == (99.0, 97.0, None, 101.0)
    assert query(ours, "SELECT reference ->> 'id', lot FROM instruments WHERE name = 'BBB.XTST'") == [
        ("BBB.XTST", 10.0)
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
    done = subprocess.run(command, env=environment(ours), capture_output=True, text=True, timeout=600, check=True)
    assert {"quotes_d20231114", "quotes_d20231115"} <= set(json.loads(done.stdout)["partitions"])
    assert counted(ours, "quotes", feed) == 0


def engine_frame(kind: str, **columns) -> bytes:
    count = len(next(iter(columns.values())))
    schema = {"tapewatch.type": kind, "tapewatch.version": "1.0"}
    schema |= {"tapewatch.detectors": "kmeans,kmeans_classic", "tapewatch.versions": "kmeans=abc"}
    instrument = pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), pa.array(["BBB.XTST"]))
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
