"""Trades with accounts in the engine: alerts of the accounts tier, and that they are a function of the log."""

from collections.abc import Sequence
from functools import cache
from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.account_controls import TRUE, Trade, crowd, trade_rows
from detectors.scenarios.accounts.wash_trades import Parameters as Wash
from streams.driver import Driver
from streams.engine import snapshots
from streams.engine.accounts import ACCOUNT_SCENARIOS
from streams.engine.detector_config import DetectorConfig
from streams.engine.models import ActiveModels, Control, ModelStore
from streams.engine.task import Task
from tapewatch.clock import NANOS
from tapewatch.contract import messages, topics
from tapewatch.contract.frames import FrameHeaders
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.messages import Alert
from tapewatch.contract.rows import Condition, Rows
from tapewatch.market_log import control_rows
from tapewatch.market_log.admission import CONTROL_SOURCE
from tapewatch.market_log.registry import FixedRegistry
from tests.unit.engine_market import START

NAMES = ("A.SIMX", "B.SIMX")
OFFSETS = ("onset_offset", "decided_offset", "updated_offset")


def rows(trades: Sequence[Trade], name: str = "A.SIMX", accounts: bool = True) -> Rows:
    return trade_rows([(name, each) for each in trades], START * NANOS, accounts)


def new_driver(force: ActiveModels | None = None, **kinds: str) -> Driver:
    known = [Instrument(name, kind=kinds.get(name[0], "share")) for name in NAMES]
    return Driver(FixedRegistry(known), force=force or ActiveModels(ModelStore(), {}, DetectorConfig()))


def run(found: Rows, until: int = 2000, driver: Driver | None = None, cuts: Sequence[int] = ()) -> Driver:
    """The rows in frames of at most a second, cut further at `cuts`, among the heartbeats of every second."""
    used = driver or new_driver()
    seconds = found.ts_recv // NANOS
    for second in range(START, START + until):
        used.heartbeat(second)
        first, last = np.searchsorted(seconds, [second, second + 1]).tolist()
        bounds = [first, *(cut for cut in sorted(set(cuts)) if first < cut < last), last]
        for begin, end in pairwise(bounds):
            if begin < end:
                used.send(found.take(slice(begin, end)))
    return used


def alerts(driver: Driver) -> list[Alert]:
    return [messages.decode(Alert, record.value) for record in driver.outgoing() if record.topic == topics.ALERTS]


def of_accounts(driver: Driver) -> list[Alert]:
    return [alert for alert in alerts(driver) if alert.data_tier == "accounts"]


def case(scenario: str) -> list[Trade]:
    return sorted([*TRUE[scenario][0], *TRUE[scenario][1]])


@pytest.mark.parametrize("scenario", TRUE)
def test_a_true_case_is_an_alert_with_evidence_that_closes(scenario: str) -> None:
    trades = case(scenario)
    found = [alert for alert in of_accounts(run(rows(trades))) if alert.scenario == scenario]
    assert [found[0].state, found[-1].state] == ["open", "closed"]
    assert [alert.revision for alert in found] == list(range(len(found)))
    assert len({alert.id for alert in found}) == 1
    opened = found[0]
    assert opened.id == messages.alert_id(scenario, "A.SIMX", messages.from_rfc3339(opened.onset))
    # Decided when the second of the deciding trade is over.
    assert messages.from_rfc3339(opened.decided) // NANOS - START - 1 in {int(each[0]) for each in trades}
    held = [each for each in opened.evidence if each.threshold is not None]
    assert held and all((each.value or 0.0) >= (each.threshold or 0.0) for each in held)
    assert opened.score >= 40.0 and "Its last trade: " in opened.sentence
    assert opened.provenance.configuration == DetectorConfig().hash and not opened.provenance.models
    assert opened.provenance.decided_offset == opened.provenance.updated_offset > 0


@pytest.mark.parametrize("seed", range(2))
def test_a_crowd_raises_nothing(seed: int) -> None:
    assert of_accounts(run(rows(list(crowd(seed, 1800.0))))) == []


@pytest.mark.parametrize("scenario", TRUE)
def test_the_same_trades_without_accounts_are_not_assessed(scenario: str) -> None:
    driver = run(rows(case(scenario), accounts=False))
    assert of_accounts(driver) == [] and driver.task.accounts.dump() == msgspec.msgpack.encode([])


def test_cancelled_trades_do_not_count() -> None:
    found = rows(case("wash_trades"))
    found.columns["condition"][:] = int(Condition.CANCEL)
    assert of_accounts(run(found)) == []


@cache
def washed() -> Rows:
    return rows(case("wash_trades"))


def content(driver: Driver) -> list[Alert]:
    """All alerts but for the offsets, which name records."""
    return [
        msgspec.structs.replace(
            alert, provenance=msgspec.structs.replace(alert.provenance, **dict.fromkeys(OFFSETS, 0))
        )
        for alert in alerts(driver)
    ]


def brief(**changes: float) -> ActiveModels:
    """Wash trades that close soon, all other scenarios as shipped, without models."""
    rule = msgspec.structs.replace(Wash(quiet_s=5.0, cooldown_s=10.0, update_ratio=1.1), **changes)
    return ActiveModels(ModelStore(), {}, DetectorConfig(wash_trades=rule))


@pytest.mark.slow
@settings(max_examples=6, deadline=None)
@given(st.lists(st.integers(0, len(TRUE["wash_trades"][0]) + 8), max_size=6))
def test_cutting_frames_anywhere_changes_no_alert(cuts: list[int]) -> None:
    whole = content(run(washed(), 340, new_driver(brief())))
    assert [alert.state for alert in whole if alert.scenario == "wash_trades"].count("closed") >= 1
    assert content(run(washed(), 340, new_driver(brief()), cuts)) == whole


