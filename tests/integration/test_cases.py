"""The case stage on a real broker: what reaches people through the client, and what may not stop the stream."""

import itertools
import json
import threading
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from streams.cases.process import CaseStage
from tapewatch import cli
from tapewatch.contract import messages, topics
from tapewatch.contract.messages import Case, CaseAnswer, stable_id
from tapewatch.desk.case_client import CaseClient, NoAnswerError, command
from tapewatch.errors import TapewatchError
from tapewatch.proof import audit
from tapewatch.runtime import kafka
from tapewatch.settings import KafkaSettings, Settings
from tapewatch.settings.stack import Addresses
from tests.eventually import eventually
from tests.integration.at_work import at_work
from tests.unit.case_scene import alert

TIMES = itertools.count(1_000_000, 100_000)


@pytest.fixture(scope="module")
def ready(stack: Addresses, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    found = Settings(data=str(tmp_path_factory.mktemp("cases")), kafka=KafkaSettings(bootstrap=stack.bootstrap))
    kafka.create_topics(found, topics.shared_topics(found.topics) + topics.case_topics(found.topics))
    return found


@pytest.fixture(scope="module")
def stage(ready: Settings) -> Iterator[CaseStage]:
    """One stage at work for the whole module: each start takes two seconds."""
    working = CaseStage(ready)
    with at_work(working.run):
        yield working


def send(settings: Settings, topic: str, *values: bytes) -> None:
    producer = kafka.producer(settings)
    for value in values:
        producer.produce(topic, value, None, 0)
    assert not producer.flush(30)


def written(settings: Settings, topic: str) -> list[Any]:
    found: list[Any] = []
    kafka.read_all(settings, topic, found.append)
    return found


def case_of(one: messages.Alert) -> str:
    return stable_id(f"share:{one.instrument}", one.id)


def wait_for(settings: Settings, case: str, seconds: float = 60.0) -> None:
    eventually(
        lambda: any(messages.decode(Case, each.value()).id == case for each in written(settings, topics.CASES)),
        what="the case", seconds=seconds,
    )  # fmt: skip


def test_a_command_without_a_stage_lies_in_the_log_until_one_runs(
    ready: Settings, request: pytest.FixtureRequest
) -> None:
    client, order = CaseClient(ready), command("note", "ann", case="f" * 32, why="early")
    with pytest.raises(NoAnswerError, match="has not answered"):
        client.send(order, 0.1)
    request.getfixturevalue("stage")
    eventually(
        lambda: any(each.key() == order.id.encode() for each in written(ready, topics.CASE_ANSWERS)), what="an answer"
    )
    assert "no case" in client.send(order, 0.1).reason
    client.close()


def test_an_alert_becomes_a_case_and_two_people_close_it(ready: Settings, stage: CaseStage) -> None:
    one = alert(instrument="C1.XTAI", begin=next(TIMES))
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
    told = [(each.who, each.action, each.subject) for each in entries if each.subject == case_of(one)]
    assert told[:2] == [
        ("ann", "case.close", case_of(one)),
        ("ann", "case.approve", case_of(one)),
    ]


def test_bad_records_are_answered_or_kept_as_dead_letters_and_stop_nothing(ready: Settings, stage: CaseStage) -> None:
    one = alert(instrument="C2.XTAI", begin=next(TIMES))
    named = f'{{"version":"1.0","id":"{"b" * 30}c2","action":"fly"}}'.encode()
    before = {name: len(written(ready, topics.dead_letters(name))) for name in (topics.ALERTS, topics.CASE_COMMANDS)}
    send(ready, topics.CASE_COMMANDS, b"\xff", b'{"version":"1.0"}', named, named)
    foreign = messages.encode(msgspec.structs.replace(one, instrument="<img onerror>"))
    send(ready, topics.ALERTS, b"{", foreign, messages.encode(one))
    wait_for(ready, case_of(one))
    answers: list[Any] = []
    while not answers:
        answers = [each for each in written(ready, topics.CASE_ANSWERS) if each.key() == b"b" * 30 + b"c2"]
    assert len(answers) == 1
    assert not messages.decode(CaseAnswer, answers[0].value()).accepted
    letters = {name: written(ready, topics.dead_letters(name))[count:] for name, count in before.items()}
    ours = [dict(each.headers())["reason"].decode() for name in letters for each in letters[name]]
    assert ours[:2] == ["malformed_message", "malformed_instrument"]
    assert ours[2:] == ["malformed_message"] * 2
    assert stage.totals.refused >= 4


def test_alerts_of_an_aborted_transaction_are_never_seen(ready: Settings, stage: CaseStage) -> None:
    ghost, one = (alert(instrument=f"C{each}.XTAI", begin=next(TIMES)) for each in (3, 4))
    producer = kafka.producer(ready, transactional_id="test-ghost")
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topics.ALERTS, messages.encode(ghost), None, 0)
    producer.flush()
    producer.abort_transaction(30)
    send(ready, topics.ALERTS, messages.encode(one))
    wait_for(ready, case_of(one))
    cases = {messages.decode(Case, each.value()).id for each in written(ready, topics.CASES)}
    assert case_of(one) in cases
    assert case_of(ghost) not in cases


