"""Suppression rules: who makes, approves and ends one, its life to the second, and which alerts it keeps quiet."""

import random
from typing import Any

import msgspec
import pytest

from tapewatch.contract.messages import Suppression
from tests.unit.case_scene import Scene, alert, at, of, rule
from tests.unit.reference_cases import LADDER, PlainAlert, PlainRule

DAY = 86_400


def quiet(scene: Scene, decided: float, **fields: Any) -> bool:
    """Whether an alert decided at a second comes out suppressed."""
    one = alert(begin=decided - 10, **fields)
    return of(scene.joined(one), one).inhibition == "suppression"


def kept(scene: Scene, proposed: Suppression) -> Suppression:
    return scene.desk.rules[proposed.id]


def test_a_rule_goes_from_its_proposal_over_its_approval_to_its_end() -> None:
    scene = Scene()
    proposed = rule(starts=100, expires=1000, below="high", venue="XTAI", instrument="2330.XTAI")
    assert scene.tell("suppress", suppression=proposed, seconds=50).revision == 0
    expected = msgspec.structs.replace(proposed, created=at(50))
    assert kept(scene, proposed) == expected
    assert scene.tell("approve_suppression", subject=proposed.id, who="bob").revision == 1
    expected = msgspec.structs.replace(expected, revision=1, state="in_force", approved_by="bob")
    assert kept(scene, proposed) == expected
    answer = scene.tell("end_suppression", subject=proposed.id, who="eve", seconds=500)
    assert (answer.accepted, answer.case, answer.reason, answer.revision) == (True, "", "", 2)
    expected = msgspec.structs.replace(expected, revision=2, state="ended", ended_by="eve", expires=at(500))
    assert kept(scene, proposed) == expected


def test_a_suppression_takes_two_people() -> None:
    scene = Scene()
    proposed = rule()
    assert scene.tell("suppress", suppression=proposed).accepted
    assert "four eyes" in scene.tell("approve_suppression", subject=proposed.id, who="Ann").reason
    answer = scene.tell("approve_suppression", subject=proposed.id, who="bob")
    assert (answer.accepted, answer.revision) == (True, 1)
    kept = scene.desk.rules[proposed.id]
    assert (kept.state, kept.approved_by) == ("in_force", "bob")
    assert not scene.tell("approve_suppression", subject=proposed.id, who="eve").accepted


def test_a_rule_cannot_bring_its_approval_along() -> None:
    scene = Scene()
    forged = rule(state="in_force", approved_by="bob", ended_by="eve", revision=7, created=at(-500))
    assert scene.tell("suppress", suppression=forged, seconds=50).accepted
    expected = msgspec.structs.replace(
        forged, state="proposed", approved_by="", ended_by="", revision=0, created=at(50)
    )
    assert scene.desk.rules[forged.id] == expected


@pytest.mark.parametrize(
    ("state", "approved_by", "expected"),
    [
        ("in_force", "bob", True),
        ("ended", "bob", True),
        ("in_force", "", False),
        ("ended", "", False),
        ("proposed", "bob", False),
        ("rejected", "bob", False),
    ],
)
def test_a_rule_in_the_log_keeps_nothing_quiet_without_its_state_and_its_second_account(
    state: str, approved_by: str, expected: bool
) -> None:
    scene = Scene()
    scene.desk.recall(rule("pump_and_dump", state=state, approved_by=approved_by))
    assert quiet(scene, 100) == expected


@pytest.mark.parametrize(
    "fields",
    [
        {"scenario": ""},
        {"expires": 0.0},
        {"expires": 86_400.0 * 400},
        {"below": "severe"},
        {"reason": " "},
        {"owner": "bob"},
        {"starts": 2000.0},
    ],
)
def test_a_rule_that_is_unsound_is_refused(fields: dict[str, Any]) -> None:
    answer = Scene().tell("suppress", suppression=rule(**fields))
    assert not answer.accepted
    assert answer.reason


def test_a_rule_is_not_approved_after_its_end_nor_proposed_twice() -> None:
    scene = Scene()
    proposed = rule(expires=50)
    assert scene.tell("suppress", suppression=proposed).accepted
    assert "already" in scene.tell("suppress", suppression=proposed).reason
    assert "expired" in scene.tell("approve_suppression", subject=proposed.id, who="bob", seconds=50).reason
    assert "no rule" in scene.tell("approve_suppression", subject="f" * 32, who="bob").reason


