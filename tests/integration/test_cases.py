"""The case stage on a real broker: what reaches people through the client, and what may not stop the stream."""

import itertools
import time

import msgspec
import pytest

from streams.cases.process import CaseStage
from tapewatch import audit, kafka, messages, topics
from tapewatch.case_client import CaseClient, NoAnswerError, command
from tapewatch.messages import Case, CaseAnswer, stable_id
from tapewatch.settings import Settings
from tests.integration.at_work import at_work
from tests.unit.case_scene import alert

TIMES = itertools.count(1_000_000, 100_000)


@pytest.fixture
def ready(settings: Settings) -> Settings:
    kafka.create_topics(settings, topics.shared_topics(settings.topics) + topics.case_topics(settings.topics))
    return settings


def send(settings: Settings, topic: str, *values: bytes) -> None:
    producer = kafka.producer(settings)
    for value in values:
        producer.produce(topic, value, None, 0)
    assert not producer.flush(30)


def written(settings: Settings, topic: str) -> list:
    found = []
    kafka.read_all(settings, topic, found.append)
    return found


def case_of(one: messages.Alert) -> str:
    return stable_id(f"share:{one.instrument}", one.id)


def wait_for(settings: Settings, case: str, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not any(messages.decode(Case, each.value()).id == case for each in written(settings, topics.CASES)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_an_alert_becomes_a_case_and_two_people_close_it(ready: Settings) -> None:
    one = alert(instrument="C1.XTAI", begin=next(TIMES))
    with at_work(CaseStage(ready).run):
        send(ready, topics.ALERTS, messages.encode(one))
        wait_for(ready, case_of(one))
        client = CaseClient(ready)
        closing = command("close", "ann", case=case_of(one), disposition="reported", why="layered", expected=0)
        assert client.send(closing, 60).revision == 1
        assert "four eyes" in client.send(command("approve", "ann", case=case_of(one)), 60).reason
        approval = command("approve", "bob", case=case_of(one))
        first = client.send(approval, 60)
        assert client.send(approval, 0.5) == first
        client.close()
    entries = audit.entries(audit.folder(ready.data_path))
    assert [(each.who, each.action, each.subject) for each in entries[:2]] == [
        ("ann", "case.close", case_of(one)),
        ("ann", "case.approve", case_of(one)),
    ]


def test_bad_records_are_answered_or_kept_as_dead_letters_and_stop_nothing(ready: Settings) -> None:
    one = alert(instrument="C2.XTAI", begin=next(TIMES))
    named = f'{{"version":"1.0","id":"{"b" * 30}c2","action":"fly"}}'.encode()
    before = {name: len(written(ready, topics.dead_letters(name))) for name in (topics.ALERTS, topics.CASE_COMMANDS)}
    stage = CaseStage(ready)
    with at_work(stage.run):
        send(ready, topics.CASE_COMMANDS, b"\xff", b'{"version":"1.0"}', named, named)
        foreign = messages.encode(msgspec.structs.replace(one, instrument="<img onerror>"))
        send(ready, topics.ALERTS, b"{", foreign, messages.encode(one))
        wait_for(ready, case_of(one))
        answers = []
        while not answers:
            answers = [each for each in written(ready, topics.CASE_ANSWERS) if each.key() == b"b" * 30 + b"c2"]
    assert len(answers) == 1
    assert not messages.decode(CaseAnswer, answers[0].value()).accepted
    letters = {name: written(ready, topics.dead_letters(name))[count:] for name, count in before.items()}
    ours = [dict(each.headers())["reason"].decode() for name in letters for each in letters[name]]
    assert ours[:2] == ["malformed_message", "malformed_instrument"]
    assert ours[2:] == ["malformed_message"] * 2
    assert stage.totals.refused >= 4


def test_alerts_of_an_aborted_transaction_are_never_seen(ready: Settings) -> None:
    ghost, one = (alert(instrument=f"C{each}.XTAI", begin=next(TIMES)) for each in (3, 4))
    producer = kafka.producer(ready, transactional_id="test-ghost")
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topics.ALERTS, messages.encode(ghost), None, 0)
    producer.flush()
    producer.abort_transaction(30)
    with at_work(CaseStage(ready).run):
        send(ready, topics.ALERTS, messages.encode(one))
        wait_for(ready, case_of(one))
    cases = {messages.decode(Case, each.value()).id for each in written(ready, topics.CASES)}
    assert case_of(one) in cases
    assert case_of(ghost) not in cases


def test_reading_every_topic_again_from_its_beginning_writes_nothing(ready: Settings) -> None:
    CaseStage(ready).run(_never(), until_idle_s=1.0)
    again = CaseStage(msgspec.structs.replace(ready, cases=msgspec.structs.replace(ready.cases, group="again")))
    again.run(_never(), until_idle_s=1.0)
    assert again.totals.alerts > 0
    assert (again.totals.cases, again.totals.answers, again.totals.suppressions) == (0, 0, 0)


def _never():
    import threading

    return threading.Event()


def test_a_command_without_a_stage_lies_in_the_log_until_one_runs(ready: Settings) -> None:
    client, order = CaseClient(ready), command("note", "ann", case="f" * 32, why="early")
    with pytest.raises(NoAnswerError, match="has not answered"):
        client.send(order, 0.1)
    with at_work(CaseStage(ready).run):
        deadline = time.monotonic() + 60
        while not any(each.key() == order.id.encode() for each in written(ready, topics.CASE_ANSWERS)):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert "no case" in client.send(order, 0.1).reason
    client.close()
