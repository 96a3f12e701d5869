"""Policies in the engine: the same decisions as over recorded rows, switched by control rows, flat when a session ends,
a shadow that only watches.
"""

from functools import cache

import msgspec
import numpy as np
import pytest

from detectors.ddqn import virtual
from detectors.ddqn.lanes import ACTIONS, BUY, HOLD
from detectors.ddqn.model import Policy, PolicyMetadata
from detectors.ddqn.score import choose
from detectors.ddqn.virtual import PRIVATE, Rows, act_lanes, close_lanes, create_lanes, scaled_rows, see_lanes
from streams.driver import FOREVER_NS, Driver
from streams.engine import control
from streams.engine import state as fields
from streams.engine.detector_config import DetectorConfig
from streams.engine.features import NAMES
from streams.engine.models import KMEANS, ActiveModels, Control, shipped
from streams.engine.policy import DDQN, SHADOW, PolicySettings, problem
from streams.engine.signals import size_of
from streams.paper.task import PaperTask
from tapewatch.clock import NANOS
from tapewatch.contract import messages, topics
from tapewatch.contract.frames import FrameHeaders
from tapewatch.contract.instruments import Instrument, Tick
from tapewatch.contract.messages import Commit, Order, Signal, from_rfc3339
from tapewatch.contract.rows import RowType, StatusKind
from tapewatch.errors import TapewatchError
from tapewatch.market_log import control_rows
from tapewatch.market_log.admission import CONTROL_SOURCE
from tapewatch.market_log.registry import FixedRegistry
from tapewatch.settings import Settings
from tapewatch.settings.paper import PaperSettings
from tests.unit import engine_market as m
from tests.unit.virtual_policy import EAGER, FEATURES, acting, made

SECONDS = 330
NAME = "QUOTED.SIMX"


@cache
def events() -> tuple[m.Event, ...]:
    return tuple(m.in_order(m.RandomMarket(seed=8, seconds=SECONDS, rate=3.0).events()))


def signals_of(driver: Driver, topic: str = topics.SIGNALS) -> list[Signal]:
    return [messages.decode(Signal, value) for value in m.messages_of(driver.outgoing(), topic)]


def quotes_of(name: str) -> dict[int, list[tuple[float, float]]]:
    """Bids and asks by second of the market."""
    found: dict[int, list[tuple[float, float]]] = {}
    for event in events():
        if event.instrument == name and event.type == RowType.QUOTE:
            found.setdefault(event.second, []).append((event.values["bid_price"], event.values["ask_price"]))
    return found


def recorded_rows(driver: Driver, policy: Policy) -> Rows:
    """An instrument's seconds as training has them: from the `features` topic and the market's quotes alone."""
    table = m.features(driver)
    mine = table["instrument"] == NAME
    second = table["ts"][mine] // NANOS - 1
    plain = np.ascontiguousarray(np.column_stack([table[name][mine] for name in policy.described.inputs[:5]]))
    scaled = np.zeros_like(plain)
    scaled_rows(plain, policy.arrays["center"], policy.arrays["scale"], scaled)
    quotes = np.full((len(second), 4), np.nan)
    standing, by_second = (np.nan, np.nan), quotes_of(NAME)
    for row, each in enumerate(second.tolist()):
        two_sided = [(bid, ask) for bid, ask in by_second.get(each, []) if bid > 0.0 and ask > 0.0]
        quotes[row, :2] = two_sided[0] if two_sided else (np.nan, np.nan)
        standing = by_second.get(each, [standing])[-1]
        quotes[row, 2:] = standing
    pairs = zip(table["ret_300s"][mine], table["rv_300s"][mine], strict=True)
    context = np.array([[virtual.trend(change, volatility), 1.0] for change, volatility in pairs])
    quoted = (quotes[:, 2:] > 0.0).all(axis=1)
    warm = np.arange(len(second)) >= EAGER.warm_s
    return Rows(scaled, second, quotes, context, quoted & warm, np.tile([0.001, 0.001], (len(second), 1)))


