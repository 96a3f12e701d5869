"""What becomes of a case with each alert, to the field: what it opens with, its steps, and what starts work anew."""

import hashlib
from typing import Any

import msgspec
import pytest

from tapewatch.contract.messages import Alert, Case, CaseAlert, CaseEvent
from tapewatch.errors import ContractError
from tests.unit.case_scene import Scene, alert, at, of

PUMP = alert()


def step(seconds: float, action: str, why: str, about: Alert) -> CaseEvent:
    """A step of the stage's own."""
    return CaseEvent(at(seconds), "cases", action, why, "", about.id)


def steps(case: Case, since: Case) -> list[CaseEvent]:
    assert case.history[: len(since.history)] == since.history
    return list(case.history[len(since.history) :])


def told(scene: Scene, case: Case, **fields: Any) -> Case:
    """The case with a close that waits."""
    assert scene.tell("close", case, disposition="false_positive", seconds=20, **fields).accepted
    return scene.case(case)


def test_the_first_alert_opens_a_new_case_with_all_that_it_says() -> None:
    one = alert(score=90.0, probability=0.6, updated="2026-05-28T20:27:00Z")
    name = "share:2330.XTAI"
    kept = CaseAlert(
        id=one.id,
        revision=0,
        scenario="pump_and_dump",
        instrument="2330.XTAI",
        severity="high",
        score=90.0,
        state="open",
        onset=at(0),
        decided=at(10),
        updated=at(20),
        probability=0.6,
    )
    assert Scene().joined(one) == Case(
        id=hashlib.sha256(f"{name}|{one.id}".encode()).hexdigest()[:32],
        revision=0,
        instrument="2330.XTAI",
        neighbourhood=name,
        instruments=("2330.XTAI",),
        state="new",
        risk=60.48,  # 0.7 * 0.96 * 0.9
        priority=2,
        opened=at(20),
        updated=at(20),
        alerts=(kept,),
        history=(step(20, "opened", "pump_and_dump, high", one),),
    )


def test_a_suppressed_alert_opens_a_case_that_is_closed() -> None:
    scene = Scene()
    rule = scene.suppressed(scenario="pump_and_dump")
    case = scene.joined(PUMP)
    assert (case.state, case.disposition, case.opened, case.closed) == ("closed", "suppressed", at(10), at(10))
    assert (case.risk, case.priority, of(case, PUMP).inhibited) == (0.0, 4, rule.id)
    assert case.history == (step(10, "closed", "pump_and_dump, high; quiet by suppression", PUMP),)


def test_an_alert_that_joins_becomes_a_step_and_moves_risk_priority_and_instruments() -> None:
    scene = Scene()
    before = scene.joined(PUMP)
    spoofing = alert("spoofing", "2330-F202612.XTAI", 50)
    case = scene.joined(spoofing)
    assert (case.revision, case.state, case.updated, case.opened) == (1, "new", at(60), at(10))
    assert steps(case, before) == [step(60, "alert", "spoofing, high", spoofing)]
    assert (case.risk, case.priority) == (87.33, 1)  # 1 - 0.356 * 0.356
    assert case.instrument == "2330.XTAI"
    assert case.instruments == ("2330.XTAI", "2330-F202612.XTAI")
    assert [each.id for each in case.alerts] == [PUMP.id, spoofing.id]


def test_a_later_revision_becomes_a_step_where_its_severity_changes_or_it_closes() -> None:
    scene = Scene()
    case = scene.joined(PUMP)
    expected: list[tuple[dict[str, Any], list[tuple[str, str]]]] = [
        ({"severity": "high"}, []),
        ({"severity": "medium"}, [("alert_severity", "high to medium")]),
        ({"severity": "low", "state": "closed"}, [("alert_severity", "medium to low"), ("alert_closed", "")]),
        ({"severity": "low", "state": "closed"}, []),
        ({"severity": "high", "state": "closed"}, [("alert_severity", "low to high")]),
    ]
    for revision, (fields, said) in enumerate(expected, 1):
        before, case = case, scene.alert(revision=revision, **fields)
        assert steps(case, before) == [step(10 + 60 * revision, action, why, PUMP) for action, why in said]
        assert (case.revision, case.updated, of(case, PUMP).revision) == (revision, at(10 + 60 * revision), revision)
    assert scene.alert(revision=6, severity="medium", score=0.0).risk == 27.0  # 0.45 * 0.6


def test_a_case_that_is_reopened_by_an_alert_says_why() -> None:
    scene = Scene()
    before = scene.closed(scene.joined(PUMP), seconds=30)
    case = scene.alert(revision=1, severity="critical")
    why = "an alert is more severe than any was when the case was closed"
    assert steps(case, before) == [
        step(70, "alert_severity", "high to critical", PUMP),
        step(70, "reopened", why, PUMP),
    ]
    assert (case.state, case.disposition, case.closed) == ("reopened", "", at(30))


def test_a_closed_case_is_reopened_above_the_severity_of_its_close_and_not_above_a_later_lower_one() -> None:
    scene = Scene(cooldown_s=1000)
    closed = scene.closed(scene.joined(PUMP), seconds=30)
    assert scene.alert(revision=1, severity="low").state == "closed"
    assert scene.alert(revision=2, severity="high").state == "closed"
    assert scene.alert(revision=3, severity="low").state == "closed"
    attached = scene.alert(begin=300)
    assert (attached.id, attached.state, attached.alerts[-1].inhibition) == (closed.id, "closed", "cooldown")
    attached = scene.alert(begin=300, revision=1)
    assert (attached.state, attached.alerts[-1].inhibition) == ("closed", "cooldown")
    again = alert(revision=4, severity="critical")
    assert scene.restored().take(again) == scene.take(again) == [scene.case(closed)]
    assert scene.case(closed).state == "reopened"


