"""Scenarios in the engine: episodes from hits to a close, classes of instruments, what a second shows them, and that
all of it is a function of the log.
"""

from typing import Any

import msgspec
import numpy as np
import pytest

from detectors.scenarios import observation as at
from detectors.scenarios import table_source
from detectors.scenarios.episode import CLOSED, FIELDS, NONE, ONSET, OPENED, UPDATED, is_live, step
from detectors.scenarios.excessive_spread import Parameters as Spread
from detectors.scenarios.library import SCENARIOS
from detectors.scenarios.unusual_volume import Parameters as Volume
from streams.commands import config
from streams.driver import Driver, table
from streams.engine import snapshots, state
from streams.engine.detector_config import DetectorConfig
from streams.engine.models import ActiveModels, Control, ModelStore, decode, shipped
from streams.engine.string_columns import closing_second
from tapewatch.contract import messages, topics
from tapewatch.contract.frames import FrameHeaders
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.messages import Alert
from tapewatch.contract.rows import RowType, StatusKind
from tapewatch.errors import TapewatchError
from tapewatch.market_log import control_rows
from tapewatch.market_log.admission import CONTROL_SOURCE
from tapewatch.market_log.registry import FixedRegistry
from tests.unit import engine_market as m
from tests.unit.engine_market import Event, heartbeats, in_order, quote, status, trade

RULE = np.array([3.0, 5.0, 20.0, 1.5])
"""hold_s, quiet_s, cooldown_s, update_ratio."""


def kinds(*strengths: float) -> list[int]:
    e = np.zeros(FIELDS)
    return [int(step(e, strength, 100 + place, 7, RULE)) for place, strength in enumerate(strengths)]


def test_hits_in_a_row_open_an_episode_whose_onset_is_the_first_of_them() -> None:
    e = np.zeros(FIELDS)
    assert [int(step(e, 1.0, second, 7, RULE)) for second in (100, 101, 102)] == [NONE, NONE, OPENED]
    assert e[ONSET] == 100


@pytest.mark.parametrize("gap", [0.99, 0.0, np.nan])
def test_a_second_without_a_hit_breaks_the_row(gap: float) -> None:
    assert kinds(1.0, 1.0, gap, 1.0, 1.0) == [NONE] * 5


def test_a_peak_beyond_the_last_reported_one_is_a_revision_each_time() -> None:
    assert kinds(1.0, 1.0, 2.0, 2.9, 3.0, 4.4, 4.5) == [NONE, NONE, OPENED, NONE, UPDATED, NONE, UPDATED]


def test_episode_closes_after_quiet_seconds_and_no_earlier_than_its_cooldown() -> None:
    found = kinds(1.0, 1.0, 1.0, *[0.0] * 30)
    assert [place for place, kind in enumerate(found) if kind == CLOSED] == [22]
    found = kinds(1.0, 1.0, 1.0, *[0.0] * 15, 1.0, *[np.nan] * 30)
    assert [place for place, kind in enumerate(found) if kind == CLOSED] == [23]


def test_only_a_row_or_an_open_episode_needs_the_next_step() -> None:
    e = np.zeros(FIELDS)
    assert not is_live(e)
    for strength, live in ((1.0, True), (0.0, False), (1.0, True), (1.0, True), (1.0, True), (0.0, True)):
        step(e, strength, 100, 7, RULE)
        assert is_live(e) == live


def test_the_table_is_what_the_library_says() -> None:
    assert table_source.TABLE.read_text() == table_source.source()


def force(**sections: Any) -> ActiveModels:
    """Scenarios alone, without models."""
    return ActiveModels(ModelStore(), {}, DetectorConfig(**sections))


LIVELY: dict[str, Any] = {
    "excessive_spread": Spread(
        hold_s=3.0, quiet_s=5.0, cooldown_s=10.0, update_ratio=1.5, warm_s=70.0, min_spread_bps=50.0, spread_ratio=3.0
    )
}


def spreads(name: str = "A.SIMX") -> list[Event]:
    """Quotes around 100 once a second: narrow, wide from 80 s on for eight seconds, wider in the last three, narrow."""
    widths = [0.1] * 80 + [2.0] * 5 + [8.0] * 3 + [0.1] * 30
    return [quote(name, second, 100.0 - width / 2, 100.0 + width / 2) for second, width in enumerate(widths)]


def alerts(driver: Driver, scenario: str = "excessive_spread") -> list[Alert]:
    found = [messages.decode(Alert, value) for value in m.messages_of(driver.outgoing(), topics.ALERTS)]
    return [alert for alert in found if alert.scenario == scenario]