def test_decisions_are_those_of_the_training_environment_over_the_same_rows() -> None:
    policy = made(1)
    driver = m.run(events(), force=acting())
    rows = recorded_rows(driver, policy)
    state, own, masks = create_lanes(1)
    out = np.zeros((1, len(policy.described.inputs)), dtype=np.float32)
    wanted = []
    for at in range(len(rows.second)):
        row = np.array([at])
        close_lanes(state, rows, row, np.array([False]))
        see_lanes(state, rows, row, True, EAGER.wait_s, own, out, masks)
        q, best = choose(policy.network(), out, masks)
        advantage = float(q[0, best[0]]) - float(q[0, HOLD])
        action = virtual.steadied(int(best[0]), advantage, EAGER.margin)
        act_lanes(state, rows, row, np.array([action]))
        if action != HOLD:
            values = {name: float(v) if may else None for name, v, may in zip(ACTIONS, q[0], masks[0], strict=True)}
            wanted.append((int(rows.second[at] + 1) * NANOS, ACTIONS[action], values, advantage))
    found = [
        (from_rfc3339(each.ts), each.action, each.q_values, each.advantage)
        for each in signals_of(driver)
        if each.instrument == NAME
    ]
    assert len(wanted) > 10
    assert {action for _, action, _, _ in wanted} >= {"buy", "sell"}
    assert found == wanted


def test_a_signal_says_what_it_proposes_and_rests_on() -> None:
    driver = m.run(events(), force=acting())
    first = next(each for each in signals_of(driver) if each.instrument == NAME and each.action in ("buy", "sell"))
    second = from_rfc3339(first.ts) // NANOS - 1
    standing = [pair for when, pairs in sorted(quotes_of(NAME).items()) if when <= second for pair in pairs][-1]
    assert first.price == standing[1 if first.action == "buy" else 0]
    assert first.model == made(1).hash
    assert first.id == messages.stable_id(DDQN, NAME, (second + 1) * NANOS)
    assert first.position == 0.0 and 0.0 < (first.size or 0.0) < 1.0
    assert (first.cause.topic, first.cause.partition) == (driver.task.topic, driver.task.partition)
    record = next(record for record in driver.outgoing() if record.topic == topics.SIGNALS)
    assert record.instrument.encode() == record.key
    assert driver.task.tally.written["signals"] == len(signals_of(driver))
    assert driver.task.tally.written["decisions"] == len(m.features(driver)["ts"])


def test_size_hint_is_all_of_what_is_closed_and_else_grows_with_the_advantage() -> None:
    assert size_of(BUY, -1.0, 0.2, 0.1) == 1.0
    assert size_of(BUY, 0.0, 0.1, 0.1) == 0.5
    assert size_of(BUY, 0.0, 0.0, 0.0) == 1.0
    assert size_of(3, 0.0, 0.2, 0.1) is None


def switched(second: int, *controls: Control, force: ActiveModels | None = None) -> Driver:
    """A driver over the market with control rows before the first frame from a second on."""
    names, driver, pending = m.names_in(events()), m.new_driver(m.names_in(events()), force or acting()), list(controls)
    for part in m.frames_of(events()):
        while pending and part[0].second >= m.START + second:
            text = msgspec.json.encode(pending.pop(0)).decode()
            row = control_rows.frame(text, part[0].at)
            epoch = len(controls) - len(pending)
            driver.record(row, FrameHeaders("status", CONTROL_SOURCE, epoch, 0, 1).to_kafka())
        m.send(driver, part, names)
    assert not driver.task.tally.refused
    return driver


def with_models(*policies: Policy, policy: PolicySettings = EAGER) -> ActiveModels:
    """The first one in force; all on the shelf."""
    force = acting(policy)
    for each in policies:
        force._shelf.put(each.encoded())  # type: ignore[attr-defined]
    return force


