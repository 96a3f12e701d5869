"""What is said of a canary reaches nobody but the operator, opens nothing, and is not traded."""

import asyncio

import msgspec
import numpy as np
import pytest

from console.identity import Account
from console.live.hub import Hub
from detectors.forecast.lstm.inputs import LOOKBACK
from sinks.elasticsearch import documents
from sinks.notify.chat import words
from sinks.notify.inbox import operation, operation_type, placed
from streams.cases.process import CaseProcessor
from streams.event_stage.records import Record
from streams.forecast.minute import MinuteTask
from streams.paper.broker import PaperBroker
from tapewatch import client
from tapewatch.contract import messages, topics
from tapewatch.contract.canaries import Canary
from tapewatch.desk.subscriptions import Filter, Pace, Quiet, Subscription
from tapewatch.market_log.registry import FixedRegistry
from tapewatch.settings import Settings
from tapewatch.settings.paper import PaperSettings
from tests.unit.canary_messages import injected
from tests.unit.case_scene import alert
from tests.unit.minute_bars import HEADERS, log_of, said, untrained, walk
from tests.unit.paper_market import TOPIC, signal

NAME, REAL = "CANARY_7.SIMX", "2330.XTAI"


def judged(state: str, **more: object) -> Canary:
    return msgspec.structs.replace(injected(), state=state, revision=1, **more)


def subscription(about: str, **more: object) -> Subscription:
    wanted = msgspec.convert({"about": about}, Filter)
    return Subscription(
        id="s", name="s", kind="webhook", target="t", filter=wanted, created_ns=0, created_by="ann", updated_ns=0,
        **more,  # type: ignore[arg-type]
    )  # fmt: skip


def test_canary_opens_no_case_and_other_instruments_do() -> None:
    registry = FixedRegistry(())
    intake = CaseProcessor(Settings().cases, registry, ("CANARY_",))  # type: ignore[arg-type]

    def follows(instrument: str) -> int:
        value = messages.encode(alert(instrument=instrument))
        return len(intake.take(Record((topics.ALERTS, 0), 0, value, 0)))

    assert (follows(NAME), follows(REAL)) == (0, 1)
    assert intake.cases == 1


def test_paper_broker_skips_a_canarys_signals_and_says_why() -> None:
    broker = PaperBroker(PaperSettings(started=True), {}, TOPIC, 0)
    broker.offset = 4
    broker.signal(signal("buy", 4, 4, NAME))
    broker.signal(signal("buy", 4, 4, REAL))
    assert broker.skipped == {"canary": 1, "no market yet": 1}
    assert not PaperSettings(untraded="").is_untraded(NAME)


def test_minute_forecasts_say_nothing_of_a_canary() -> None:
    task = MinuteTask(0, untrained(), 0.0005, canaries=("CANARY_",))
    series = {NAME: walk(LOOKBACK + 2), REAL: walk(LOOKBACK + 2, seed=1)}
    for offset, value in enumerate(log_of(series)):
        task.record(offset, value, HEADERS)
    told = {messages.decode(messages.Signal, value).instrument for topic, value in said(task) if topic == "signals"}
    assert told == {REAL}
    assert np.isfinite(task.bars) and task.refused == 0


@pytest.mark.parametrize(("asked", "wanted"), [({}, [REAL]), ({"canaries": True}, [NAME, REAL])])
def test_python_client_leaves_canaries_out_unless_asked(asked: dict[str, bool], wanted: list[str]) -> None:
    takes = client._filter(client.Options(**asked), Settings())  # type: ignore[typeddict-item]
    assert [name for name in (NAME, REAL) if takes(alert(instrument=name))] == wanted
    assert takes(injected())


def test_event_streams_carry_no_alert_of_a_canary() -> None:
    async def scene() -> list[bytes]:
        hub = Hub(Settings())
        hub.begin({("alerts", 0): 0})
        account = Account("ann", "viewer")
        async with hub.subscribed(account, frozenset({"alerts"}), "", "sse", "") as (listener, _):
            alerts = [alert(instrument=name) for name in (NAME, REAL)]
            hub.publish([("alerts", 0, at, messages.encode(each)) for at, each in enumerate(alerts)])
            return await listener.next(0)

    told = b"".join(asyncio.run(scene()))
    assert REAL.encode() in told and NAME.encode() not in told


def test_alert_subscription_hears_of_no_canary_and_operators_hear_of_no_alert() -> None:
    desk, operator = subscription("alerts"), subscription("operation")
    missed = judged("missed", in_a_row=2)
    assert operation(desk, missed, 5) is None
    found = operation(operator, missed, 5)
    assert found is not None and (found.type, found.due_ns, found.gathered) == ("canary.missed", 5, "")
    assert placed(operator, alert(), 0, 5) is None and placed(desk, alert(), 0, 5) is not None


def test_operator_is_told_in_quiet_hours_and_not_what_his_seat_does_not_show() -> None:
    quiet = Pace(digest_minutes=60, quiet=Quiet(start="00:00", end="23:59"))
    told = operation(subscription("operation", pace=quiet), judged("missed"), 5)
    assert told is not None and told.due_ns == 5
    assert operation(subscription("operation", entitled=("*.XTAI",)), judged("missed"), 5) is None
    assert operation(subscription("operation", state="disabled"), judged("missed"), 5) is None


@pytest.mark.parametrize(
    ("canary", "kind", "says"),
    [
        (judged("missed", in_a_row=3), "canary.missed", "was not found"),
        (judged("late"), "canary.late", "after it was due"),
        (judged("found", absent=("postgres",)), "canary.unstored", "did not reach postgres"),
        (judged("found", in_a_row=2), "canary.recovered", "after 2 missed in a row"),
        (judged("found"), "", ""),
        (injected(), "", ""),
    ],
)
def test_operator_is_told_what_is_wrong_and_that_it_is_over(canary: Canary, kind: str, says: str) -> None:
    assert operation_type(canary) == kind
    if kind:
        told = operation(subscription("operation"), canary, 5)
        assert told is not None
        title, text = words(told.body.encode())
        assert kind.partition(".")[2] in title and says in text and "pump_and_dump" in text


def test_documents_of_canaries_are_tagged_and_say_how_they_fared() -> None:
    assert documents.alert(alert(instrument=NAME))["tags"] == ["canary"]
    assert "tags" not in documents.alert(alert())
    found = documents.canary(judged("found", stages={"topic": 0.2, "postgres": None}, decision_s=3.0))
    assert found["tags"] == ["canary"] and found["tapewatch"]["canary"]["found"] == 1.0
    assert found["tapewatch"]["canary"]["stage_s"] == {"topic": 0.2, "postgres": None}
    assert documents.canary(judged("missed"))["tapewatch"]["canary"]["found"] == 0.0
    assert "found" not in documents.canary(injected())["tapewatch"]["canary"]
