"""K-means anomaly, second by second, with a toy model: one input, one normal centre."""

from typing import Any

import numpy as np
import pytest

from detectors.kmeans import score
from detectors.kmeans.model import KMeansModel
from detectors.scenarios import kmeans_anomaly, observation
from detectors.scenarios.episode import CLOSED, DECIDED, FIELDS, NONE, ONSET, OPENED, REVISION, STREAK, UPDATED, step
from detectors.scenarios.kmeans_anomaly import Parameters as AnomalyParameters
from streams.driver import Driver, table
from streams.engine.detector_config import DetectorConfig
from streams.engine.models import KMEANS, ActiveModels, ModelStore
from tapewatch.contract import messages, topics
from tapewatch.contract.messages import Alert
from tests.unit import engine_market as m
from tests.unit.engine_market import Event, heartbeats, in_order, quote

LIMIT = 5.0


class Watch:
    """One instrument's episode."""

    def __init__(self, rule: AnomalyParameters) -> None:
        self.episode, self.values, self._rule = np.zeros(FIELDS), np.zeros(16), rule.array()
        self._x = np.full(observation.COUNT, np.nan)

    def strength(self, distance: float, limit: float = LIMIT) -> float:
        x = self._x
        x[observation.DISTANCE], x[observation.ALERT_DISTANCE], x[observation.DISTANCE_PROBABILITY] = (
            distance,
            limit,
            0.9,
        )
        return float(kmeans_anomaly.strength(x, self._rule, self.values))

    def steps(self, first: int, *distances: float) -> list[int]:
        return [
            int(step(self.episode, self.strength(distance), first + place, 7, self._rule))
            for place, distance in enumerate(distances)
        ]


def watch(**changes: float) -> Watch:
    return Watch(AnomalyParameters(**changes))


def test_three_far_seconds_in_a_row_open() -> None:
    one = watch()
    assert one.steps(100, 6.0, 6.0, 6.0) == [NONE, NONE, OPENED]
    assert (one.episode[ONSET], one.episode[DECIDED]) == (100, 103)
    assert (one.values[:2].tolist(), one.values[8], one.episode[STREAK]) == ([6.0, 0.9], LIMIT, 3.0)


@pytest.mark.parametrize("gap", [4.9, np.nan])
def test_near_or_unknown_second_breaks_the_row(gap: float) -> None:
    assert watch().steps(100, 6.0, 6.0, gap, 6.0, 6.0) == [NONE] * 5


def test_limit_itself_is_a_hit() -> None:
    assert watch(hold_s=1.0).steps(100, LIMIT) == [OPENED]


def test_model_without_budget_never_alerts() -> None:
    assert watch().strength(1e9, np.inf) == 0.0


def test_much_farther_second_is_a_revision() -> None:
    one = watch(hold_s=1.0)
    assert one.steps(100, 6.0, 8.9, 9.0, 10.0, 13.5) == [OPENED, NONE, UPDATED, NONE, UPDATED]
    assert one.episode[REVISION] == 3


def test_episode_closes_after_quiet_and_cooldown() -> None:
    one = watch(hold_s=1.0, quiet_s=5.0, cooldown_s=10.0)
    assert one.steps(100, 6.0, *[1.0] * 9) == [OPENED, *[NONE] * 9]
    assert one.steps(110, 1.0) == [CLOSED]
    assert one.steps(111, 1.0, 6.0) == [NONE, OPENED]


def test_noise_keeps_an_episode_open() -> None:
    one = watch(hold_s=1.0, quiet_s=5.0, cooldown_s=0.0)
    assert one.steps(100, 6.0, *[1.0, 1.0, 6.0] * 20) == [OPENED, *[NONE] * 60]


def toy(**changes: object) -> KMeansModel:
    shape: dict[str, Any] = {
        "clip": 100.0, "centres": ((0.0,), (50.0,)), "sizes": (90, 10), "normal": (True, False),
        "knots": ((0.0, 0.0), (10.0, 1.0)), "alert": LIMIT,
    }  # fmt: skip
    return KMeansModel(KMEANS, ("spread_bps",), (200.0,), (0.01,), **{**shape, **changes})


def test_distance_is_to_the_nearest_normal_centre_and_probability_between_knots() -> None:
    centres = toy().centres_for(("spread_bps",))
    assert score.distance(np.array([1200.0]), centres) == pytest.approx(10.0)
    assert score.distance(np.array([5200.0]), centres) == pytest.approx(50.0)
    assert [score.probability(value, centres.knots) for value in (0.0, 2.5, 99.0)] == [0.0, 0.25, 1.0]
    assert np.isnan(score.probability(np.nan, centres.knots))


def test_scaled_values_are_cut_at_the_clip() -> None:
    assert score.distance(np.array([1e9]), toy(clip=20.0).centres_for(("spread_bps",))) == pytest.approx(20.0)


def test_row_with_most_inputs_missing_has_no_distance() -> None:
    two = KMeansModel(
        KMEANS, ("a", "b", "c"), (0.0,) * 3, (1.0,) * 3, 20.0, ((0.0, 0.0, 0.0),), (1,), (True,), ((0.0, 0.0),), 1.0
    ).centres_for(("a", "b", "c"))
    assert np.isnan(score.distance(np.array([3.0, np.nan, np.nan]), two))
    assert score.distance(np.array([3.0, np.nan, 3.0]), two) == pytest.approx(3.0)


def force(model: KMeansModel, rule: AnomalyParameters) -> ActiveModels:
    shelf = ModelStore()
    return ActiveModels(shelf, {KMEANS: shelf.put(model.encoded())}, DetectorConfig(kmeans_anomaly=rule))


def spreads(*spans: tuple[int, int, float]) -> list[Event]:
    """Quotes around 100 of a given spread, once a second from `first` to `last`."""
    return [
        quote("A.SIMX", second, 100.0 - spread / 2, 100.0 + spread / 2)
        for first, last, spread in spans
        for second in range(first, last)
    ]


def alerts(driver: Driver) -> list[Alert]:
    return [messages.decode(Alert, value) for value in m.messages_of(driver.outgoing(), topics.ALERTS)]


def test_wide_spread_raises_one_alert_over_all_its_revisions() -> None:
    rule = AnomalyParameters(hold_s=3.0, quiet_s=5.0, cooldown_s=10.0)
    events = in_order(spreads((0, 20, 2.0), (20, 25, 8.0), (25, 30, 14.0), (30, 60, 2.0)), heartbeats(60))
    found = alerts(m.run(events, force=force(toy(), rule)))
    assert [(alert.state, alert.revision) for alert in found] == [("open", 0), ("update", 1), ("closed", 2)]
    assert len({alert.id for alert in found}) == len({alert.onset for alert in found}) == 1
    assert messages.from_rfc3339(found[0].onset) == m.at(20)
    assert found[0].provenance.models == {KMEANS: toy().hash}
    assert found[0].probability == pytest.approx(0.6)


def test_usual_spread_raises_nothing_and_is_scored_every_second() -> None:
    driver = m.run(in_order(spreads((0, 30, 2.0)), heartbeats(30)), force=force(toy(), AnomalyParameters()))
    assert alerts(driver) == []
    scores = table(driver.outgoing(), "scores")
    assert scores["raw"].tolist() == [0.0] * 30


def test_two_seconds_of_noise_raise_nothing() -> None:
    events = in_order(spreads((0, 20, 2.0), (20, 22, 14.0), (22, 60, 2.0)), heartbeats(60))
    assert alerts(m.run(events, force=force(toy(), AnomalyParameters()))) == []