def test_one_frame_over_many_seconds_gives_the_same_alerts() -> None:
    driver = new_driver(brief())
    driver.send(washed())
    for second in range(300, 340):
        driver.heartbeat(START + second)
    wanted = [alert for alert in content(run(washed(), 340, new_driver(brief()))) if alert.data_tier == "accounts"]
    assert [alert for alert in content(driver) if alert.data_tier == "accounts"] == wanted


def test_state_of_a_build_with_other_scenarios_in_another_order_is_taken_up_by_name() -> None:
    driver = run(washed(), 125, new_driver(brief()))
    there = [*reversed(ACCOUNT_SCENARIOS), "later_parties"]
    instruments = msgspec.msgpack.decode(driver.task.accounts.dump())
    assert any(np.frombuffer(one[3]).any() for one in instruments)
    for one in instruments:
        for place in (3, 6, 7):
            each = np.frombuffer(one[place]).reshape(len(ACCOUNT_SCENARIOS), -1)
            one[place] = np.concatenate([each[::-1], each[:1]]).tobytes()
        one[8] = [*reversed(one[8]), "somebody"]
    task = Task("market.driver", 0, FixedRegistry([Instrument(name) for name in NAMES]), brief(), "a build")
    snapshots.restore(task, snapshots.dump(driver.task), ModelStore())
    encoded = msgspec.msgpack.encode(instruments)
    task.accounts.load(encoded, there)
    assert task.accounts.dump() == driver.task.accounts.dump()
    assert task.accounts.live == driver.task.accounts.live
    with pytest.raises(ValueError):
        task.accounts.load(encoded, there[1:])


@pytest.mark.slow
@pytest.mark.parametrize("stop", [50, 109, 110, 111, 113, 125])
def test_restart_amid_episodes_changes_no_byte(stop: int) -> None:
    whole = [record.value for record in run(washed(), 340, new_driver(brief())).outgoing()]
    driver, found = new_driver(brief()), washed()
    early = found.ts_recv < (START + stop) * NANOS + NANOS // 2
    run(found.take(early), stop + 1, driver)
    driver.outgoing()
    task = Task("market.driver", 0, FixedRegistry([Instrument(name) for name in NAMES]), brief(), driver.task.build)
    snapshots.restore(task, snapshots.dump(driver.task), ModelStore())
    assert task.accounts.dump() == driver.task.accounts.dump()
    driver.task = task
    late = found.take(~early)
    at_once = late.take(late.ts_recv < (START + stop + 1) * NANOS)
    if len(at_once):
        driver.send(at_once)
    rest = late.take(late.ts_recv >= (START + stop + 1) * NANOS)
    for second in range(stop + 1, 340):
        driver.heartbeat(START + second)
        now = rest.take(rest.ts_recv // NANOS == START + second)
        if len(now):
            driver.send(now)
    mine = [messages.decode(Alert, record.value) for record in driver.outgoing() if record.topic == topics.ALERTS]
    wanted = [value for value in whole if b'"scenario"' in value[:200]]
    assert [alert.id for alert in mine] == [messages.decode(Alert, value).id for value in wanted]
    assert content(driver) == content(run(washed(), 340, new_driver(brief())))


@pytest.mark.slow
def test_a_class_has_its_own_thresholds() -> None:
    config = DetectorConfig(classes={"spot": {"wash_trades": {"min_trades": 100.0}}})
    trades = case("wash_trades")
    for kind, count in (("share", 2), ("spot", 0)):
        driver = run(washed(), 2000, new_driver(ActiveModels(ModelStore(), {}, config), A=kind))
        assert len([alert for alert in alerts(driver) if alert.scenario == "wash_trades"]) == count
    assert len(trades) == len(washed())


def control(driver: Driver, config: DetectorConfig, second: int, sequence: int) -> None:
    """Append a control row that brings a configuration into force."""
    row = control_rows.frame(msgspec.json.encode(Control(config=config)).decode(), (START + second) * NANOS)
    driver.record(row, FrameHeaders("status", CONTROL_SOURCE, 1, sequence, 1).to_kafka())


def test_a_control_row_switches_the_thresholds_of_trades_after_it() -> None:
    driver = new_driver(ActiveModels(ModelStore(), {}, DetectorConfig(wash_trades=Wash(min_trades=100.0))))
    found = washed()
    early = found.ts_recv < (START + 60) * NANOS
    run(found.take(early), 60, driver)
    changed = DetectorConfig(wash_trades=Wash())
    control(driver, changed, 60, 0)
    assert driver.task.force.config_hash == changed.hash
    for second in range(60, 200):
        driver.heartbeat(START + second)
        now = found.take(found.ts_recv // NANOS == START + second)
        if len(now):
            driver.send(now)
    mine = [alert for alert in alerts(driver) if alert.scenario == "wash_trades"]
    assert mine[0].state == "open" and mine[0].provenance.configuration == changed.hash


def test_without_scenarios_nothing_is_kept() -> None:
    driver = run(washed(), 340, new_driver(ActiveModels(ModelStore(), {}, DetectorConfig(watch=False))))
    assert of_accounts(driver) == [] and driver.task.accounts.dump() == msgspec.msgpack.encode([])


def test_two_instruments_do_not_mix() -> None:
    half = case("wash_trades")
    driver = new_driver()
    both = sorted([(each, NAMES[place % 2]) for place, each in enumerate(TRUE["wash_trades"][1])])
    for second in range(400):
        driver.heartbeat(START + second)
        for each, name in both:
            if int(each[0]) == second:
                driver.send(rows([each], name))
    assert half and [alert for alert in alerts(driver) if alert.scenario == "wash_trades"] == []
