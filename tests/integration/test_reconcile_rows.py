"""Rows in PostgreSQL beside the topics, on real servers: what is taken out, doubled or changed by hand is told."""

import json
from contextlib import closing

import numpy as np
import psycopg2
import pytest

from sinks.reconcile.rows import compare_rows
from sinks.reconcile.rows.report import RowsReport, metrics
from streams.driver import Driver
from tapewatch import cli, kafka, topics
from tapewatch.errors import TapewatchError
from tapewatch.instruments import Instrument
from tapewatch.registry import FixedRegistry
from tapewatch.rows import RowType, StatusKind
from tests.integration.postgres_kept import NAMES, Sender, dsn, keep, rows


@pytest.fixture
def sender(ours, feed) -> Sender:
    """A feed of all row types, some of them twice or refused, with what the engine makes of it, kept by the sink."""
    made = Sender(ours, feed)
    status = rows(
        RowType.STATUS, 3, kind=np.full(3, StatusKind.GAP, dtype=np.int8), detail=np.array(["é", "", "a"], dtype=object)
    )
    trades = rows(
        RowType.TRADE, 3, 5, condition=np.zeros(3, np.int8), trade_id=np.array(["7", None, "9"], dtype=object)
    )
    bad = rows(RowType.QUOTE, 2, 9, bid_price=np.array([-1.0, 1.0]))
    for frame in (status, trades, bad, *(rows(kind, 3, 20) for kind in (RowType.ORDER, RowType.BOOK, RowType.BAR))):
        made.send(frame)
    for number in range(40):
        made.send(rows(RowType.QUOTE, 4, 1000 * number + 30), number % 2)
    made.send(rows(RowType.QUOTE, 4, 60_000), 0, sequence=3)  # a repeat: dropped by its number
    made.producer.flush()
    write_engine_rows(ours, feed, made)
    keep(ours)
    return made


def write_engine_rows(settings, feed: str, made: Sender) -> None:
    """What the engine makes of the log."""
    reader = kafka.consumer(settings)
    for partition in range(2):
        driver = Driver(FixedRegistry([Instrument(name) for name in NAMES]), made.topic, partition)
        low, high = kafka.watermarks(reader, made.topic, partition)
        for message in kafka.read_range(reader, made.topic, partition, low, high):
            driver.task.feed(message.offset(), message.value(), message.headers(), message.timestamp()[1] * 1_000_000)
        for record in driver.outgoing():
            if record.topic in (topics.FEATURES, topics.SCORES, topics.BARS, topics.COVERAGE):
                made.producer.produce(
                    record.topic, record.value, record.key, partition=partition, headers=record.headers
                )
    made.producer.flush()
    reader.close()


def change(settings, statement: str, *values) -> int:
    with closing(psycopg2.connect(dsn(settings))) as session, session, session.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.rowcount


def wrong(report: RowsReport) -> dict[tuple[str, int], tuple[int, int, int]]:
    return {
        (table.table, table.partition): (table.lost, table.doubled, table.different)
        for table in report.tables
        if table.lost or table.doubled or table.different
    }


def test_rows_changed_by_hand_are_told_by_table_and_place(ours, feed, sender, capsys):
    sound = compare_rows(ours, feed)
    assert (sound.differences, sound.behind) == (0, 0)
    kept = {
        name: sum(table.kept for table in sound.tables if table.table == name)
        for name in {t.table for t in sound.tables}
    }
    assert kept["quotes"] == 40 * 4 + 1
    assert (kept["trades"], kept["orders"], kept["books"], kept["status"]) == (3, 3, 3, 3)
    assert kept["features"] > 40
    assert kept["scores"] > 40
    assert kept["bars"] >= 3
    log = "log_id IN (SELECT id FROM logs WHERE topic = %s AND partition = 1)"
    one = f"(tableoid, ctid) IN (SELECT tableoid, ctid FROM quotes WHERE {log} LIMIT 1)"
    assert change(ours, f"DELETE FROM quotes WHERE {one}", sender.topic) == 1
    change(ours, f"INSERT INTO features SELECT * FROM features WHERE {log} ORDER BY ts_ns LIMIT 1", sender.topic)
    change(
        ours,
        "UPDATE trades SET trade_id = '8' WHERE trade_id = '7' AND log_id IN (SELECT id FROM logs WHERE topic = %s)",
        sender.topic,
    )
    found = compare_rows(ours, feed)
    assert wrong(found) == {("quotes", 1): (1, 0, 0), ("features", 1): (0, 1, 0), ("trades", 0): (0, 0, 1)}
    (place,) = [place for table in found.tables for place in table.places if place.kind == "lost"]
    assert (place.said, place.kept) == (4, 3)
    assert 'tapewatch_reconcile_row_differences{table="quotes",kind="lost"} 1' in metrics(found, 1, 0)
    toml = ours.data_path / "rows.toml"
    toml.parent.mkdir(parents=True, exist_ok=True)
    toml.write_text(f'[kafka]\nbootstrap = "{ours.bootstrap()}"\n[postgres]\nurl = "{ours.postgres.url}"\n')
    assert cli.main(["--settings", str(toml), "reconcile", "--rows", "--feed", feed, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["lost"], told["doubled"], told["different"]) == (1, 1, 1)


def test_stretch_of_coverage_deleted_by_hand_is_lost(ours, feed, sender):
    before = compare_rows(ours, feed)
    said = sum(table.said for table in before.tables if table.table == "coverage")
    gone = change(ours, "DELETE FROM coverage WHERE log_id IN (SELECT id FROM logs WHERE topic = %s)", sender.topic)
    assert gone == said > 0
    assert compare_rows(ours, feed).lost == said


def test_records_that_the_sink_has_not_read_are_behind_and_not_lost(ours, feed, sender):
    sender.quotes(6, 2)
    found = compare_rows(ours, feed)
    assert (found.differences, found.behind) == (0, 6)


def test_feed_that_the_sink_never_read_is_named(ours):
    with pytest.raises(TapewatchError, match="has not read"):
        compare_rows(ours, "never")
