"""Reconcile on real servers: what was lost, damaged or added in a store is found, named, and mended from the topic."""

import json
import subprocess
import uuid
from pathlib import Path
from typing import Any

import msgspec
import psycopg2
import pytest

from infra.chaos.broken import broken
from infra.chaos.faults import Fault, inject
from sinks.reconcile import Reconciler
from sinks.reconcile.ledger import ELASTICSEARCH, KINDS, POSTGRES
from sinks.reconcile.postgres import PostgresAlerts
from sinks.reconcile.reconciler import Report, metrics
from tapewatch.clock import NANOS
from tapewatch.contract import messages, topics
from tapewatch.contract.messages import alert_id
from tapewatch.settings import Settings
from tests.integration.elasticsearch_kept import START, IndexReader, alert, own, run_sink, send
from tests.integration.postgres_kept import dsn, environment, importable, keep, stand_at_the_ends

NONE = dict.fromkeys(KINDS, 0)
FAR = START + 10 * 86_400 * NANOS


@pytest.fixture
def kept(ours, elasticsearch):
    """A story that both stores hold: 30 alerts, the last revision is 1; a stretch of time of the test's own."""
    mine = own(ours, elasticsearch)
    first = int(uuid.uuid4().hex[:8], 16) % 10**6
    base = FAR // NANOS + first * 1000 - START // NANOS
    said = [alert(base + number, revision, "REC") for revision in (0, 1) for number in range(30)]
    send(mine, said)
    keep(mine)
    run_sink(mine)
    since = START + base * NANOS
    return mine, said[30:], (since, since + 1000 * NANOS)


def damage(mine, alerts) -> None:
    """Delete, set back, corrupt and add in both stores."""
    with psycopg2.connect(dsn(mine)) as session, session.cursor() as cursor:
        cursor.execute("DELETE FROM alerts WHERE id = %s", (alerts[0].id,))
        cursor.execute("UPDATE alerts SET revision = 0 WHERE id = %s", (alerts[1].id,))
        cursor.execute("UPDATE alerts SET score = score + 1 WHERE id = %s", (alerts[2].id,))
        cursor.execute("UPDATE alerts SET revision = 9 WHERE id = %s", (alerts[3].id,))
        cursor.execute(
            "INSERT INTO alerts SELECT %s, scenario, instrument_id, onset_ns, decided_ns, updated_ns, state, revision, "
            "severity, score, probability, sentence, data_tier, evidence, provenance FROM alerts WHERE id = %s",
            (alert_id("none", "X.XTST", 1), alerts[4].id),
        )
    asked = IndexReader(mine)
    index, client = f"{asked.prefix}-alerts", asked.client
    sources = asked.documents("alerts")
    client.delete(index=index, id=alerts[5].id)
    older = msgspec.json.decode(msgspec.json.encode(sources[alerts[6].id]))
    older["tapewatch"]["alert"]["revision"] = 0
    client.index(index=index, id=alerts[6].id, document=older)
    client.index(index=index, id=alerts[7].id, document={**sources[alerts[7].id], "message": "Nothing happened."})
    client.index(index=index, id=alerts[8].id, document={**sources[alerts[8].id], "@timestamp": None})
    client.index(index=index, id="of-nobody", document=sources[alerts[9].id])


def test_damage_in_both_stores_is_named_and_mended_from_the_topic(kept):
    mine, alerts, (since, until) = kept
    reconciler = Reconciler(mine, [POSTGRES, ELASTICSEARCH], settle_s=0.1)
    try:
        sound = reconciler.run(since, until, repair=False)
        assert (sound.alerts, sound.differences) == (30, 0)
        assert {store.alerts for store in sound.stores.values()} == {30}
        damage(mine, alerts)
        found = reconciler.run(since, until, repair=False)
        every = {"missing": 1, "behind": 1, "differs": 1, "ahead": 1, "extra": 1}
        assert found.stores[POSTGRES].differences == every
        assert found.stores[ELASTICSEARCH].differences == {**NONE, "missing": 1, "behind": 1, "differs": 2, "extra": 1}
        assert found.stores[POSTGRES].examples["missing"] == [alerts[0].id]
        assert found.stores[ELASTICSEARCH].examples["extra"] == ["of-nobody"]
        mended = reconciler.run(since, until, repair=True)
        assert mended.repaired == {POSTGRES: 5, ELASTICSEARCH: 5}
        assert mended.differences == 0
        again = reconciler.run(since, until, repair=True)
        assert (again.differences, again.repaired) == (0, {})
        assert 'tapewatch_reconcile_differences{store="postgres",kind="missing"} 0' in metrics(again, 4, 0)
        # The sink's next revision still comes through after a repair.
        send(mine, [msgspec.structs.replace(each, revision=2) for each in alerts[5:9]])
        run_sink(mine)
        keep(mine)
        assert reconciler.run(since, until, repair=False).differences == 0
    finally:
        reconciler.close()


