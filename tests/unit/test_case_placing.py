"""Which case a new alert lies in, to the second: windows, cooldowns, full cases, and which of several."""

import pytest

from tests.unit.case_scene import Scene, alert, at, of

PUMP = alert()
"""Decided at second 10."""


def decided(seconds: float) -> float:
    """The begin of an alert that is decided at a second."""
    return seconds - 10


@pytest.mark.parametrize(("second", "joins"), [(-590.001, False), (-590, True), (690, True), (690.001, False)])
def test_the_window_reaches_from_the_nearest_alert_of_the_case_with_its_ends(second: float, joins: bool) -> None:
    scene = Scene(window_s=600)
    scene.joined(PUMP)
    case = scene.alert("spoofing", begin=decided(70), revision=0, updated=at(90))
    assert (scene.alert("layering", begin=decided(second)).id == case.id) == joins


def test_a_later_revision_carries_the_window_on() -> None:
    scene = Scene(window_s=600)
    case = scene.joined(PUMP)
    assert scene.alert(revision=1, updated=at(500)).id == case.id
    assert scene.alert("spoofing", begin=decided(1100)).id == case.id


def test_of_several_open_cases_the_nearest_takes_an_alert_and_of_equally_near_ones_the_lowest_id() -> None:
    scene = Scene(window_s=600)
    early, late = scene.alert(begin=decided(0)), scene.alert(begin=decided(1000))
    assert early.id != late.id
    middle = scene.alert("layering", begin=decided(500))
    assert middle.id == min(early.id, late.id)
    scene = Scene(window_s=600)
    early, late = scene.alert(begin=decided(0)), scene.alert(begin=decided(1000))
    assert scene.alert("layering", begin=decided(450)).id == early.id
    assert scene.alert("spoofing", begin=decided(800)).id == late.id


@pytest.mark.parametrize(
    ("second", "attached"),
    [
        (10, True),  # within its alert, from decided
        (9.999, False),
        (250, True),
        (500, True),  # to its newest revision
        (1500, True),  # within the cooldown after that
        (1500.001, False),
        (4999.999, False),
        (5000, True),  # within the cooldown after the close
        (6000, True),
        (6000.001, False),
    ],
)
def test_the_cooldown_runs_from_the_newest_revision_and_again_from_the_close(second: float, attached: bool) -> None:
    scene = Scene(cooldown_s=1000, window_s=1)
    scene.joined(PUMP)
    closed = scene.closed(scene.alert(revision=1, updated=at(500)), seconds=5000)
    case = scene.joined(alert(begin=decided(second), onset=at(-100), id="e" * 32))
    assert (case.id == closed.id) == attached
    assert case.alerts[-1].inhibition == ("cooldown" if attached else "")


def test_the_newest_revision_of_any_alert_of_the_case_begins_its_cooldown() -> None:
    scene = Scene(cooldown_s=1000)
    scene.joined(PUMP)
    scene.alert(revision=1, updated=at(900))
    closed = scene.closed(scene.alert("spoofing", begin=decided(20)), seconds=90_000)
    assert scene.alert("spoofing", begin=decided(1800)).id == closed.id


def test_of_several_closed_cases_the_one_closed_last_cools() -> None:
    for first_seconds, second_seconds in ((2000, 3000), (3000, 2000)):
        scene = Scene(cooldown_s=1000, window_s=1)
        first, second = scene.joined(PUMP), scene.alert(begin=decided(1500))
        scene.closed(first, seconds=first_seconds)
        scene.closed(second, seconds=second_seconds)
        assert scene.alert(revision=1).id == first.id
        last = first if first_seconds > second_seconds else second
        assert scene.alert(begin=decided(3900)).id == last.id


def test_a_reopened_case_cools_nothing() -> None:
    scene = Scene(cooldown_s=1000, window_s=1)
    case = scene.closed(scene.joined(PUMP), seconds=2000)
    assert scene.tell("reopen", case, seconds=2100).accepted
    after = scene.alert(begin=decided(2500))
    assert (after.id != case.id, after.state, after.alerts[0].inhibition) == (True, "new", "")


def test_a_closed_case_takes_alerts_of_its_cooldown_until_it_is_full() -> None:
    scene = Scene(cooldown_s=1000, window_s=1, most_alerts=2)
    closed = scene.closed(scene.joined(PUMP), seconds=500)
    assert scene.alert(begin=decided(600)).id == closed.id
    after = scene.alert(begin=decided(700))
    assert (after.id != closed.id, after.state) == (True, "new")


def test_suppressed_alerts_lie_in_one_closed_case_within_the_window_until_it_is_full() -> None:
    scene = Scene(window_s=600, most_alerts=3)
    scene.suppressed(scenario="pump_and_dump", expires=10_000)
    quiet = scene.joined(PUMP)
    assert scene.alert(begin=decided(610)).id == quiet.id
    other = scene.alert(begin=decided(1210.001))
    assert other.id != quiet.id
    assert scene.alert(begin=decided(1300)).id == scene.alert(begin=decided(1400)).id == other.id
    full = scene.alert(begin=decided(1500))
    assert (full.id != other.id, full.state, full.disposition) == (True, "closed", "suppressed")


def test_a_reopened_quiet_case_is_a_case_as_any_other() -> None:
    scene = Scene(window_s=600)
    rule = scene.suppressed(scenario="pump_and_dump")
    quiet = scene.joined(PUMP)
    assert scene.tell("reopen", quiet).accepted
    far = alert(begin=decided(900))
    assert of(scene.joined(far), far).inhibited == rule.id
    assert scene.case(quiet).alerts == quiet.alerts
    assert scene.alert("spoofing", begin=decided(300)).id == quiet.id
