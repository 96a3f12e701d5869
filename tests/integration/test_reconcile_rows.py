"""Rows in PostgreSQL beside the topics, on real servers: what is taken out, doubled or changed by hand is told."""

import json
import threading
import uuid
from contextlib import closing

import msgspec
import numpy as np
import psycopg2
import pytest

from sinks.engine_frame import KINDS
from sinks.postgres import PostgresSink
from sinks.reconcile.ledger import ELASTICSEARCH
from sinks.reconcile.rows import compare_rows, repair_rows
from sinks.reconcile.rows.report import NOWHERE, RowsReport, metrics
from streams.driver import Driver
from tapewatch import cli
from tapewatch.contract import topics
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.rows import RowType, StatusKind
from tapewatch.errors import TapewatchError
from tapewatch.market_log.registry import FixedRegistry
from tapewatch.runtime import kafka
from tapewatch.settings.delivery import ElasticsearchSettings
from tests.integration.desk_records import fresh_name, publish, worked
from tests.integration.elasticsearch_kept import PROVENANCE, IndexReader, alert, run_sink, send
from tests.integration.postgres_kept import NAMES, OTHERS, Sender, dsn, keep, rows, superuser


@pytest.fixture
def ours(ours):
    """The sink of this database reads messages from their topics' beginnings: they are compared whole, whoever's they
    are.
    """
    with superuser(ours) as cursor:
        cursor.execute("DELETE FROM sink_offsets WHERE topic !~ '^market[.]' AND topic <> ALL(%s)", (list(KINDS),))
    return ours


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
    for number in range(70):
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
        driver = Driver(FixedRegistry([Instrument(name) for name in (*NAMES, *OTHERS)]), made.topic, partition)
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
    assert kept["quotes"] == 70 * 4 + 1
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
    assert 'tapewatch_reconcile_row_differences{store="postgres",table="quotes",kind="lost"} 1' in metrics(found, 1, 0)
    toml = ours.data_path / "rows.toml"
    toml.parent.mkdir(parents=True, exist_ok=True)
    toml.write_text(f'[kafka]\nbootstrap = "{ours.bootstrap()}"\n[postgres]\nurl = "{ours.postgres.url}"\n')
    words = ["--settings", str(toml), "reconcile", "--rows", "--feed", feed, "--json"]
    assert cli.main([*words, "--only", "postgres"]) == 1
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


def test_case_row_changed_by_hand_is_told(ours, feed, sender):
    name = fresh_name()
    scene = worked(name)
    publish(ours, *scene.said)
    keep(ours)
    case = next(iter(scene.desk.shelf.cases.values()))
    sound = {table.table: table for table in compare_rows(ours, feed).tables if table.partition == NOWHERE}
    assert {(table.lost, table.doubled, table.different) for table in sound.values()} == {(0, 0, 0)}
    assert sound["case_history"].said > case.revision
    assert change(ours, "UPDATE cases SET owner = 'eve' WHERE id = %s", case.id) == 1
    assert change(ours, "DELETE FROM case_alerts WHERE alert_id = %s", case.alerts[0].id) == 1
    assert change(ours, "UPDATE case_history SET message = '{}' WHERE id = %s AND revision = 1", case.id) == 1
    change(ours, "INSERT INTO case_history SELECT 'nobody', revision, state, message FROM case_history LIMIT 1")
    found = compare_rows(ours, feed)
    assert wrong(found) == {
        ("cases", NOWHERE): (0, 0, 1),
        ("case_alerts", NOWHERE): (1, 0, 0),
        ("case_history", NOWHERE): (0, 1, 1),
    }
    named = {place.what for table in found.tables for place in table.places}
    assert {case.id, case.alerts[0].id, f"{case.id} revision 1"} <= named
    assert any(case.id in line for line in found.lines())


def test_repair_writes_again_what_was_deleted_doubled_or_changed_by_hand(ours, feed, sender):
    scene = worked(fresh_name())
    publish(ours, *scene.said)
    said = alert(int(uuid.uuid4().hex[:6], 16), provenance=msgspec.structs.replace(PROVENANCE, topic=sender.topic))
    send(ours, [said, msgspec.structs.replace(said, revision=1)])
    keep(ours)
    case = next(iter(scene.desk.shelf.cases.values()))
    before = compare_rows(ours, feed)
    assert before.differences == 0
    log = "log_id IN (SELECT id FROM logs WHERE topic = %s)"
    some = f"(SELECT log_offset FROM {{0}} WHERE {log} ORDER BY log_offset DESC LIMIT 1)"
    for table in ("quotes", "bars", "scores", "coverage"):
        assert change(
            ours, f"DELETE FROM {table} WHERE {log} AND log_offset = {some.format(table)}", *[sender.topic] * 2
        )
    change(ours, f"UPDATE trades SET trade_id = NULL WHERE {log} AND trade_id = '7'", sender.topic)
    change(ours, f"INSERT INTO features SELECT * FROM features WHERE {log}", sender.topic)
    assert change(ours, "UPDATE cases SET owner = 'eve' WHERE id = %s", case.id) == 1
    assert change(ours, "DELETE FROM case_alerts WHERE alert_id = %s", case.alerts[0].id) == 1
    assert (
        change(ours, "UPDATE alert_history SET message = jsonb_set(message, '{score}', '1') WHERE id = %s", said.id)
        == 2
    )
    mended = repair_rows(ours, feed)
    assert mended.differences == 0, mended.lines()
    assert mended.repaired.keys() == {
        *("quotes", "bars", "scores", "coverage", "trades", "features", "cases", "case_alerts", "alert_history"),
    }
    assert [(t.table, t.partition, t.kept, t.digest) for t in mended.tables] == [
        (t.table, t.partition, t.kept, t.digest) for t in before.tables
    ]
    assert repair_rows(ours, feed).repaired == {}


