"""The desk's work in PostgreSQL: newest revisions, every revision, and all of it again from the topics alone."""

import uuid
from typing import Any

import msgspec
from sqlalchemy.engine import make_url

from infra import migrations
from tapewatch.contract import messages
from tapewatch.contract.messages import Label, Proposal, stable_id
from tests.integration.desk_records import fresh_name, publish, worked
from tests.integration.postgres_kept import keep, query, superuser
from tests.unit.case_scene import alert, at

RESTORED = ("v_alerts", "v_cases", "v_case_alerts", "v_suppressions", "v_labels", "v_proposals")
HISTORIES = ("alert_history", "case_history", "suppression_history", "proposal_history", "case_answers", "labels")


def test_a_cases_newest_revision_wins_and_its_history_keeps_all(ours):
    name = fresh_name()
    scene = worked(name)
    said = [each for each in scene.said for _ in range(2)]
    publish(ours, *reversed(said))
    keep(ours)
    case = next(iter(scene.desk.shelf.cases.values()))
    told = "state, disposition, revision, owner, alerts, raising, risk, priority, instrument"
    found = query(ours, f"SELECT {told} FROM v_cases WHERE id = %s", case.id)
    assert found == [
        ("closed", "true_positive", case.revision, "ann", 2, 1, case.risk, case.priority, name),
    ]
    kept = query(ours, "SELECT revision FROM case_history WHERE id = %s ORDER BY 1", case.id)
    assert kept == [(each,) for each in range(case.revision + 1)]
    publish(ours, *said)
    assert keep(ours).rows.get("cases")
    assert query(ours, f"SELECT {told} FROM v_cases WHERE id = %s", case.id) == found


def test_alerts_of_a_case_answers_and_rules_are_kept_beside_it(ours):
    name = fresh_name()
    scene = worked(name)
    publish(ours, *scene.said)
    keep(ours)
    case = next(iter(scene.desk.shelf.cases.values()))
    found = query(
        ours,
        "SELECT scenario, revision, inhibition, inhibited FROM v_case_alerts WHERE case_id = %s ORDER BY scenario",
        case.id,
    )
    assert found == [("pump_and_dump", 1, "", ""), ("unusual_volume", 0, "stronger", case.alerts[0].id)]
    answers = query(ours, "SELECT accepted FROM case_answers WHERE case_id = %s", case.id)
    assert answers == [(True,)] * 3
    rules = query(ours, "SELECT state, owner, approved_by FROM v_suppressions WHERE instrument = %s", name)
    assert rules == [("in_force", "ann", "bob")]


def test_the_newest_label_and_revision_of_a_proposal_hold(ours):
    subject = uuid.uuid4().hex
    newest, older = (
        Label(id=stable_id(subject, n), kind="alert", subject=subject, label="unclear", who="ann", at=at(n))
        for n in (2, 1)
    )
    labels = [msgspec.structs.replace(newest, label="manipulation"), older]
    proposed = Proposal(
        id=stable_id(subject), kind="promotion", state="proposed", subject="h", content="h", who="ann", why="better",
        created=at(0),
    )  # fmt: skip
    decided = msgspec.structs.replace(proposed, revision=1, state="approved", decided_by="bob", decided=at(9))
    publish(ours, *labels, decided, proposed)
    keep(ours)
    assert query(ours, "SELECT label FROM v_labels WHERE subject = %s", subject) == [("manipulation",)]
    assert query(ours, "SELECT count(*) FROM labels WHERE subject = %s", subject) == [(2,)]
    found = query(ours, "SELECT revision, state, decided_by FROM v_proposals WHERE id = %s", proposed.id)
    assert found == [(1, "approved", "bob")]


def test_cases_that_the_database_cannot_hold_are_dead_letters_and_the_others_are_kept(ours):
    good, bad = worked(fresh_name()), worked(fresh_name())
    broken = next(each for each in bad.said if isinstance(each, messages.Case))
    publish(
        ours,
        msgspec.structs.replace(broken, owner="nul \0"),
        msgspec.structs.replace(broken, instrument="<img onerror>"),
        msgspec.structs.replace(broken, closed="2024-02-31T00:00:00Z"),
        *good.said,
    )
    summary = keep(ours)
    assert summary.dead_letters["malformed_message"] >= 2
    assert query(ours, "SELECT id FROM cases WHERE id = %s", broken.id) == []
    case = next(iter(good.desk.shelf.cases))
    assert query(ours, "SELECT id FROM cases WHERE id = %s", case) == [(case,)]


def rows(settings) -> dict[str, list[Any]]:
    """Every row by content: numbers of instruments are the database's own."""
    found = {view: query(settings, f"SELECT t::text FROM {view} t ORDER BY 1") for view in RESTORED}
    return found | {table: query(settings, f"SELECT t::text FROM {table} t ORDER BY 1") for table in HISTORIES}


def test_alerts_and_cases_are_restored_from_the_topics_alone(settings, ours):
    name = fresh_name()
    publish(ours, *(alert(instrument=name, revision=each) for each in range(3)), *worked(name).said)
    with superuser(ours) as cursor:
        cursor.execute("DELETE FROM sink_offsets")  # the topics from their beginnings, before and after
    keep(ours)
    before = rows(ours)
    assert all(before[table] for table in ("v_alerts", "v_cases", "v_suppressions", "case_answers"))
    database = make_url(ours.postgres.url).database
    with superuser(settings) as cursor:
        cursor.execute(f"DROP DATABASE {database} WITH (FORCE)")
        cursor.execute(f"CREATE DATABASE {database}")
    migrations.migrate(ours.postgres.url)
    keep(ours)
    assert rows(ours) == before