def test_alerts_that_the_topic_lacks_are_left_where_it_holds_none_of_the_time(kept):
    mine, alerts, (since, _) = kept
    with psycopg2.connect(dsn(mine)) as session, session.cursor() as cursor:
        cursor.execute("UPDATE alerts SET decided_ns = %s WHERE id = %s", (since - 9 * NANOS, alerts[0].id))
        cursor.execute("UPDATE alerts SET id = 'gone' WHERE id = %s", (alerts[0].id,))
    reconciler = Reconciler(mine, [POSTGRES], settle_s=0)
    try:
        report = reconciler.run(since - 10 * NANOS, since - 8 * NANOS, repair=True)
    finally:
        reconciler.close()
    assert report.alerts == 0
    assert report.left_alone == 1
    assert report.stores[POSTGRES].differences == {**NONE, "extra": 1}


def test_what_a_sink_has_not_read_yet_is_left_to_it(kept):
    mine, alerts, (since, until) = kept
    send(mine, [msgspec.structs.replace(each, revision=2) for each in alerts[:3]])
    reconciler = Reconciler(mine, [POSTGRES, ELASTICSEARCH], settle_s=0)
    try:
        report = reconciler.run(since, until, repair=True)
        assert report.repaired == {}
        assert {store.differences["behind"] for store in report.stores.values()} == {3}
        with psycopg2.connect(dsn(mine)) as session, session.cursor() as cursor:
            cursor.execute("DELETE FROM alerts WHERE id = ANY(%s)", ([alerts[4].id, alerts[0].id],))
        again = reconciler.run(since, until, repair=True)
        assert again.repaired_ids == {POSTGRES: [alerts[4].id]}
        run_sink(mine)
        keep(mine)
        assert reconciler.run(since, until, repair=True).differences == 0
    finally:
        reconciler.close()


def test_sink_that_has_begun_without_an_alert_so_far_is_left_its_first_ones(kept):
    mine, alerts, (since, until) = kept
    reconciler = Reconciler(mine, [POSTGRES], settle_s=0)
    try:
        with psycopg2.connect(dsn(mine)) as session, session.cursor() as cursor:
            cursor.execute("DELETE FROM alerts WHERE id = %s", (alerts[4].id,))
            cursor.execute("UPDATE sink_offsets SET topic = 'unlike ' || topic WHERE topic = %s", (topics.ALERTS,))
        assert reconciler.run(since, until, repair=True).repaired == {}
        with psycopg2.connect(dsn(mine)) as session, session.cursor() as cursor:
            cursor.execute("UPDATE sink_offsets SET topic = %s WHERE topic LIKE 'unlike %%'", (topics.ALERTS,))
        assert reconciler.run(since, until, repair=True).repaired_ids == {POSTGRES: [alerts[4].id]}
    finally:
        reconciler.close()