def test_the_next_close_of_a_reopened_case_counts_anew() -> None:
    scene = Scene()
    scene.closed(scene.alert(severity="critical"), seconds=30)
    case = scene.alert(revision=1, severity="low")
    assert scene.tell("reopen", case).accepted
    scene.closed(case)
    assert scene.alert(revision=2, severity="medium").state == "reopened"


def test_an_alert_that_joins_and_raises_somebody_withdraws_a_close_that_waits() -> None:
    scene = Scene()
    before = told(scene, scene.joined(PUMP))
    spoofing = alert("spoofing", severity="low", begin=50)
    case = scene.joined(spoofing)
    why = "an alert came that whoever wanted to close the case had not seen"
    assert case.closing is None
    assert steps(case, before) == [
        step(60, "alert", "spoofing, low", spoofing),
        step(60, "close_withdrawn", why, spoofing),
    ]


@pytest.mark.parametrize(("severity", "withdrawn"), [("medium", False), ("high", False), ("critical", True)])
def test_a_revision_withdraws_a_close_that_waits_only_where_severity_rises(severity: str, withdrawn: bool) -> None:
    scene = Scene()
    before = told(scene, scene.joined(PUMP))
    case = scene.alert(revision=1, severity=severity)
    assert (case.closing is None, case.state) == (withdrawn, "new")
    assert (case.closing == before.closing) != withdrawn
    assert ([each.action for each in case.history].count("close_withdrawn")) == withdrawn


def test_a_quiet_alert_leaves_a_close_that_waits() -> None:
    scene = Scene()
    scene.suppressed(scenario="spoofing")
    waiting = told(scene, scene.joined(PUMP))
    suppressed = scene.alert("spoofing", severity="critical", begin=50)
    inhibited = scene.alert("ramping", begin=60)
    assert suppressed.alerts[-1].inhibition == "suppression"
    assert inhibited.alerts[-1].inhibition == "stronger"
    assert suppressed.closing == inhibited.closing == waiting.closing
    assert inhibited.history[-1].why == "ramping, high"


def test_a_revision_of_a_cooled_alert_stays_quiet_up_to_the_severity_of_the_case() -> None:
    scene = Scene(cooldown_s=1000)
    closed = scene.closed(scene.joined(PUMP), seconds=500)
    again = alert(begin=1200, severity="medium")
    case = scene.joined(again)
    assert (case.id, of(case, again).inhibited) == (closed.id, closed.id)
    assert case.history[-1].why == "pump_and_dump, medium; quiet by cooldown"
    case = scene.alert(begin=1200, revision=1)
    assert (case.state, of(case, again).inhibition, of(case, again).inhibited) == ("closed", "cooldown", closed.id)
    case = scene.alert(begin=1200, revision=2, severity="critical")
    assert (case.state, of(case, again).inhibition, of(case, again).inhibited) == ("reopened", "", "")


def test_an_alert_in_a_cooldown_that_a_rule_names_is_quiet_by_the_rule() -> None:
    scene = Scene(cooldown_s=1000)
    closed = scene.closed(scene.joined(PUMP), seconds=500)
    rule = scene.suppressed(scenario="pump_and_dump", starts=1000, expires=2000)
    case = scene.alert(begin=1200)
    assert (case.id, case.alerts[1].inhibition, case.alerts[1].inhibited) == (closed.id, "suppression", rule.id)


def test_an_alert_that_a_rule_lets_go_is_loud_again() -> None:
    scene = Scene()
    scene.suppressed(scenario="spoofing", below="high")
    scene.joined(PUMP)
    spoofing = alert("spoofing", severity="medium")
    case = scene.joined(spoofing)
    assert (case.risk, of(case, spoofing).inhibition) == (64.4, "suppression")
    case = scene.alert("spoofing", revision=1)
    assert (case.risk, of(case, spoofing).inhibition, of(case, spoofing).inhibited) == (87.33, "", "")


def test_a_more_severe_alert_in_a_cooldown_joins_an_open_case_before_it_reopens_the_closed_one() -> None:
    scene = Scene(cooldown_s=1000)
    closed = scene.closed(scene.joined(PUMP), seconds=500)
    opened = scene.alert("spoofing", begin=700)
    assert opened.id != closed.id
    assert scene.alert(begin=800, severity="critical").id == opened.id
    assert scene.case(closed).state == "closed"


def test_a_suppressed_alert_joins_an_open_case_before_a_closed_one() -> None:
    scene = Scene()
    scene.suppressed(scenario="pump_and_dump")
    quiet = scene.joined(PUMP)
    opened = scene.alert("spoofing", begin=50)
    assert quiet.id != opened.id
    assert scene.alert(begin=100).id == opened.id
    assert scene.case(quiet) == quiet


@pytest.mark.parametrize(
    ("fields", "reason"),
    [({"instrument": "2330"}, "malformed_instrument"), ({"onset": "2024-13-01T00:00:00Z"}, "malformed_message")],
)
def test_what_is_no_alert_is_refused_with_its_reason(fields: dict[str, str], reason: str) -> None:
    with pytest.raises(ContractError) as refused:
        Scene().joined(msgspec.structs.replace(PUMP, **fields))
    assert refused.value.reason == reason