def test_wide_spread_is_one_alert_with_its_revisions() -> None:
    found = alerts(m.run(in_order(spreads(), heartbeats(120)), force=force(**LIVELY)))
    assert [(alert.state, alert.revision) for alert in found] == [("open", 0), ("update", 1), ("closed", 2)]
    assert len({alert.id for alert in found}) == 1
    opened, updated, closed = found
    assert messages.from_rfc3339(opened.onset) == m.at(80)
    assert messages.from_rfc3339(opened.decided) == m.at(83)
    assert (opened.data_tier, opened.probability, opened.provenance.models) == ("quotes", None, {})
    shown = {evidence.feature: evidence for evidence in opened.evidence}
    assert shown["spread_bps"].value == pytest.approx(200.0)
    assert (shown["spread_bps"].threshold, shown["spread_bps"].relation) == (50.0, ">=")
    assert shown["streak_s"].value == 3.0
    assert updated.score > opened.score >= 40.0
    assert closed.evidence[:2] == updated.evidence[:2]
    assert closed.score == updated.score
    assert "200 basis points" in opened.sentence


def test_narrow_spread_is_none() -> None:
    calm = [quote("A.SIMX", second, 99.95, 100.05) for second in range(120)]
    assert alerts(m.run(in_order(calm, heartbeats(120)), force=force(**LIVELY))) == []


def test_scenario_without_its_tier_is_not_assessed() -> None:
    trades = [trade("A.SIMX", second, 100.0 + 10 * (second % 2)) for second in range(120)]
    driver = m.run(in_order(trades, heartbeats(120)), force=force(**LIVELY))
    assert alerts(driver) == []
    assert state.tiers(driver.task.state, 0) == ("trades",)


def test_a_class_has_its_own_thresholds() -> None:
    events = in_order(spreads("A.SIMX"), spreads("B.SIMX"), heartbeats(120))
    names = m.names_in(events)
    lax = {"spot": {"excessive_spread": {"min_spread_bps": 1000.0}}, "index": {}}
    registry = FixedRegistry([Instrument("A.SIMX", kind="spot"), Instrument("B.SIMX", kind="share")])
    driver = Driver(registry, force=force(**LIVELY, classes=lax))
    for part in m.frames_of(events):
        m.send(driver, part, names)
    assert {alert.instrument for alert in alerts(driver)} == {"B.SIMX"}
    assert driver.task.force.config_hash != DetectorConfig(**LIVELY).hash
    driver.outgoing()
    new = Driver(FixedRegistry([Instrument("A.SIMX"), Instrument("B.SIMX")]))
    snapshots.restore(new.task, snapshots.dump(driver.task), ModelStore())
    assert new.task.state.klass[:2].tolist() == driver.task.state.klass[:2].tolist() == [2, 0]


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        ({"spot": {"spoof": {}}}, "no such scenario"),
        ({"spot": {"excessive_spread": {"width": 1.0}}}, "no such parameter: width"),
        ({"spot": {"excessive_spread": {"hold_s": -1.0}}}, "hold_s is -1"),
    ],
)
def test_impossible_class_is_refused_by_name(classes: dict[str, object], said: str) -> None:
    with pytest.raises(TapewatchError, match=said):
        config.changed(DetectorConfig(), {"classes": classes})


def test_part_of_a_class_leaves_the_rest_of_it() -> None:
    once = config.changed(DetectorConfig(), {"classes": {"spot": {"excessive_spread": {"hold_s": 4.0}}}})
    twice = config.changed(once, {"classes": {"spot": {"excessive_spread": {"quiet_s": 9.0}}}})
    assert twice.classes == {"spot": {"excessive_spread": {"hold_s": 4.0, "quiet_s": 9.0}}}
    assert twice.rules()[1, SCENARIOS.index("excessive_spread"), :2].tolist() == [4.0, 9.0]


@pytest.mark.parametrize("stop", [40, 82, 84, 86, 95])
def test_restart_amid_episodes_changes_no_bit(stop: int) -> None:
    events = in_order(spreads(), heartbeats(120))
    names, wanted = m.names_in(events), m.bits(m.run(events, force=force(**LIVELY)).outgoing())
    driver = m.new_driver(names, force(**LIVELY))
    for part in m.frames_of(events):
        if part[0].at == m.at(stop) and part[0].type == RowType.QUOTE:
            driver.outgoing()
            new = m.new_driver(names).task
            snapshots.restore(new, snapshots.dump(driver.task), ModelStore())
            driver.task = new
        m.send(driver, part, names)
    assert m.bits(driver.outgoing()) == wanted