def test_reading_every_topic_again_writes_nothing_and_who_was_replaced_ends(ready: Settings, stage: CaseStage) -> None:
    again = CaseStage(msgspec.structs.replace(ready, cases=msgspec.structs.replace(ready.cases, group="again")))
    failures: list[TapewatchError] = []

    def work() -> None:
        try:
            again.run(threading.Event())
        except TapewatchError as error:
            failures.append(error)

    there = len(written(ready, topics.ALERTS)) + len(written(ready, topics.CASE_COMMANDS))
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    eventually(
        lambda: not thread.is_alive() or again.totals.alerts + again.totals.commands >= there,
        what="the stage has read all", pause=0.02,
    )  # fmt: skip
    assert thread.is_alive()
    assert (again.totals.cases, again.totals.answers, again.totals.suppressions) == (0, 0, 0)
    # Another process of the group opens its producer: whatever the first one then works out never appears.
    kafka.producer(ready, transactional_id="again").init_transactions(30)
    one = alert(instrument="C6.XTAI", begin=next(TIMES))
    send(ready, topics.ALERTS, messages.encode(one))
    thread.join(600)
    assert "taken over" in failures[0].hint
    wait_for(ready, case_of(one))
    cases = [messages.decode(Case, each.value()) for each in written(ready, topics.CASES)]
    assert [each.revision for each in cases if each.id == case_of(one)] == [0]


def test_a_days_work_from_the_command_line(
    ready: Settings, stage: CaseStage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one = alert(instrument="C5.XTAI", begin=next(TIMES))
    monkeypatch.setenv("TAPEWATCH_KAFKA_BOOTSTRAP", ready.bootstrap())
    monkeypatch.setenv("TAPEWATCH_DATA", ready.data)
    case = case_of(one)

    def tell(*words: str) -> tuple[int, str]:
        code = cli.main(["cases", *words])
        return code, capsys.readouterr().out

    send(ready, topics.ALERTS, messages.encode(one))
    wait_for(ready, case)
    assert tell("assign", case[:12], "ann", "--who", "ann", "--wait", "60")[0] == 0
    closing = ("close", case, "false_positive", "--who", "ann", "--why", "a fat finger", "--wait", "60", "--json")
    assert json.loads(tell(*closing)[1])["accepted"] is True
    code, told = tell("approve", case, "--who", "ann", "--wait", "60")
    assert code == 1
    assert "four eyes" in told
    assert tell("approve", case, "--who", "bob", "--wait", "60")[0] == 0
    rule = ("--instrument", "C5.XTAI", "--hours", "1", "--why", "a test", "--who", "ann", "--wait", "60")
    assert tell("suppress", *rule)[0] == 0
    [proposed] = [each for each in json.loads(tell("rules", "--json")[1]) if each["instrument"] == "C5.XTAI"]
    assert tell("approve-rule", proposed["id"], "--who", "bob", "--wait", "60")[0] == 0
    assert json.loads(tell("show", case, "--json")[1])["disposition"] == "false_positive"
    shown = tell("show", case)[1]
    assert all(text in shown for text in ("closed, false_positive", "ann: closing", "bob: closed", "a fat finger"))
    assert case not in {each["id"] for each in json.loads(tell("list", "--limit", "9999", "--json")[1])}
    assert case[:8] in tell("list", "--state", "closed", "--limit", "9999")[1]
    assert "in_force" in tell("rules")[1]
    assert tell("show", "ffff" * 8)[0] == 1