def test_a_promoted_policy_takes_over_the_position_from_its_control_row_on() -> None:
    other = made(4)
    driver = switched(200, Control(models={DDQN: other.hash}), force=with_models(other))
    last = (m.START + 199) * NANOS
    found, alone = signals_of(driver), signals_of(m.run(events(), force=acting()))
    assert {each.model for each in found if from_rfc3339(each.ts) > last} == {other.hash}
    # One more record lies between: offsets differ from there on.
    before = [msgspec.structs.replace(each, cause=None) for each in found if from_rfc3339(each.ts) <= last]
    assert before == [msgspec.structs.replace(each, cause=None) for each in alone if from_rfc3339(each.ts) <= last]
    held: dict[str, float] = {}
    fills = {"buy": 1.0, "sell": -1.0}
    for each in found:
        # What is held is what earlier signals add up to, less what still waits.
        assert abs(each.position - held.get(each.instrument, 0.0)) <= 1.0
        held[each.instrument] = held.get(each.instrument, 0.0) + fills.get(each.action, 0.0)
        if each.action.startswith("cancel"):
            held[each.instrument] -= fills[each.action.removeprefix("cancel_")]


def test_control_row_switches_the_policy_off_and_on_with_an_empty_book() -> None:
    off = Control(config=DetectorConfig(watch=False, policy=PolicySettings(on=False)))
    driver = switched(200, off)
    # Second 199 is closed behind the row.
    assert max(from_rfc3339(each.ts) for each in signals_of(driver)) <= (m.START + 199) * NANOS
    again = switched(200, off, Control(config=DetectorConfig(watch=False, policy=EAGER)))
    first = [each for each in signals_of(again) if from_rfc3339(each.ts) > (m.START + 199) * NANOS]
    assert first and all(each.position == 0.0 for each in {each.instrument: each for each in reversed(first)}.values())


def test_without_a_policy_or_switched_off_nothing_is_kept() -> None:
    for force in (acting(PolicySettings(on=False)), ActiveModels(acting()._shelf, {}, DetectorConfig(watch=False))):
        driver = m.run(events(), force=force)
        assert signals_of(driver) == []
        assert not driver.task.state.virtual.any()
        assert not driver.task.state.acc[:, fields.AWAITED].any()


def test_a_shadow_has_its_own_position_and_topic_and_changes_nothing() -> None:
    both = m.run(events(), force=acting(models={DDQN: made(1), SHADOW: made(4)}))
    alone, other = m.run(events(), force=acting()), m.run(events(), force=acting(models={DDQN: made(4)}))
    assert m.messages_of(both.outgoing(), topics.SIGNALS) == m.messages_of(alone.outgoing(), topics.SIGNALS)
    shadows, wanted = signals_of(both, topics.SHADOW_SIGNALS), signals_of(other)
    assert [msgspec.structs.replace(each, id=wanted[0].id) for each in shadows] == [
        msgspec.structs.replace(each, id=wanted[0].id) for each in wanted
    ]
    assert both.task.tally.written["signals"] == alone.task.tally.written["signals"]


def test_the_paper_broker_trades_on_the_signals() -> None:
    names, driver = m.names_in(events()), m.new_driver(m.names_in(events()), acting())
    registry = FixedRegistry([Instrument(name, currency="USD", ticks=(Tick(0.0, 0.01),), lot=0.125) for name in names])
    paper = PaperTask(driver.task.topic, 0, registry, PaperSettings(warm_s=2, risk_share=0.0001, started=True))
    for number, part in enumerate(m.frames_of(events())):
        value, headers = m.frame(part, names), FrameHeaders(part[0].type.label, "test", 0, number, 0).to_kafka()
        driver.record(value, headers)
        paper.market(number, value, headers, FOREVER_NS)
    out = m.messages_of(driver.outgoing(), topics.SIGNALS)
    for each in out:
        paper.signal(each)
    end = driver.task.next_offset
    commit = Commit(
        topic=driver.task.topic, partition=0, first_offset=0, next_offset=end, frames=end, rows={}, refused={},
        signals=len(out),
    )  # fmt: skip
    paper.commit(messages.encode(commit))
    orders = [messages.decode(Order, each.value) for each in paper.take() if each.topic == "orders"]
    assert {order.signal for order in orders} & {messages.decode(Signal, each).id for each in out}
    assert any(order.state == "filled" for order in orders)


