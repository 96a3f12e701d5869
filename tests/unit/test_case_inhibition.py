"""Which alert silences which: table, episodes, severities and who is named, by hand and against the page's words."""

import random
from dataclasses import replace

import pytest

from streams.cases import inhibition
from tapewatch.contract.messages import CaseAlert
from tests.unit.case_scene import Scene, alert, of
from tests.unit.reference_cases import LADDER, InhibitionTable, PlainAlert, silencers

TABLE = InhibitionTable()
CHAIN = ("layering", "spoofing", "pinging", "quote_stuffing", "unusual_price")
"""Each silences some of those behind it."""


def judged(*alerts: PlainAlert, within_s: float = 300) -> list[CaseAlert]:
    return list(inhibition.judged([each.in_case() for each in alerts], within_s))


def named(*alerts: PlainAlert, within_s: float = 300) -> list[str]:
    """Who keeps each alert quiet: the number of an alert of the same list as text, "" for nobody."""
    numbers = {each.id: str(each.number) for each in alerts}
    return [numbers.get(each.inhibited, each.inhibited) for each in judged(*alerts, within_s=within_s)]


def test_the_table_of_inhibitions_is_the_pages() -> None:
    assert len(TABLE.general) == 7
    assert len(TABLE.pairs) == 22
    scenarios = [*TABLE.scenarios, "a_rule_of_ones_own"]
    for source in scenarios:
        for target in scenarios:
            assert inhibition.inhibits(source, target) == TABLE.has(source, target), (source, target)


@pytest.mark.parametrize("seed", range(100))
def test_an_alert_is_quiet_exactly_where_the_page_says_so(seed: int) -> None:
    draw = random.Random(seed)
    scenarios = [*draw.sample(TABLE.scenarios, 3), *CHAIN]
    alerts = []
    for number in range(draw.randint(3, 9)):
        onset = 100 * draw.randint(0, 8)
        decided = onset + draw.choice((0, 100))
        alerts.append(
            PlainAlert(
                draw.choice(scenarios),
                draw.choice(LADDER[1:]),
                draw.choice(("2330.XTAI", "2330.XTAI", "2330.XTAI", "2330-F202612.XTAF")),
                onset=onset,
                decided=decided,
                updated=decided + draw.choice((0, 100, 400)),
                quiet=draw.choice(("", "", "", "", "", "", "suppression", "cooldown")),
                number=number,
            )
        )
    for plain, found in zip(alerts, judged(*alerts), strict=True):
        before = plain.in_case()
        by = {each.id for each in silencers(plain, alerts, TABLE, 300)}
        if by:
            assert found.inhibition == "stronger"
            assert found.inhibited in by
        else:
            assert found == before


def test_an_inhibited_alert_silences_nobody() -> None:
    layering, spoofing, pinging = (
        PlainAlert(each, number=number) for number, each in enumerate(("layering", "spoofing", "pinging"), 1)
    )
    assert named(spoofing, pinging) == ["", "2"]
    assert named(layering, spoofing, pinging) == ["", "1", ""]
    assert named(pinging, spoofing, layering) == ["", "1", ""]


@pytest.mark.parametrize("quiet", ["suppression", "cooldown"])
def test_what_is_quiet_already_silences_nobody_and_keeps_its_reason(quiet: str) -> None:
    source, target = PlainAlert("layering", number=1), PlainAlert("spoofing", number=2)
    assert judged(replace(source, quiet=quiet), target) == [replace(source, quiet=quiet).in_case(), target.in_case()]
    assert judged(source, replace(target, quiet=quiet)) == [source.in_case(), replace(target, quiet=quiet).in_case()]


@pytest.mark.parametrize(
    ("source", "target", "quiet"),
    [
        ((400, 500), (0, 100), True),  # 300 s from end to begin
        ((401, 500), (0, 100), False),
        ((0, 100), (400, 500), True),
        ((0, 100), (401, 500), False),
        ((0, 5000), (4000, 4100), True),  # one within the other
    ],
)
def test_episodes_lie_at_most_so_far_apart_from_onset_to_newest_revision(
    source: tuple[int, int], target: tuple[int, int], quiet: bool
) -> None:
    alerts = [
        PlainAlert("layering", onset=source[0], updated=source[1], number=1),
        PlainAlert("spoofing", onset=target[0], updated=target[1], number=2),
    ]
    assert named(*alerts) == ["", "1" if quiet else ""]
    assert named(*reversed(alerts)) == ["1" if quiet else "", ""]


@pytest.mark.parametrize(("severity", "quiet"), [("low", True), ("medium", True), ("high", True), ("critical", False)])
def test_a_source_is_at_least_as_severe_as_what_it_silences(severity: str, quiet: bool) -> None:
    assert named(PlainAlert("layering", number=1), PlainAlert("spoofing", severity, number=2))[1] == "1" * quiet


def test_only_an_alert_of_the_same_instrument_is_silenced() -> None:
    source = PlainAlert("layering", number=1)
    assert named(source, PlainAlert("spoofing", instrument="2330-F202612.XTAF", number=2)) == ["", ""]


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        # The higher in the table, though younger and less severe.
        ([("pump_and_dump", "high", 20), ("ramping", "critical", 10)], "1"),
        ([("sweeping", "critical", 10), ("momentum_ignition", "high", 20)], "2"),
        # Of one height the more severe, though younger.
        ([("pump_and_dump", "high", 10), ("squeeze", "critical", 20)], "2"),
        # Of one severity the older; a scenario outside the table stands as high as its sources.
        ([("pump_and_dump", "high", 20), ("squeeze", "high", 10)], "2"),
        ([("pump_and_dump", "high", 20), ("own_rule", "high", 10)], "2"),
        ([("pump_and_dump", "high", 10), ("own_rule", "high", 20)], "1"),
        # Of one age the lower id.
        ([("squeeze", "high", 10), ("pump_and_dump", "high", 10)], "1"),
    ],
)
def test_of_several_that_silence_an_alert_the_strongest_is_named(
    sources: list[tuple[str, str, int]], expected: str
) -> None:
    loud = [
        PlainAlert(scenario, severity, decided=decided, number=number)
        for number, (scenario, severity, decided) in enumerate(sources, 1)
    ]
    target = PlainAlert("unusual_price", number=9)
    assert named(*loud, target)[-1] == named(target, *reversed(loud))[0] == expected


def test_who_is_silenced_is_worked_out_anew_with_every_revision() -> None:
    scene = Scene(inhibit_s=300)
    scene.alert("layering", severity="medium")
    spoofing = alert("spoofing", severity="medium")
    assert of(scene.joined(spoofing), spoofing).inhibition == "stronger"
    louder = of(scene.alert("spoofing", revision=1, severity="high"), spoofing)
    assert (louder.inhibited, louder.inhibition) == ("", "")
    case = scene.alert("layering", revision=1, severity="critical")
    assert of(case, spoofing).inhibited == alert("layering").id
    assert case.risk == 82.8  # layering alone: 0.9 * 0.92
    case = scene.alert("layering", revision=2, severity="medium")
    assert (of(case, spoofing).inhibited, of(case, spoofing).inhibition) == ("", "")
    assert case.risk == 79.14  # 1 - (1 - 0.45 * 0.92) * (1 - 0.7 * 0.92)
