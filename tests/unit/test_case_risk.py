"""A case's risk and priority: to the hundredth by hand, and against the page's formula in exact fractions."""

import random
from fractions import Fraction

import pytest

from streams.cases import risk
from tests.unit import reference_cases
from tests.unit.case_scene import Scene
from tests.unit.reference_cases import LADDER, PlainAlert

HALF_A_HUNDREDTH = Fraction(5, 1000) + Fraction(1, 10**9)


def value(*alerts: PlainAlert, **record: int) -> float:
    return risk.risk([each.in_case() for each in alerts], risk.Record(**record))


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (PlainAlert("ramping", "low", score=0), 12.0),  # 0.2 * 0.6
        (PlainAlert("ramping", "low", score=100), 20.0),  # 0.2
        (PlainAlert("ramping", "medium", score=50, percent=50), 31.5),  # 0.45 * 0.8 * 0.875
        (PlainAlert("ramping", "high", score=80), 64.4),  # 0.7 * 0.92
        (PlainAlert("ramping", "high", score=80, percent=100), 64.4),
        (PlainAlert("ramping", "high", score=80, percent=0), 48.3),  # 0.7 * 0.92 * 0.75
        (PlainAlert("ramping", "critical", score=100), 90.0),
        (PlainAlert("ramping", "critical", score=33, percent=37), 55.5),  # 0.9 * 0.732 * 0.8425 = 0.555039
        (PlainAlert("ramping", "critical", quiet="suppression"), 0.0),
    ],
)
def test_one_alert_weighs_its_severity_score_and_probability(one: PlainAlert, expected: float) -> None:
    assert value(one) == expected


def test_alerts_of_different_scenarios_and_instruments_add_up_and_of_the_same_the_heaviest_counts() -> None:
    high, medium = PlainAlert("ramping"), PlainAlert("spoofing", "medium", score=50, percent=50)
    assert value(high, medium) == value(medium, high) == 75.61  # 1 - 0.356 * 0.685
    assert value(high, PlainAlert("ramping", "medium")) == value(PlainAlert("ramping", "low"), high) == 64.4
    assert value(high, PlainAlert("ramping", instrument="2317.XTAI")) == 87.33  # 1 - 0.356 * 0.356
    assert value(high, PlainAlert("spoofing", quiet="cooldown")) == 64.4


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"confirmed": 1}, 67.96),  # 1 - 0.356 * 0.9
        ({"confirmed": 4}, 76.64),  # 1 - 0.356 * 0.9^4
        ({"confirmed": 5}, 78.98),  # 1 - 0.356 * 0.9^5
        ({"confirmed": 6}, 78.98),
        ({"dismissed": 1}, 61.18),  # 0.644 * 0.95
        ({"dismissed": 9}, 40.59),  # 0.644 * 0.95^9
        ({"dismissed": 10}, 38.56),  # 0.644 * 0.95^10
        ({"dismissed": 11}, 38.56),
        ({"confirmed": 1, "dismissed": 2}, 61.33),  # 0.6796 * 0.9025
    ],
)
def test_the_neighbourhoods_closed_cases_move_the_risk_of_a_high_alert(record: dict[str, int], expected: float) -> None:
    assert value(PlainAlert("ramping"), **record) == expected


def test_nothing_loud_is_no_risk_whatever_the_neighbourhood_came_to() -> None:
    assert value(PlainAlert("ramping", quiet="cooldown"), confirmed=5) == value(confirmed=5) == 0.0


@pytest.mark.parametrize("seed", range(50))
def test_risk_is_the_pages_formula(seed: int) -> None:
    draw = random.Random(seed)
    alerts = [
        PlainAlert(
            draw.choice(("ramping", "spoofing", "layering")),
            draw.choice(LADDER),
            draw.choice(("2330.XTAI", "2330-F202612.XTAF")),
            score=draw.randint(0, 100),
            percent=draw.choice((None, draw.randint(0, 100))),
            quiet=draw.choice(("", "", "", "suppression", "cooldown")),
        )
        for _ in range(draw.randint(1, 6))
    ]
    confirmed, dismissed = draw.randint(0, 7), draw.randint(0, 13)
    expected = reference_cases.risk([each for each in alerts if not each.quiet], confirmed, dismissed)
    found = value(*alerts, confirmed=confirmed, dismissed=dismissed)
    assert abs(Fraction(found) - expected) <= HALF_A_HUNDREDTH
    assert found == round(found, 2)


@pytest.mark.parametrize(
    ("bound", "place"), [(100.0, 1), (75.0, 1), (74.99, 2), (50.0, 2), (49.99, 3), (25.0, 3), (24.99, 4), (0.0, 4)]
)
def test_priority_goes_by_quarters_of_risk(bound: float, place: int) -> None:
    assert risk.priority(bound) == place


@pytest.mark.parametrize(
    ("severities", "rank"),
    [((), -1), (("low",), 0), (("medium", "low"), 1), (("low", "high", "medium"), 2), (("critical", "high"), 3)],
)
def test_the_highest_severity_of_a_case_is_that_of_its_loud_alerts(severities: tuple[str, ...], rank: int) -> None:
    loud = [PlainAlert("ramping", each).in_case() for each in severities]
    assert risk.highest([*loud, PlainAlert("ramping", "critical", quiet="cooldown").in_case()]) == rank


@pytest.mark.parametrize(
    ("disposition", "expected"),
    [
        ("true_positive", 67.96),
        ("reported", 67.96),
        ("false_positive", 61.18),
        ("inconclusive", 64.4),
        ("duplicate", 64.4),
    ],
)
def test_a_case_knows_how_its_neighbours_came_out_and_leaves_itself_aside(disposition: str, expected: float) -> None:
    scene = Scene(cooldown_s=1, window_s=100)
    first = scene.closed(scene.alert(), disposition)
    assert first.risk == 64.4
    assert scene.alert(begin=9000).risk == expected
    assert scene.alert(instrument="2317.XTAI", begin=9000).risk == 64.4
    assert scene.alert(revision=1).risk == 64.4
    assert scene.alert(begin=9000, revision=1).risk == expected
    assert scene.tell("reopen", first).accepted
    assert scene.alert(begin=9000, revision=2).risk == 64.4
