"""What the client checks before anything is sent, and what a terminal shows of hostile text."""

import pytest

from tapewatch.clock import ManualClock
from tapewatch.commands import case_text
from tapewatch.desk import case_client
from tapewatch.desk.case_log import CaseLog
from tapewatch.errors import TapewatchError
from tests.unit.case_scene import Scene, rule

CLOCK = ManualClock(1_780_000_000_000_000_000)


def test_commands_of_one_moment_have_ids_of_their_own_unless_one_is_given() -> None:
    first, second = (case_client.command("approve", "bob", CLOCK, case="c") for _ in range(2))
    assert first.id != second.id
    assert case_client.command("approve", "bob", CLOCK, id=first.id, case="c") == first


@pytest.mark.parametrize(
    ("action", "fields"),
    [("fly", {}), ("close", {"disposition": "won"}), ("note", {"why": "x" * 4001}), ("note", {"id": "short"})],
)
def test_an_unsound_command_is_refused_before_it_is_sent(action: str, fields: dict[str, str]) -> None:
    with pytest.raises(TapewatchError, match="no command"):
        case_client.command(action, "bob", CLOCK, **fields)


def test_a_rules_id_follows_from_its_owner_time_and_scope() -> None:
    def made(**scope: str):
        return case_client.suppression("ann", "why", CLOCK.now(), CLOCK.now() + 10, CLOCK, **scope)

    assert made(venue="XTAI").id == made(venue="XTAI").id != made(venue="XKRX").id
    with pytest.raises(TapewatchError, match="no suppression"):
        case_client.suppression("ann", "", CLOCK.now(), CLOCK.now() + 10, CLOCK, venue="XTAI")


def test_a_case_is_found_by_the_beginning_of_its_id_when_only_one_fits() -> None:
    case = Scene().alert()
    log = CaseLog({case.id: case})
    assert log.case(case.id[:6]) is case
    for prefix, problem in (("ffffff" if case.id[0] != "f" else "000000", "no case"), (case.id[:3], "too short")):
        with pytest.raises(TapewatchError, match=problem):
            log.case(prefix)


def test_hostile_text_reaches_no_terminal() -> None:
    scene = Scene()
    case = scene.alert()
    assert scene.tell("note", case, why="\x1b[2Jgone", who="a\nb").accepted
    shown = case_text.one(scene.case(case)) + case_text.queue([scene.case(case)])
    assert "\x1b" not in shown + case_text.rules([rule(reason="\x1b[2J")])
    assert "a\nb" not in shown