def test_strong_seconds_of_a_measured_scenario_are_scored() -> None:
    rush = [trade("A.SIMX", 650 + n / 20, 100.0 * (1 + n / 8000), 5.0, 1) for n in range(400)]
    calm = [trade("A.SIMX", second + 0.5, 100.0, 1.0, 1 if second % 2 else -1) for second in range(650)]
    driver = m.run(in_order(calm, rush, heartbeats(680)), force=force())
    scores = table(driver.outgoing(), "scores")
    raw = scores["raw"][scores["detector"] == 3 + SCENARIOS.index("pump_and_dump")]
    assert raw.size > 0 and raw.min() >= 0.5 and raw.max() >= 1.0
    assert np.isnan(scores["probability"]).all()


def observed(driver: Driver) -> dict[int, float]:
    """What the last block of the last second saw of its first instrument."""
    return dict(enumerate(driver.task._out.observations[0].tolist()))


def test_observation_of_single_trades() -> None:
    usual = [trade("A.SIMX", second + 0.2 + side * 0.1, 100.0, 2.0, side) for second in range(60) for side in (-1, 1)]
    last = [
        quote("A.SIMX", 60.0, 99.9, 100.1),
        *(trade("A.SIMX", 60.5, 100.1 + level / 10, 3.0 + level, 1) for level in range(4)),
        trade("A.SIMX", 60.6, 100.0, 0.1, -1),
    ]
    x = observed(m.run(in_order(usual, last, heartbeats(61)), force=force()))
    assert (x[at.SWEPT_LEVELS], x[at.SWEPT_SIDE]) == (4.0, 1.0)
    assert (x[at.LARGEST_TRADE], x[at.SMALL_TRADES]) == (6.0, 1.0)
    assert x[at.USUAL_TRADE] == pytest.approx(np.log(2.0))
    assert x[at.USUAL_TRADE_DEVIATION] == pytest.approx(0.0, abs=1e-6)
    assert x[at.HIGH_1S] == pytest.approx(100.4)
    assert x[at.LOW_1S] == 100.0
    assert x[at.ROUND_TRIPS_60S] == 59.0
    assert x[at.USUAL_TRADED] == 1.0


def test_observation_of_quotes_and_extremes() -> None:
    prices = [100.0] * 70
    prices[5], prices[40], prices[65] = 150.0, 110.0, 90.0
    events = [quote("A.SIMX", second, price - 0.5, price + 0.5) for second, price in enumerate(prices)]
    x = observed(m.run(in_order(events, heartbeats(70)), force=force()))
    assert x[at.HIGH_60S] == pytest.approx(np.log(1.1))
    assert x[at.LOW_60S] == pytest.approx(np.log(0.9))
    assert x[at.BID_RAISED_60S] == 2.0
    assert np.isnan(x[at.LARGEST_TRADE]) and np.isnan(x[at.BID_DEPTH_10]) and np.isnan(x[at.FILL_RATIO_60S])


def test_observation_of_books() -> None:
    bids = [(99.0 - level, 1.0 + 20.0 * (level == 3)) for level in range(10)]
    asks = [(101.0 + level, 2.0) for level in range(10)]
    x = observed(m.run(in_order([m.book("A.SIMX", 0.0, bids, asks)], heartbeats(1)), force=force()))
    assert (x[at.BID_DEPTH_10], x[at.ASK_DEPTH_10]) == (30.0, 20.0)
    assert (x[at.LARGEST_BID], x[at.LARGEST_ASK]) == (21.0, 2.0)
    assert (x[at.LARGEST_BID_AWAY], x[at.LARGEST_ASK_AWAY]) == pytest.approx((400.0, 100.0))


def order(when: float, action: int, qty: float, order_id: str) -> Event:
    values = {"action": action, "side": 1, "price": 100.0, "qty": qty, "order_id": order_id}
    return Event(RowType.ORDER, "A.SIMX", m.at(when), values)


def test_observation_of_orders() -> None:
    events = [
        quote("A.SIMX", 0.0, 99.0, 101.0),
        order(0.1, 1, 5.0, "a"),
        order(0.2, 1, 5.0, "b"),
        order(2.1, 3, 5.0, "b"),
        order(2.2, 1, 5.0, "c"),
        order(2.3, 3, 5.0, "c"),
        order(2.4, 4, 2.0, "a"),
        order(2.5, 3, 1.0, "never seen"),
    ]
    driver = m.run(in_order(events, heartbeats(3)), force=force())
    x = observed(driver)
    assert [x[at.ORDERS_ADDED_1S], x[at.ORDERS_DELETED_1S], x[at.ORDERS_EXECUTED_1S]] == [1.0, 3.0, 1.0]
    assert x[at.FILL_RATIO_60S] == pytest.approx(2.0 / 13.0)
    assert x[at.SHORT_LIVED_60S] == 0.5
    assert state.tiers(driver.task.state, 0) == ("quotes", "orders")