def test_a_session_ends_flat_and_nothing_waits() -> None:
    last = m.status(StatusKind.CLOSE, SECONDS - 10.5)
    driver = m.run([*(event for event in events() if event.at < last.at), last], force=acting())
    positions = driver.task.state.virtual[:, :2]
    assert (positions[:, 0, virtual.REALISED] != 0.0).any()
    for field in (virtual.POSITION, virtual.PENDING, virtual.UNREALISED):
        assert not positions[:, :, field].any()
    assert not driver.task.state.acc[:, fields.AWAITED].any()


def test_costs_are_the_venues_unless_a_setting_says_otherwise() -> None:
    terms = PolicySettings().terms(["2330.XTAI", "BTCUSDT.BINANCE", "ANY.XNAS"], ["share", "perpetual", ""])
    assert terms.tolist() == [[0.001425, 0.004425, 0.0], [0.001, 0.001, 1.0], [0.001, 0.001, 0.0]]
    assert PolicySettings(cost_ppm=50.0, shorting=True).terms(["2330.XTAI"], ["share"]).tolist() == [[5e-5, 5e-5, 1.0]]


def test_settings_that_make_no_sense_are_refused() -> None:
    assert DetectorConfig(policy=PolicySettings(margin=-1.0)).problem() == "policy.margin is -1.0"
    assert DetectorConfig(policy=PolicySettings(cost_ppm=float("nan"))).problem() == "policy.cost_ppm is nan"
    assert DetectorConfig().problem() == ""


def test_policies_that_the_engine_cannot_run_are_refused() -> None:
    assert problem(made(1)) == ""
    assert control.checked(made(1).encoded()).detector == DDQN
    daily = Policy(PolicyMetadata("daily", made(1).described.inputs, ACTIONS), made(1).arrays)
    assert "environment 'daily'" in problem(daily)
    assert problem(made(1, ("ret_5s", "tarot"))) == "no such input: tarot"
    plain = Policy(made(1).described, {name: made(1).arrays[name] for name in ("w1", "b1", "w2", "b2", "w", "b")})
    assert "how features are scaled" in problem(plain)
    assert "more than 64 inputs" in problem(made(1, hidden=132))
    assert "it must end with position" in problem(made(1, inputs=(*FEATURES, *reversed(PRIVATE))))
    with pytest.raises(TapewatchError, match="learnt in the environment"):
        acting(models={DDQN: daily})


def test_a_shadow_that_is_taken_away_says_nothing_more() -> None:
    force = acting(models={DDQN: made(1), SHADOW: made(4)})
    driver = switched(200, Control(models={SHADOW: ""}), force=force)
    assert max(from_rfc3339(each.ts) for each in signals_of(driver, topics.SHADOW_SIGNALS)) <= (m.START + 199) * NANOS
    assert max(from_rfc3339(each.ts) for each in signals_of(driver)) > (m.START + 200) * NANOS
    assert SHADOW not in driver.task.force.models
    assert not driver.task.state.virtual[:, 1].any()


def test_only_policies_have_a_shadow() -> None:
    with pytest.raises(TapewatchError, match="a model of kmeans has no shadow"):
        control.promote(Settings(), shipped()[KMEANS], "to see", shadow=True)


def test_a_policy_may_use_every_feature() -> None:
    driver = m.run(events()[:600], force=acting(models={DDQN: made(2, NAMES)}))
    assert signals_of(driver)