class MeddledSite:
    """What faults by hand need of a site: the stores, and somebody who repairs."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings, self.folder, self.postgres_url = settings, folder, settings.postgres.url
        self.processes = {"reconcile": None, "elasticsearch": None}


@pytest.mark.parametrize("kind", ["delete_rows", "change_rows", "delete_documents"])
def test_what_a_fault_breaks_by_hand_the_repair_mends_and_nothing_else(kept, kind, tmp_path):
    mine, _, _ = kept
    site: Any = MeddledSite(mine, tmp_path)
    repaired = list[Report]()
    stores = [ELASTICSEARCH if kind == "delete_documents" else POSTGRES]
    reconciler = Reconciler(mine, stores, settle_s=0)

    def pause(_: float) -> bool:
        repaired.append(reconciler.run(0, FAR * 2, repair=True))
        return True

    try:
        # What other tests have left in the topic is not in this store yet.
        reconciler.run(0, FAR * 2, repair=True)
        outcome = inject(site, Fault(kind, 0.0, 60.0, "", 0.5), pause)
    finally:
        reconciler.close()
    assert outcome.problem == ""
    assert outcome.target in ("3 alerts, restored", "3 alerts, put right")
    mended = {id_ for report in repaired for ids in report.repaired_ids.values() for id_ in ids}
    assert broken(tmp_path)[stores[0]] == mended


def test_what_a_store_cannot_hold_is_told_as_missing_and_not_as_repaired(kept):
    mine, _, (since, until) = kept
    # PostgreSQL's text has no NUL.
    bad = msgspec.structs.replace(alert((since - START) // NANOS + 500, 0, "REC"), sentence="a\0b")
    send(mine, [bad])
    # The sink never saw it, so that no dead letter of its own says why it is not there.
    stand_at_the_ends(mine)
    reconciler = Reconciler(mine, [POSTGRES], settle_s=0)
    try:
        report = reconciler.run(since, until, repair=True)
    finally:
        reconciler.close()
    assert report.stores[POSTGRES].differences["missing"] == 1 and report.repaired == {}


def test_a_fault_by_hand_is_not_injected_where_nobody_repairs(kept, tmp_path):
    site: Any = MeddledSite(kept[0], tmp_path)
    del site.processes["reconcile"]
    assert "no `reconcile --repair` runs" in inject(site, Fault("delete_rows", 0.0, 1.0, "", 0.5), bool).problem
    assert broken(tmp_path) == {}


def test_alert_that_the_database_cannot_hold_is_no_difference_and_stops_no_repair(kept):
    mine, alerts, (since, until) = kept
    unholdable = [
        msgspec.structs.replace(alerts[0], id=alert_id("nul", alerts[0].instrument, 7), sentence="a\0b"),
        msgspec.structs.replace(alerts[1], revision=2, sentence="a\0b"),
    ]
    send(mine, unholdable)
    keep(mine)
    run_sink(mine)
    with psycopg2.connect(dsn(mine)) as session, session.cursor() as cursor:
        cursor.execute("DELETE FROM alerts WHERE id = %s", (alerts[2].id,))
    reconciler = Reconciler(mine, (POSTGRES, ELASTICSEARCH), settle_s=0.1)
    try:
        found = reconciler.run(since, until, repair=True)
        assert found.repaired_ids == {POSTGRES: [alerts[2].id]}
        assert found.differences == 0
        store = PostgresAlerts(mine.postgres_url())
        store.write(
            [((topics.ALERTS, 0, 0), messages.encode(each)) for each in (*unholdable, alerts[3])],
        )
    finally:
        reconciler.close()
    with psycopg2.connect(dsn(mine)) as session, session.cursor() as cursor:
        cursor.execute("SELECT revision FROM alerts WHERE id = ANY(%s)", ([each.id for each in unholdable],))
        assert cursor.fetchall() == [(1,)]


def test_command_prints_one_document_and_ends_with_1_while_something_differs(kept):
    mine, alerts, _ = kept
    asked = IndexReader(mine)
    asked.client.delete(index=f"{asked.prefix}-alerts", id=alerts[0].id)
    variables = environment(mine) | {
        "TAPEWATCH_ELASTICSEARCH_URL": mine.elasticsearch.url,
        "TAPEWATCH_ELASTICSEARCH_PREFIX": mine.elasticsearch.prefix,
    }
    ends = (alerts[0].onset, alerts[-1].updated)
    words = importable("reconcile", "--settle", "0.1", "--json", "--since", ends[0], "--until", ends[1])
    first = subprocess.run(words, env=variables, capture_output=True, text=True, check=False, timeout=600)
    assert first.returncode == 1, first.stderr
    assert json.loads(first.stdout)["stores"]["elasticsearch"]["differences"]["missing"] == 1
    second = subprocess.run(
        [*words, "--repair"], env=variables, capture_output=True, text=True, check=False, timeout=600
    )
    assert second.returncode == 0, second.stderr
    assert json.loads(second.stdout)["differences"] == 0