def test_a_proposal_ended_is_rejected_with_its_time_as_it_was() -> None:
    scene = Scene()
    proposed = rule()
    assert scene.tell("suppress", suppression=proposed, seconds=0).accepted
    assert scene.tell("end_suppression", subject=proposed.id, who="eve", seconds=500).accepted
    assert kept(scene, proposed) == msgspec.structs.replace(proposed, revision=1, state="rejected", ended_by="eve")
    assert scene.tell("end_suppression", subject=proposed.id).reason == "the rule is rejected already"
    refused = scene.tell("approve_suppression", subject=proposed.id, who="bob")
    assert refused.reason == "the rule is rejected, not proposed"


@pytest.mark.parametrize(("seconds", "end"), [(50, 100), (100, 100), (500, 500), (1000, 1000), (1500, 1000)])
def test_a_rule_ends_where_it_is_ended_within_its_own_time(seconds: int, end: int) -> None:
    scene = Scene(window_s=1)
    in_force = scene.suppressed(scenario="pump_and_dump", starts=100, expires=1000)
    assert scene.tell("end_suppression", subject=in_force.id, seconds=seconds).accepted
    assert kept(scene, in_force).expires == at(end)
    assert [quiet(scene, decided) for decided in (end - 1, end, 1200)] == [end > 100, False, False]


def test_an_ended_rule_is_not_ended_again_nor_approved() -> None:
    scene = Scene()
    ended = scene.suppressed()
    assert scene.tell("end_suppression", subject=ended.id, seconds=500).accepted
    assert scene.tell("end_suppression", subject=ended.id, seconds=300).reason == "the rule is ended already"
    assert scene.tell("approve_suppression", subject=ended.id, who="bob").reason == "the rule is ended, not proposed"
    assert kept(scene, ended).expires == at(500)


def test_ending_a_rule_needs_a_reason() -> None:
    scene = Scene()
    in_force = scene.suppressed()
    assert scene.tell("end_suppression", subject=in_force.id, why=" ").reason == "end_suppression needs a reason"
    assert kept(scene, in_force) == in_force


@pytest.mark.parametrize("action", ["approve_suppression", "end_suppression"])
def test_a_rule_that_has_moved_on_since_it_was_seen_is_left_alone(action: str) -> None:
    scene = Scene()
    in_force = scene.suppressed()
    refused = scene.tell(action, subject=in_force.id, who="eve", expected=0)
    assert (refused.accepted, refused.revision) == (False, -1)
    assert refused.reason == "the rule has changed: it is at revision 1, not 0"
    assert "changed" in scene.tell(action, subject=in_force.id, who="eve", expected=2).reason
    assert kept(scene, in_force) == in_force
    assert scene.tell("end_suppression", subject=in_force.id, expected=1).accepted


@pytest.mark.parametrize(
    ("fields", "sound"),
    [
        ({"expires": 366.0 * DAY}, True),
        ({"expires": 366.0 * DAY + 0.001}, False),
        ({"expires": 0.001}, True),
        ({"expires": 0.0}, False),
        ({"scenario": "", "instrument": "2330.XTAI"}, True),
        ({"scenario": "", "venue": "XTAI"}, True),
        ({"scenario": ""}, False),
        ({"owner": "ANN "}, True),
        ({"below": "critical"}, True),
    ],
)
def test_a_rule_names_something_and_lasts_up_to_366_days(fields: dict[str, Any], sound: bool) -> None:
    assert Scene().tell("suppress", suppression=rule(**fields)).accepted == sound