def test_repair_while_the_sink_works_on_loses_and_doubles_nothing(ours, feed, sender):
    stop = threading.Event()
    sink = threading.Thread(target=PostgresSink(ours).run, args=(stop,))
    sink.start()
    try:
        for round_ in range(3):
            sender.sequence[1] = 1000 * (round_ + 1)
            for number in range(20):
                sender.send(rows(RowType.QUOTE, 4, 100_000 * (round_ + 1) + 1000 * number), 1)
            sender.producer.flush()
            change(ours, "DELETE FROM quotes WHERE mod(log_offset, 2) = 0")
            repair_rows(ours, feed)
    finally:
        stop.set()
        sink.join(600)
    keep(ours)
    found = compare_rows(ours, feed)
    assert (found.differences, found.behind) == (0, 0), found.lines()


@pytest.fixture
def searched(ours, elasticsearch):
    """Settings of the feed with indices of the test's own, into which the sink has put everything there is."""
    chosen = ElasticsearchSettings(url=elasticsearch, prefix=f"t{uuid.uuid4().hex[:8]}", group=uuid.uuid4().hex)
    return msgspec.structs.replace(ours, elasticsearch=chosen)


def test_documents_removed_changed_and_added_by_hand_are_told(searched, feed, sender):
    scene = worked(fresh_name())
    publish(searched, *scene.said)
    run_sink(searched, until_idle=1.0)
    sound = compare_rows(searched, feed, [ELASTICSEARCH])
    assert (sound.differences, sound.behind) == (0, 0), sound.lines()
    kept = {table.table: table.kept for table in sound.tables}
    assert min(kept[kind] for kind in ("bars", "features", "books", "cases")) > 0
    asked = IndexReader(searched)
    books, bars = (sorted(asked.documents(kind)) for kind in ("books", "bars"))
    (case,) = scene.desk.shelf.cases.values()

    def index_of(kind: str, id_: str) -> str:
        query = {"ids": {"values": [id_]}}
        return asked.client.search(index=f"{asked.prefix}-{kind}*", query=query)["hits"]["hits"][0]["_index"]

    asked.client.delete(index=index_of("books", books[0]), id=books[0])
    asked.client.update(index=index_of("cases", case.id), id=case.id, doc={"tapewatch": {"case": {"owner": "eve"}}})
    asked.client.index(
        index=index_of("bars", bars[0]), id="of-nobody", document=asked.documents("bars")[bars[0]], refresh=True
    )
    found = compare_rows(searched, feed, [ELASTICSEARCH])
    assert wrong(found) == {
        ("books", NOWHERE): (1, 0, 0),
        ("cases", NOWHERE): (0, 0, 1),
        ("bars", NOWHERE): (0, 1, 0),
    }
    named = {place.what.rpartition("/")[2] for table in found.tables for place in table.places}
    assert named == {books[0], case.id, "of-nobody"}


def test_documents_of_records_that_the_sink_has_not_read_are_on_their_way(searched, feed, sender):
    run_sink(searched, until_idle=1.0)
    sender.send(rows(RowType.BOOK, 2, 3_600_000), 0, 10_000)
    sender.producer.flush()
    found = compare_rows(searched, feed, [ELASTICSEARCH])
    assert (found.differences, found.behind) == (0, 2)


def test_elasticsearch_that_is_away_is_named_with_the_way_around(ours, feed, sender, capsys):
    toml = ours.data_path / "away.toml"
    toml.parent.mkdir(parents=True, exist_ok=True)
    toml.write_text(
        f'[kafka]\nbootstrap = "{ours.bootstrap()}"\n[postgres]\nurl = "{ours.postgres.url}"\n'
        '[elasticsearch]\nurl = "http://127.0.0.1:9"\n'
    )
    words = ["--settings", str(toml), "reconcile", "--rows", "--feed", feed, "--json"]
    assert cli.main(words) == 1
    said = capsys.readouterr().err
    assert "does not do its part" in said
    assert "--only postgres" in said
    assert cli.main([*words, "--only", "postgres"]) == 0
