"""Commands on cases: the table of transitions, four eyes, conflicts, and exactly one answer for each."""

import pytest

from streams.cases.transitions import OPEN, TABLE
from tests.unit.case_scene import Scene, command, rule


def in_state(state: str):
    """A scene with a case in a state."""
    scene = Scene()
    case = scene.alert()
    steps = {
        "new": [],
        "assigned": [("assign", {"owner": "ann"})],
        "in_review": [("review", {})],
        "escalated": [("escalate", {})],
        "closed": [("close", {"disposition": "reported"}), ("approve", {"who": "bob"})],
        "reopened": [("close", {"disposition": "reported"}), ("approve", {"who": "bob"}), ("reopen", {})],
    }
    for action, fields in steps[state]:
        assert scene.tell(action, case, **fields).accepted
    assert scene.case(case).state == state
    return scene, scene.case(case)


FIELDS = {"assign": {"owner": "eve"}, "close": {"disposition": "reported"}}
AFTER = {"assign": "assigned", "review": "in_review", "escalate": "escalated", "reopen": "reopened"}


@pytest.mark.parametrize("state", [*OPEN, "closed"])
@pytest.mark.parametrize("action", [each for each in TABLE if each not in ("approve", "reject")])
def test_the_table_of_transitions_is_kept(action: str, state: str) -> None:
    scene, case = in_state(state)
    answer = scene.tell(action, case, **FIELDS.get(action, {}))
    assert answer.accepted == (state in TABLE[action])
    after = scene.case(case)
    assert after.revision == case.revision + answer.accepted == answer.revision
    if not answer.accepted:
        assert state in answer.reason
    elif action != "assign" or state in ("new", "reopened"):
        assert after.state == AFTER.get(action, state)


def test_assigning_to_nobody_makes_an_assigned_case_new() -> None:
    scene, case = in_state("assigned")
    assert scene.tell("assign", case, owner="").accepted
    assert (scene.case(case).state, scene.case(case).owner) == ("new", "")
    assert not scene.tell("assign", case, owner="").accepted


def test_who_reviews_a_case_without_an_owner_owns_it() -> None:
    assert in_state("in_review")[1].owner == "ann"


@pytest.mark.parametrize("who", ["ann", "ANN", " ann ", "\uff41nn"])
def test_the_closer_of_a_case_cannot_approve_it_under_any_spelling(who: str) -> None:
    scene, case = in_state("assigned")
    assert scene.tell("close", case, disposition="reported").accepted
    answer = scene.tell("approve", case, who=who)
    assert not answer.accepted
    assert "four eyes" in answer.reason
    assert scene.case(case).state == "assigned"


def test_a_close_waits_for_a_second_account_and_is_kept_with_both() -> None:
    scene, case = in_state("assigned")
    assert scene.tell("close", case, disposition="true_positive", why="layered").accepted
    assert scene.case(case).closing.disposition == "true_positive"
    assert not scene.tell("close", case, who="eve", disposition="false_positive").accepted
    assert scene.tell("approve", case, who="bob").accepted
    done = scene.case(case)
    assert (done.state, done.disposition, done.closing) == ("closed", "true_positive", None)
    assert [(each.who, each.action) for each in done.history[-2:]] == [("ann", "closing"), ("bob", "closed")]


def test_a_rejected_close_leaves_the_case_as_it_was() -> None:
    scene, case = in_state("escalated")
    assert scene.tell("close", case, disposition="reported").accepted
    assert scene.tell("reject", case, who="bob").accepted
    assert (scene.case(case).state, scene.case(case).closing) == ("escalated", None)
    assert not scene.tell("approve", case, who="bob").accepted
    assert not scene.tell("reject", case, who="bob").accepted


@pytest.mark.parametrize("action", ["escalate", "note", "close"])
def test_an_action_without_its_reason_is_refused(action: str) -> None:
    scene, case = in_state("assigned")
    assert "reason" in scene.tell(action, case, why="  ", disposition="reported").reason


def test_a_close_without_a_disposition_is_refused() -> None:
    scene, case = in_state("assigned")
    assert "disposition" in scene.tell("close", case).reason


def test_a_command_for_a_revision_that_has_passed_is_refused() -> None:
    scene, case = in_state("assigned")
    assert scene.tell("note", case, expected=case.revision).accepted
    answer = scene.tell("note", case, expected=case.revision)
    assert (answer.accepted, answer.revision) == (False, case.revision + 1)
    assert "changed" in answer.reason


def test_an_unknown_case_and_a_missing_one_are_answered() -> None:
    scene = Scene()
    assert "no case" in scene.tell("note", "f" * 32).reason
    assert "no case" in scene.tell("note").reason


def test_a_command_is_answered_once_whatever_it_was() -> None:
    scene, case = in_state("assigned")
    for each in (command("note", case), command("reopen", case), command("note", "f" * 32)):
        assert len([one for one in scene.take(each) if type(one).__name__ == "CaseAnswer"]) == 1
        assert scene.take(each) == []
        assert scene.restored().take(each) == []


def test_what_is_no_command_but_bears_an_id_is_refused_once() -> None:
    scene = Scene()
    [answer] = scene.desk.refuse("a" * 32, "not a command", "2024-01-31T09:00:00Z")
    assert not answer.accepted
    assert scene.desk.refuse("a" * 32, "not a command", "2024-01-31T09:00:00Z") == []


@pytest.mark.parametrize("fields", [{"at": "2024-13-01T00:00:00Z"}, {"why": "nul \0"}, {"who": "  "}])
def test_impossible_times_and_texts_are_refused_in_words(fields: dict[str, str]) -> None:
    scene, case = in_state("assigned")
    answer = scene.tell("note", case, **fields)
    assert not answer.accepted
    assert answer.reason


def test_times_are_compared_as_times_and_never_go_back() -> None:
    scene, case = in_state("assigned")
    assert scene.tell("note", case, at="1999-01-31T09:00:00Z").accepted
    after = scene.case(case)
    assert after.updated == case.updated
    assert after.history[-1].at == "1999-01-31T09:00:00.000000000Z"


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
    forged = rule(state="in_force", approved_by="bob", revision=7)
    assert scene.tell("suppress", suppression=forged).accepted
    kept = scene.desk.rules[forged.id]
    assert (kept.state, kept.approved_by, kept.revision) == ("proposed", "", 0)


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
def test_a_rule_that_is_unsound_is_refused(fields) -> None:
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