def test_a_rule_is_approved_up_to_its_end_and_its_times_are_kept_with_nine_decimals() -> None:
    scene = Scene()
    times = {"starts": "2026-05-28T20:26:40Z", "expires": "2026-05-28T20:27:30.5Z"}
    proposed = msgspec.structs.replace(rule(), **times)
    assert scene.tell("suppress", suppression=proposed).accepted
    shortest = msgspec.structs.replace(rule(), starts=times["starts"], expires="2026-05-28T20:26:40.000000001Z")
    assert scene.tell("suppress", suppression=shortest).accepted
    assert kept(scene, proposed).starts == "2026-05-28T20:26:40.000000000Z" == at(0)
    assert kept(scene, proposed).expires == "2026-05-28T20:27:30.500000000Z" == at(50.5)
    refused = scene.tell("approve_suppression", subject=proposed.id, who="bob", seconds=50.5)
    assert refused.reason == "the rule has expired"
    assert scene.tell("approve_suppression", subject=proposed.id, who="bob", seconds=50.499).accepted


def test_rules_are_answered_in_words_where_there_is_none() -> None:
    scene = Scene()
    assert scene.tell("suppress").reason == "suppress needs a rule"
    assert scene.tell("end_suppression", subject="f" * 32).reason == f"there is no rule {'f' * 32}"
    assert scene.tell("end_suppression").reason == "the command names no rule"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"scenario": "pump_and_dump"}, True),
        ({"scenario": "ramping"}, False),
        ({"scenario": "", "instrument": "2330.XTAI"}, True),
        ({"scenario": "", "instrument": "2330.XTAF"}, False),
        ({"scenario": "", "venue": "XTAI"}, True),
        ({"scenario": "", "venue": "TAI"}, False),
        ({"scenario": "pump_and_dump", "venue": "XTAF"}, False),
        ({"scenario": "pump_and_dump", "below": "high"}, False),
        ({"scenario": "pump_and_dump", "below": "critical"}, True),
    ],
)
def test_a_rule_keeps_quiet_what_has_all_that_it_names(fields: dict[str, str], expected: bool) -> None:
    scene = Scene()
    scene.suppressed(**fields)
    assert quiet(scene, 100, severity="high") == expected


@pytest.mark.parametrize("seed", range(60))
def test_alerts_are_suppressed_exactly_where_the_page_says_so(seed: int) -> None:
    draw = random.Random(seed)
    scene = Scene(window_s=1)
    rules = {}
    for _ in range(3):
        plain = _drawn_rule(draw)
        rules[_told(scene, plain)] = plain
    for begin in draw.sample(range(0, 1300, 50), 12):
        decided = begin + 10
        scenario, instrument = draw.choice(("ramping", "spoofing")), draw.choice(("2330.XTAI", "2330-F202612.XTAF"))
        severity = draw.choice(LADDER)
        one = alert(scenario, instrument, begin, severity)
        found = of(scene.joined(one), one)
        plain_alert = PlainAlert(scenario, severity, instrument, decided=decided)
        by = {each for each, plain in rules.items() if plain.keeps_quiet(plain_alert)}
        assert (found.inhibition == "suppression") == bool(by)
        assert found.inhibited in (by or {""})


def _drawn_rule(draw: random.Random) -> PlainRule:
    """A rule whose times fall on alerts' decisions, and often just beside."""
    starts = 10 + 50 * draw.randint(0, 12)
    approved = draw.random() < 0.8
    return PlainRule(
        scenario=draw.choice(("ramping", "spoofing")),
        instrument=draw.choice(("", "", "2330.XTAI")),
        venue=draw.choice(("", "", "XTAI", "XTAF")),
        below=draw.choice(("", *LADDER)),
        starts=starts,
        expires=starts + 50 * draw.randint(1, 12),
        approved=approved,
        ended=draw.choice((None, 10 + 50 * draw.randint(0, 25))),
    )


def _told(scene: Scene, plain: PlainRule) -> str:
    """The id of a rule after its commands: proposed, perhaps approved, perhaps ended or rejected."""
    proposed = rule(
        plain.scenario, instrument=plain.instrument, venue=plain.venue, below=plain.below, starts=plain.starts,
        expires=plain.expires,
    )  # fmt: skip
    assert scene.tell("suppress", suppression=proposed, seconds=0).accepted
    if plain.approved:
        assert scene.tell("approve_suppression", subject=proposed.id, who="bob", seconds=0).accepted
    if plain.ended is not None:
        assert scene.tell("end_suppression", subject=proposed.id, who="eve", seconds=plain.ended).accepted
    return proposed.id
