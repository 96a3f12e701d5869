"""Commands on cases: the table of transitions, four eyes, conflicts, and exactly one answer for each."""

from typing import Any

import msgspec
import pytest

from tapewatch.contract.messages import Case, CaseAnswer, CaseEvent, PendingClose
from tests.unit.case_scene import Scene, at, command, rule


def in_state(state: str) -> tuple[Scene, Case]:
    """A scene with a case in a state."""
    scene = Scene()
    case = scene.alert()
    steps: dict[str, list[tuple[str, dict[str, str]]]] = {
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


OPEN = ("new", "assigned", "in_review", "escalated", "reopened")
POSSIBLE = {
    "assign": OPEN,
    "review": ("new", "assigned", "escalated", "reopened"),
    "escalate": ("new", "assigned", "in_review", "reopened"),
    "note": (*OPEN, "closed"),
    "close": OPEN,
    "approve": OPEN,
    "reject": OPEN,
    "reopen": ("closed",),
}
"""The page's table: in which states an action may be taken."""
FIELDS = {"assign": {"owner": "eve"}, "close": {"disposition": "reported"}}


@pytest.mark.parametrize("state", [*OPEN, "closed"])
@pytest.mark.parametrize("action", POSSIBLE)
def test_the_pages_table_of_transitions_is_kept(action: str, state: str) -> None:
    scene, case = in_state(state)
    if action in ("approve", "reject") and state != "closed":
        assert scene.tell("close", case, disposition="reported").accepted
        case = scene.case(case)
    answer = scene.tell(action, case, who="bob", **FIELDS.get(action, {}))
    accepted = state in POSSIBLE[action]
    assert answer.accepted == accepted
    assert scene.case(case).revision == case.revision + accepted == answer.revision
    if not accepted:
        allowed = ", ".join(POSSIBLE[action])
        assert answer.reason == f"{action} is not possible in state {state}; only in: {allowed}"
        assert scene.case(case) == case


@pytest.mark.parametrize(
    ("state", "action", "fields", "subject", "change"),
    [
        ("new", "assign", {"owner": "eve"}, "eve", {"state": "assigned", "owner": "eve"}),
        ("assigned", "assign", {"owner": "eve"}, "eve", {"owner": "eve"}),
        ("in_review", "assign", {"owner": "eve"}, "eve", {"owner": "eve"}),
        ("escalated", "assign", {"owner": "eve"}, "eve", {"owner": "eve"}),
        ("reopened", "assign", {"owner": "eve"}, "eve", {"state": "assigned", "owner": "eve"}),
        ("assigned", "assign", {"owner": ""}, "", {"state": "new", "owner": ""}),
        ("in_review", "assign", {"owner": ""}, "", {"owner": ""}),
        ("new", "review", {}, "bob", {"state": "in_review", "owner": "bob"}),
        ("assigned", "review", {}, "ann", {"state": "in_review"}),
        ("new", "escalate", {}, "", {"state": "escalated"}),
        ("closed", "note", {}, "", {}),
        ("closed", "reopen", {}, "", {"state": "reopened", "disposition": ""}),
    ],
)
def test_a_command_changes_what_it_says_and_becomes_a_step(
    state: str, action: str, fields: dict[str, str], subject: str, change: dict[str, str]
) -> None:
    scene, case = in_state(state)
    told = command(action, case, who="bob", seconds=300, why="a reason", **fields)
    scene.take(told)
    done = {"assign": "assigned" if subject else "unassigned", "review": "in_review", "escalate": "escalated"}
    word = done.get(action, "reopened" if action == "reopen" else action)
    step = CaseEvent(at(300), "bob", word, "a reason", told.id, subject)
    assert scene.case(case) == stepped(case, step, 300, **change)


def stepped(case: Case, step: CaseEvent, seconds: float, **change: Any) -> Case:
    """The case one revision on."""
    history = (*case.history, step)
    return msgspec.structs.replace(case, revision=case.revision + 1, updated=at(seconds), history=history, **change)


def test_a_close_an_approval_and_a_rejection_become_steps_with_the_disposition() -> None:
    for action, word in (("approve", "closed"), ("reject", "close_rejected")):
        scene, case = in_state("in_review")
        close = command("close", case, seconds=300, why="benign", disposition="duplicate")
        scene.take(close)
        step = CaseEvent(at(300), "ann", "closing", "benign", close.id, "duplicate")
        waiting = stepped(case, step, 300, closing=PendingClose("ann", "duplicate", "benign", at(300)))
        assert scene.case(case) == waiting
        answer = command(action, case, who="bob", seconds=400, why="seen")
        scene.take(answer)
        step = CaseEvent(at(400), "bob", word, "seen", answer.id, "duplicate")
        change = {"state": "closed", "disposition": "duplicate", "closed": at(400)} if action == "approve" else {}
        assert scene.case(case) == stepped(waiting, step, 400, closing=None, **change)


def test_a_case_is_closed_no_earlier_than_it_last_changed() -> None:
    scene, case = in_state("in_review")
    assert scene.tell("close", case, disposition="reported", seconds=300).accepted
    assert scene.tell("approve", case, who="bob", seconds=250).accepted
    assert (scene.case(case).closed, scene.case(case).history[-1].at) == (at(300), at(250))


def test_assigning_to_nobody_makes_an_assigned_case_new() -> None:
    scene, case = in_state("assigned")
    assert scene.tell("assign", case, owner="").accepted
    assert (scene.case(case).state, scene.case(case).owner) == ("new", "")
    assert scene.tell("assign", case, owner="").reason == "the case is assigned to nobody already"
    assert scene.tell("assign", case, owner="eve").accepted
    assert scene.tell("assign", case, owner="eve").reason == "the case is assigned to eve already"


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
    assert scene.case(case).closing == PendingClose("ann", "true_positive", "layered", at(100))
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


@pytest.mark.parametrize(
    ("state", "action", "needed"),
    [
        ("assigned", "assign", False),
        ("assigned", "review", False),
        ("assigned", "escalate", True),
        ("assigned", "note", True),
        ("assigned", "close", True),
        ("assigned", "approve", False),
        ("assigned", "reject", True),
        ("closed", "reopen", True),
    ],
)
def test_some_actions_need_a_reason(state: str, action: str, needed: bool) -> None:
    scene, case = in_state(state)
    if action in ("approve", "reject"):
        assert scene.tell("close", case, disposition="reported").accepted
    answer = scene.tell(action, case, who="bob", why="  ", **FIELDS.get(action, {}))
    assert (answer.accepted, answer.reason) == ((False, f"{action} needs a reason") if needed else (True, ""))


def test_a_close_without_a_disposition_is_refused() -> None:
    scene, case = in_state("assigned")
    assert "disposition" in scene.tell("close", case).reason


def test_a_command_for_a_revision_that_has_passed_is_refused() -> None:
    scene, case = in_state("assigned")
    assert scene.tell("note", case, expected=case.revision).accepted
    answer = scene.tell("note", case, expected=case.revision)
    assert (answer.accepted, answer.revision) == (False, 2)
    assert answer.reason == "the case has changed: it is at revision 2, not 1"
    for expected in (0, 3):
        assert not scene.tell("note", case, expected=expected).accepted
    assert scene.tell("note", case, expected=-1).accepted


def test_a_command_for_the_first_revision_is_done_on_it_and_on_no_later_one() -> None:
    scene, case = in_state("new")
    assert scene.tell("note", case, expected=0).revision == 1
    assert scene.tell("note", case, expected=0).reason == "the case has changed: it is at revision 1, not 0"


def test_an_unknown_case_and_a_missing_one_are_answered() -> None:
    scene = Scene()
    told = command("note", "f" * 32, seconds=7)
    reason = f"there is no case {'f' * 32}"
    refused = CaseAnswer(command=told.id, case="f" * 32, accepted=False, reason=reason, revision=-1, at=at(7))
    assert scene.take(told) == [refused]
    assert scene.tell("note").reason == "the command names no case"


def test_an_answer_names_command_case_and_revision_and_bears_the_commands_time() -> None:
    scene, case = in_state("assigned")
    told = command("note", case, at="2026-05-28T20:26:47Z")
    bears = {"command": told.id, "case": case.id, "at": at(7)}
    assert scene.take(told)[1:] == [CaseAnswer(accepted=True, revision=2, **bears)]
    told = command("reopen", case, at="2026-05-28T20:26:47Z")
    reason = "reopen is not possible in state assigned; only in: closed"
    bears |= {"command": told.id}
    assert scene.take(told) == [CaseAnswer(accepted=False, revision=2, reason=reason, **bears)]


def test_a_command_is_answered_once_whatever_it_was() -> None:
    scene, case = in_state("assigned")
    for each in (command("note", case), command("reopen", case), command("note", "f" * 32)):
        assert len([one for one in scene.take(each) if isinstance(one, CaseAnswer)]) == 1
        assert scene.take(each) == []
        assert scene.restored().take(each) == []


def test_what_is_no_command_but_bears_an_id_is_refused_once() -> None:
    scene = Scene()
    refused = CaseAnswer(command="a" * 32, accepted=False, reason="not a command", at="2024-01-31T09:00:00Z")
    assert scene.desk.refuse("a" * 32, "not a command", "2024-01-31T09:00:00Z") == [refused]
    assert scene.desk.refuse("a" * 32, "not a command", "2024-01-31T09:00:00Z") == []


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"at": "2024-13-01T00:00:00Z"}, "2024-13-01T00:00:00Z is no time: month must be in 1..12"),
        ({"who": "  "}, "a command needs an account"),
        *(({field: "nul \0"}, "a text holds a NUL character") for field in ("who", "why", "owner", "subject")),
    ],
)
def test_impossible_times_and_texts_are_refused_in_words(fields: dict[str, str], reason: str) -> None:
    scene, case = in_state("assigned")
    answer = scene.tell("note", case, **fields)
    assert (answer.accepted, answer.reason) == (False, reason)
    assert scene.case(case) == case


@pytest.mark.parametrize("field", ["owner", "reason", "scenario", "instrument", "venue", "below"])
def test_a_rule_with_an_impossible_text_is_refused_in_words(field: str) -> None:
    scene = Scene()
    proposed = msgspec.structs.replace(rule(), **{field: "ann\0"})
    answer = scene.tell("suppress", suppression=proposed, who="ann")
    assert answer.reason == "a text holds a NUL character"
    assert scene.desk.rules == {}


def test_times_are_compared_as_times_and_never_go_back() -> None:
    scene, case = in_state("assigned")
    assert scene.tell("note", case, at="1999-01-31T09:00:00Z").accepted
    after = scene.case(case)
    assert after.updated == case.updated
    assert after.history[-1].at == "1999-01-31T09:00:00.000000000Z"
