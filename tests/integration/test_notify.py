"""The notify sink on real servers: every alert reaches its receivers, under one id, in order, or is a dead letter."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import uuid
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from sinks.notify import NotifySink
from tapewatch.cli import parser_for
from tapewatch.clock import NANOS, WALL
from tapewatch.commands import subscriptions
from tapewatch.contract import messages, topics
from tapewatch.contract.messages import to_rfc3339
from tapewatch.desk import delivery_store as outbox
from tapewatch.desk import subscription_store as store
from tapewatch.desk.subscriptions import Filter, Pace
from tapewatch.errors import TapewatchError
from tapewatch.proof import audit
from tapewatch.runtime import kafka
from tapewatch.runtime.topic_ids import TopicRecreatedError
from tapewatch.security.secret_box import secret_box
from tapewatch.settings import PostgresSettings
from tapewatch.settings.delivery import NotifySettings
from tests.eventually import eventually
from tests.integration.postgres_kept import superuser, template
from tests.integration.webhook_receiver import Receiver, run_sql, subscribed

START = 1_700_000_000 * NANOS


@pytest.fixture
def receiver():
    found = Receiver()
    yield found
    found.close()


@pytest.fixture
def ours(settings, tmp_path):
    """The session's stack with a migrated database of the test's own, and short waits."""
    name = f"notify_{uuid.uuid4().hex[:12]}"
    with superuser(settings) as cursor:
        cursor.execute(f"CREATE DATABASE {name} TEMPLATE {template(settings.postgres.url)}")
    url = make_url(settings.postgres.url).set(database=name).render_as_string(hide_password=False)
    notify = NotifySettings(
        allow_networks=("127.0.0.0/8",), allow_http=True, case_wait_s=0.0, retry_s=(0.05,) * 12, timeout_s=3.0,
        key_file=str(tmp_path / "notify.key"),
    )  # fmt: skip
    (tmp_path / "notify.key").write_bytes(b"kPc5BvFKn3IwYJvBQJ8P1Vd9bNdB4P9eYyqkqVfN0bE=\n")
    changed = msgspec.structs.replace(settings, postgres=PostgresSettings(url=url), notify=notify)
    kafka.create_topics(changed, [*topics.shared_topics(changed.topics), *topics.case_topics(changed.topics)])
    yield changed
    with superuser(settings) as cursor:
        cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


def waiting(settings, **changes):
    """The settings with changes to those of notify."""
    return msgspec.structs.replace(settings, notify=msgspec.structs.replace(settings.notify, **changes))


def rows(settings, query: str, **values) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in run_sql(settings, lambda session: session.execute(sa.text(query), values).all())]


def alert(instrument: str, revision: int = 0, **changes) -> messages.Alert:
    sound = messages.Alert(
        id=messages.alert_id("pump_and_dump", instrument, START), scenario="pump_and_dump", instrument=instrument,
        onset=to_rfc3339(START), decided=to_rfc3339(START), updated=to_rfc3339(START + revision),
        state="update" if revision else "open", revision=revision, severity="high", score=50.0, sentence="It rose.",
        data_tier="trades", provenance=messages.Provenance("market.x", 0, 1, 2, 3, "c", {}, "b"),
    )  # fmt: skip
    return msgspec.structs.replace(sound, **changes)


def sometimes_failing(share: float):
    """Answers of which about that share are 503, the same in every run."""
    draw = random.Random(7)
    return lambda number, headers, body: (503 if draw.random() < share else 200, {})


def names(count: int) -> list[str]:
    prefix = f"N{uuid.uuid4().hex[:8].upper()}"
    return [f"{prefix}{number}.XTST" for number in range(count)]


def mine(instruments: list[str], **changes) -> Filter:
    return Filter(instruments=tuple(instruments), **changes)


def publish(settings, alerts) -> None:
    producer = kafka.producer(settings)
    for message in alerts:
        producer.produce(message.TOPIC, messages.encode(message), key=getattr(message, "instrument", ""))
    producer.flush()


def settle(settings, idle: float = 0.5):
    """Run the sink until nothing is left to do."""
    return NotifySink(settings).run(threading.Event(), until_idle=idle)


def check_order(accepted: list[tuple[str, dict[str, Any]]]) -> None:
    """First receipts of each instrument come in the order of revisions."""
    seen: set[str] = set()
    last: dict[str, int] = {}
    for key, message in accepted:
        if key not in seen:
            seen.add(key)
            instrument, revision = message["data"]["instrument"], message["data"]["revision"]
            assert last.get(instrument, -1) < revision
            last[instrument] = revision


def test_receiver_that_fails_a_third_of_the_time_gets_each_alert_under_one_id_in_order_and_signed(ours, receiver):
    receiver.answer = sometimes_failing(0.3)
    instruments = names(5)
    _, secret = subscribed(ours, receiver.url, filter=mine(instruments))
    publish(ours, [alert(name, revision) for revision in range(12) for name in instruments])
    summary = settle(ours, idle=1.5)
    accepted = receiver.accepted()
    assert {(m["data"]["instrument"], m["data"]["revision"]) for _, m in accepted} == {
        (name, revision) for revision in range(12) for name in instruments
    }
    assert len({key for key, _ in accepted}) == 60
    check_order(accepted)
    for headers, body, _ in receiver.got:
        Webhook(secret).verify(body.decode(), headers)
    assert accepted[0][1]["type"] == "alert.opened"
    assert summary.delivered == 60 and summary.failed >= 10
    assert settle(ours).planned == 0


def test_sink_killed_in_the_middle_loses_nothing_and_keeps_ids(ours, receiver):
    receiver.answer = sometimes_failing(0.25)
    instruments = names(10)
    subscribed(ours, receiver.url, filter=mine(instruments))
    revisions = [alert(name, revision) for revision in range(10) for name in instruments]
    publish(ours, revisions[:60])
    for number in range(2):
        child = sink_process(ours)

        def is_at_work(bar: int = 20 * (number + 1)) -> bool:
            return len(receiver.accepted()) >= bar

        eventually(is_at_work, what="20 more are delivered", pause=0.02)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        publish(ours, revisions[60 + 20 * number :][:20])
    settle(ours, idle=1.5)
    accepted = receiver.accepted()
    assert {(m["data"]["instrument"], m["data"]["revision"]) for _, m in accepted} == {
        (each.instrument, each.revision) for each in revisions
    }
    ids = {(m["data"]["instrument"], m["data"]["revision"], key) for key, m in accepted}
    assert len(ids) == len(revisions)
    check_order(accepted)
    assert rows(ours, "SELECT count(*) FROM deliveries WHERE state <> 'delivered'") == [(0,)]


def sink_process(settings) -> "subprocess.Popen[bytes]":
    """`tapewatch sink notify` in a process of its own."""
    notify = settings.notify
    changed = {
        "DATA": settings.data, "KAFKA_BOOTSTRAP": settings.bootstrap(), "POSTGRES_URL": settings.postgres_url(),
        "NOTIFY_KEY_FILE": notify.key_file, "NOTIFY_ALLOW_HTTP": "true", "NOTIFY_CASE_WAIT_S": "0",
        "NOTIFY_ALLOW_NETWORKS": "127.0.0.0/8", "NOTIFY_RETRY_S": ",".join(map(str, notify.retry_s)),
    }  # fmt: skip
    environment = {**os.environ, **{f"TAPEWATCH_{name}": value for name, value in changed.items()}}
    entry = "from tapewatch.cli import main; raise SystemExit(main(['sink', 'notify']))"
    return subprocess.Popen([sys.executable, "-c", entry], env=environment)


def test_dead_receiver_delays_only_itself_and_leaves_dead_letters_that_can_be_replayed(ours, receiver):
    quick = waiting(ours, retry_s=(0.05, 0.05))
    instruments = names(3)
    dead, _ = subscribed(quick, "http://127.0.0.1:9/hook", filter=mine(instruments))
    subscribed(quick, receiver.url, filter=mine(instruments))
    publish(quick, [alert(name) for name in instruments])
    summary = settle(quick)
    assert len(receiver.accepted()) == 3
    assert summary.dead == 3
    query = "SELECT DISTINCT state, attempts, last_error FROM deliveries WHERE subscription_id = :id"
    ((state, attempts, error),) = rows(quick, query, id=dead.id)
    assert (state, attempts) == ("dead", 3)
    assert error.startswith("no_connection")
    box, now = secret_box(quick), WALL.now()
    run_sql(quick, lambda session: store.edit(session, box, dead.id, now, target=receiver.url))
    assert run_sql(quick, lambda session: outbox.replay(session, dead.id, 0, now, now)) == 3
    before = {key for key, _ in receiver.accepted()}
    settle(quick)
    replayed = [key for key, _ in receiver.accepted()][3:]
    assert len(replayed) == 3 and not before & set(replayed)
    assert {(key,) for key in replayed} == set(
        rows(quick, "SELECT message_id FROM deliveries WHERE subscription_id = :id", id=dead.id)
    )
    assert run_sql(quick, lambda session: outbox.replay(session, dead.id, 0, now, now)) == 3
    settle(quick)
    assert sorted(key for key, _ in receiver.accepted()[6:]) == sorted(replayed)


def test_410_disables_the_subscription_and_429_holds_all_of_it(ours, receiver):
    instruments = names(2)
    gone, _ = subscribed(ours, receiver.url, filter=mine(instruments[:1]))
    receiver.answer = lambda number, headers, body: (410, {})
    publish(ours, [alert(instruments[0], revision) for revision in range(3)])
    assert settle(ours).disabled == 1
    assert len(receiver.got) == 1
    ((state, reason),) = rows(ours, "SELECT state, reason FROM subscriptions WHERE id = :id", id=gone.id)
    assert state == "disabled" and "410" in reason
    held, _ = subscribed(ours, receiver.url, filter=mine(instruments[1:]))
    receiver.answer = lambda number, headers, body: (429, {"retry-after": "3600"})
    publish(ours, [alert(instruments[1])])
    before = WALL.now()
    settle(ours)
    assert len(receiver.got) == 2
    ((hold, due),) = rows(
        ours, "SELECT hold_until_ns, due_ns FROM subscriptions s JOIN deliveries d ON d.subscription_id = s.id "
        "WHERE s.id = :id", id=held.id,
    )  # fmt: skip
    assert hold >= before + 3600 * NANOS and due >= before + 3600 * NANOS


def test_rotation_signs_with_both_secrets_until_the_old_one_runs_out(ours, receiver):
    (name,) = names(1)
    found, old = subscribed(ours, receiver.url, filter=mine([name]))
    box = secret_box(ours)
    new = run_sql(ours, lambda session: store.rotate(session, box, found.id, 3600 * NANOS, WALL.now()))
    publish(ours, [alert(name)])
    settle(ours)
    headers, body, _ = receiver.got[0]
    for secret in (old, new):
        Webhook(secret).verify(body.decode(), headers)
    assert len(headers["webhook-signature"].split()) == 2
    newest = run_sql(ours, lambda session: store.rotate(session, box, found.id, 0, WALL.now()))
    signing = run_sql(ours, lambda session: store.signing_secrets(session, box, found.id, WALL.now()))
    assert signing == [newest, old]
    stored = rows(ours, "SELECT sealed FROM subscription_secrets")
    assert not any(bytes(sealed).startswith(b"whsec") for (sealed,) in stored)


def test_redirect_is_a_failure_and_its_target_gets_nothing(ours, receiver):
    (name,) = names(1)
    secret_place = Receiver()
    subscribed(ours, receiver.url, filter=mine([name]))
    receiver.answer = lambda number, headers, body: (307, {"location": secret_place.url})
    publish(ours, [alert(name)])
    settle(waiting(ours, retry_s=(0.05,)))
    assert len(receiver.got) == 2
    assert secret_place.got == []
    secret_place.close()


def test_address_inside_the_operators_network_is_never_connected_to(ours, receiver):
    (name,) = names(1)
    subscribed(ours, receiver.url, filter=mine([name]))
    publish(ours, [alert(name)])
    settle(waiting(ours, retry_s=(0.05,), allow_networks=("10.0.0.0/8",)))
    assert receiver.got == []
    ((error,),) = rows(ours, "SELECT last_error FROM deliveries")
    assert error.startswith("refused: 127.0.0.1 is loopback")


def case_of(each: messages.Alert, inhibited: str) -> messages.Case:
    told = messages.CaseAlert(each.id, each.revision, each.scenario, each.instrument, inhibited=inhibited)
    return messages.Case(
        id=messages.stable_id(each.id), revision=each.revision, instrument=each.instrument, state="new", risk=1.0,
        opened=each.onset, updated=each.onset, alerts=(told,),
    )  # fmt: skip


def test_inhibited_alert_reaches_nobody_and_a_silent_case_stage_delays_by_a_bounded_time(ours, receiver):
    held, free, unjudged, canary = names(4)
    canary = f"CANARY_{canary}"
    subscribed(ours, receiver.url, filter=mine([held, free, unjudged, canary]))
    alerts = [alert(name) for name in (held, free, unjudged, canary)]
    publish(ours, [*alerts, case_of(alerts[0], "suppression 7"), case_of(alerts[1], "")])
    patient = waiting(ours, case_wait_s=0.8)
    summary = settle(patient, idle=1.0)
    told = [message["data"]["instrument"] for _, message in receiver.accepted()]
    assert told == [free, unjudged]
    assert (summary.inhibited, summary.canaries) == (1, 1)
    publish(ours, [alert(held, 1), case_of(alert(held, 1), "suppression 7")])
    # What a starved run of an earlier test left unread is read now, and may have inhibited ones too.
    assert settle(patient, idle=1.0).inhibited >= 1
    assert [message["data"]["instrument"] for _, message in receiver.accepted()] == [free, unjudged]


def test_alerts_from_before_a_subscription_are_not_its_business(ours, receiver):
    early, late = names(2)
    publish(ours, [alert(early)])
    WALL.sleep(0.05)
    subscribed(ours, receiver.url, filter=mine([early, late]))
    publish(ours, [alert(late)])
    settle(ours)
    assert [message["data"]["instrument"] for _, message in receiver.accepted()] == [late]


def test_subscribers_are_not_passed_over_when_the_topic_of_alerts_was_made_anew(ours, receiver):
    first, second = names(2)
    subscribed(ours, receiver.url, filter=mine([first, second]))
    publish(ours, [alert(first)])
    settle(ours)
    (kept,) = rows(ours, "SELECT DISTINCT topic_id FROM notify_offsets WHERE topic = 'alerts'")
    change = "UPDATE notify_offsets SET topic_id = 'another' WHERE topic = 'alerts'"
    run_sql(ours, lambda session: session.execute(sa.text(change)))
    publish(ours, [alert(second)])
    with pytest.raises(TopicRecreatedError) as error:
        settle(ours)
    assert (
        error.value.message == f"alerts was made anew: its id is {kept[0]}, and the database keeps offsets of another"
    )
    remedy = "DELETE FROM notify_offsets WHERE topic = 'alerts'"
    assert f"`{remedy}`" in error.value.hint
    run_sql(ours, lambda session: session.execute(sa.text(remedy)))
    settle(ours)
    # Both, and the first, which is read again, once.
    assert [message["data"]["instrument"] for _, message in receiver.accepted()] == [first, second]


def test_limit_of_an_hour_leaves_the_rest_to_a_summary(ours, receiver):
    instruments = names(5)
    found, _ = subscribed(ours, receiver.url, filter=mine(instruments), pace=Pace(per_hour=2))
    publish(ours, [alert(name) for name in instruments])
    settle(ours)
    assert len(receiver.accepted()) == 2
    run_sql(ours, lambda session: session.execute(sa.text("UPDATE deliveries SET due_ns = 0 WHERE gathered <> ''")))
    settle(ours)
    (_, summary) = receiver.accepted()[2]
    assert summary["type"] == "alerts.overflow"
    assert (summary["data"]["count"], summary["data"]["by_severity"]) == (3, {"high": 3})
    states = rows(ours, "SELECT state, count(*) FROM deliveries WHERE subscription_id = :id GROUP BY 1", id=found.id)
    assert dict(states) == {"delivered": 3, "folded": 3}


def asked(settings, capsys, *words: str) -> dict[str, Any]:
    """What `tapewatch subscriptions` answers."""
    args = parser_for("subscriptions").parse_args(["subscriptions", *words, "--json"])
    assert subscriptions.run(args, settings) == 0
    return json.loads(capsys.readouterr().out)


def test_the_command_line_makes_shows_rotates_tests_and_replays_and_audits_it_all(ours, receiver, tmp_path, capsys):
    own = msgspec.structs.replace(ours, data=str(tmp_path))
    made = asked(own, capsys, "add", "desk", "--url", receiver.url + "?token=x", "--min-severity", "high", "--why", "w")
    assert made["secret"].startswith("whsec_")
    with pytest.raises(TapewatchError, match="already"):
        asked(own, capsys, "add", "desk", "--url", receiver.url)
    with pytest.raises(TapewatchError, match="refused"):
        asked(own, capsys, "add", "inner", "--url", "https://169.254.169.254/")
    shown = json.dumps([asked(own, capsys, "show", "desk"), asked(own, capsys, "list")])
    assert "whsec_" not in shown and "token=x" not in shown
    rotated = asked(own, capsys, "rotate", "desk", "--overlap-hours", "0")
    sent = asked(own, capsys, "test", "desk")
    settle(own)
    ((headers, body, _),) = receiver.got
    assert headers["webhook-id"] == sent["message_id"]
    Webhook(rotated["secret"]).verify(body.decode(), headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(made["secret"]).verify(body.decode(), headers)
    (delivery,) = asked(own, capsys, "deliveries", "desk")["deliveries"]
    assert (delivery["state"], delivery["type"]) == ("delivered", "subscription.test")
    asked(own, capsys, "disable", "desk", "--why", "holiday")
    with pytest.raises(TapewatchError, match="disabled"):
        asked(own, capsys, "replay", "desk", "--since", "2026-01-01T00:00:00Z")
    asked(own, capsys, "enable", "desk")
    assert asked(own, capsys, "replay", "desk", "--since", "2020-01-01T00:00:00Z")["messages"] == 1
    settle(own)
    assert [headers["webhook-id"] for headers, _, _ in receiver.got] == [sent["message_id"]] * 2
    log = audit.folder(tmp_path)
    acts = [entry.action.removeprefix("subscriptions.") for entry in audit.entries(log)]
    assert acts == ["add", "rotate", "test", "disable", "enable", "replay"]
    assert audit.verify(log).intact
    assert "whsec_" not in (log / audit.LOG_FILE).read_text() and "token=x" not in (log / audit.LOG_FILE).read_text()