def test_session_is_known_from_its_opening_row() -> None:
    closes = messages.to_rfc3339(m.at(100))
    events = [status(StatusKind.OPEN, 1.0, detail=f"regular closes={closes}"), quote("A.SIMX", 0.0, 99.0, 101.0)]
    x = observed(m.run(in_order(events, heartbeats(31)), force=force()))
    assert (x[at.SINCE_OPEN], x[at.TO_CLOSE]) == (29.0, 69.0)
    plain = [status(StatusKind.OPEN, 1.0, detail="closes=soon"), quote("A.SIMX", 0.0, 99.0, 101.0)]
    x = observed(m.run(in_order(plain, heartbeats(31)), force=force()))
    assert x[at.SINCE_OPEN] == 29.0 and np.isnan(x[at.TO_CLOSE])
    assert closing_second("") == 0


def test_pump_model_is_promoted_like_the_others() -> None:
    data = shipped()["pumps"]
    made = decode(data)
    loaded = ActiveModels.default(ModelStore())
    assert loaded.models["pumps"] == made.hash
    wrong = msgspec.json.decode(data) | {"alert": 7.0}
    with pytest.raises(msgspec.ValidationError, match="alert probability"):
        decode(msgspec.json.encode(wrong))


def test_volume_far_beyond_the_usual_is_reported_with_its_numbers() -> None:
    rule = Volume(hold_s=1.0, cooldown_s=20.0, quiet_s=5.0)
    calm = [trade("A.SIMX", second + 0.5, 100.0, 1.0 + second % 3, (-1) ** second) for second in range(2000)]
    burst = [trade("A.SIMX", 2000 + n / 10, 100.0, 500.0, (-1) ** n) for n in range(60)]
    found = alerts(m.run(in_order(calm, burst, heartbeats(2050)), force=force(unusual_volume=rule)), "unusual_volume")
    assert [alert.state for alert in found][:1] == ["open"]
    for evidence in found[0].evidence:
        assert evidence.threshold is None or (evidence.value or 0.0) >= evidence.threshold


def shipped_force(watch: bool) -> ActiveModels:
    """The shipped models, and lively scenarios or none."""
    return ActiveModels(ModelStore(), ActiveModels.default(ModelStore()).models, DetectorConfig(**LIVELY, watch=watch))


def test_without_scenarios_features_and_distances_are_the_same_and_nobody_is_alerted() -> None:
    events = in_order(spreads(), heartbeats(120))
    watched, unwatched = (m.run(events, force=shipped_force(watch)) for watch in (True, False))
    assert alerts(watched) and not alerts(unwatched)
    for topic in (topics.FEATURES, topics.BARS):
        assert [one.value for one in watched.outgoing() if one.topic == topic] == [
            one.value for one in unwatched.outgoing() if one.topic == topic
        ]
    scores = [table(driver.outgoing(), "scores") for driver in (watched, unwatched)]
    ours, theirs = (found["raw"][found["detector"] == 0] for found in scores)
    assert len(ours) > 100 and np.array_equal(ours, theirs, equal_nan=True)
    assert set(scores[1]["detector"]) <= {0, 1}


def test_windows_begin_anew_where_the_log_switches_scenarios_on() -> None:
    events = in_order(spreads(), heartbeats(200))
    names = m.names_in(events)
    driver = m.new_driver(names, shipped_force(False))
    control = Control(config=DetectorConfig(**LIVELY))
    for part in m.frames_of(events, [next(k for k, event in enumerate(events) if event.at >= m.at(70))]):
        if part[0].at == m.at(70) and not driver.task.force.config.watch:
            row = control_rows.frame(msgspec.json.encode(control).decode(), m.at(70))
            driver.record(row, FrameHeaders("status", CONTROL_SOURCE, 1, 0, 1).to_kafka())
        m.send(driver, part, names)
    assert driver.task.force.config.watch and not driver.task.tally.refused
    returns = m.feature(driver, "A.SIMX", "ret_10s")
    assert np.isfinite(returns[60]) and np.isnan(returns[72]) and np.isfinite(returns[85])
    assert not alerts(driver)  # not watched for the 70 s that the scenario asks for
