"""Pump and dump, second by second: what raises it, what does not, and how an episode goes on."""

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from detectors.scenarios import observation as at
from detectors.scenarios import pump_and_dump as pump
from detectors.scenarios.episode import (
    CLOSED,
    DECIDED,
    DECIDED_OFFSET,
    FIELDS,
    NONE,
    ONSET,
    ONSET_OFFSET,
    OPENED,
    REVISION,
    UPDATED,
)
from detectors.scenarios.pump_and_dump import Parameters as PumpParameters
from streams.driver import Driver
from tapewatch.contract import messages, topics
from tapewatch.contract.messages import Alert
from tests.unit import engine_market as m
from tests.unit.engine_market import Event, heartbeats, in_order, quote, trade

RULE = PumpParameters()
PUMPED: dict[str, float] = {
    "rise": 0.10,
    "rush": 200.0,
    "volume_ratio": 60.0,
    "buy_share": 0.8,
    "deviation": 0.002,
    "usual_rush": 5.0,
    "price": 110.0,
    "age": 2000.0,
}


class Watch:
    """One instrument's episode."""

    def __init__(self, rule: PumpParameters = RULE) -> None:
        self.episode, self.values = np.zeros(FIELDS), np.zeros(16)
        self._rule = np.array(msgspec.structs.astuple(rule))

    def step(self, second: int, **inputs: float) -> int:
        x, rule, values = observed(PUMPED | inputs), self._rule, self.values
        strength = float(pump.strength(x, rule, values))
        pump.evidence(x, rule, values)
        return int(pump.step(self.episode, strength, x[at.PRICE], second, second + 10_000, rule, values))


def observed(inputs: dict[str, float]) -> npt.NDArray[np.float64]:
    """What a scenario sees of an instrument whose usual second has one unit of volume."""
    x = np.full(at.COUNT, np.nan)
    x[at.RET_25S], x[at.RUSH_25S], x[at.PRICE], x[at.AGE] = (inputs[name] for name in ("rise", "rush", "price", "age"))
    x[at.USUAL_TRADED] = 1.0
    x[at.USUAL_VOLUME], x[at.VOLUME_25S] = 1.0, inputs["volume_ratio"] * pump.WINDOW_S
    x[at.SIGNED_VOLUME_25S] = inputs["buy_share"] * x[at.VOLUME_25S]
    x[at.USUAL_R2] = inputs["deviation"] ** 2 / pump.WINDOW_S
    x[at.USUAL_RUSH] = inputs["usual_rush"] / pump.WINDOW_S
    return x


@pytest.mark.slow
def test_rise_on_aggressive_buying_and_heavy_volume_opens() -> None:
    watch = Watch()
    assert watch.step(5000) == OPENED
    assert watch.episode[ONSET] == 5000 - pump.WINDOW_S + 1
    assert watch.episode[DECIDED] == 5001
    assert watch.episode[DECIDED_OFFSET] == watch.episode[ONSET_OFFSET] == 15_000
    assert watch.episode[REVISION] == 1


@pytest.mark.parametrize(
    ("why", "inputs"),
    [
        ("the rise is small", {"rise": 0.019}),
        ("the rise is usual for its volatility", {"deviation": 0.02}),
        ("the price falls", {"rise": -0.10}),
        ("the buyers are few", {"rush": 17.0}),
        ("so many buyers are usual", {"usual_rush": 100.0}),
        ("the volume is usual", {"volume_ratio": 7.9}),
        ("sellers meet the buyers", {"buy_share": 0.1}),
        ("it was not watched for long", {"age": 599.0}),
        ("the window is not warm", {"rise": np.nan}),
    ],
)
def test_no_pump_where(why: str, inputs: dict[str, float]) -> None:
    watch = Watch()
    assert watch.step(5000, **inputs) == NONE
    assert not watch.episode.any()


@pytest.mark.parametrize(
    ("name", "edge"),
    [
        ("rise", 0.02),
        ("rush", 18.0),
        ("volume_ratio", 8.0),
        ("buy_share", 0.22),
        ("age", 600.0),
        ("deviation", 0.1 / 6),
    ],
)
def test_threshold_itself_is_a_hit(name: str, edge: float) -> None:
    assert Watch().step(5000, **{name: edge}) == OPENED


def test_explosive_volume_needs_no_share_of_buyers() -> None:
    assert Watch().step(5000, buy_share=-0.5, volume_ratio=150.0) == OPENED


def test_evidence_stands_against_its_thresholds() -> None:
    watch = Watch()
    watch.step(5000)
    found = dict(zip(pump.VALUES, zip(watch.values, watch.values[8:], strict=False), strict=False))
    assert found["ret_25s"] == (0.10, 0.02)
    assert found["rush_25s"] == (200.0, 18.0)
    assert found["price"][0] == 110.0


def test_episode_is_one_alert_until_its_cooldown_ends() -> None:
    watch = Watch()
    kinds = [watch.step(5000 + second) for second in range(1800)]
    assert kinds == [OPENED, *[NONE] * 1798, NONE]
    assert watch.step(6800) == CLOSED
    assert watch.episode[REVISION] == 2
    assert watch.step(6801) == OPENED
    assert watch.episode[REVISION] == 1


def test_closed_episode_does_not_open_by_itself() -> None:
    watch = Watch()
    watch.step(5000)
    kinds = [watch.step(5001 + second, rise=0.0, rush=0.0, volume_ratio=1.0) for second in range(3000)]
    assert [kind for kind in kinds if kind != NONE] == [CLOSED]


def test_dump_is_a_revision_when_half_of_the_rise_is_given_back() -> None:
    watch = Watch()
    watch.step(5000)
    start = 110.0 * np.exp(-0.10)
    assert watch.step(5001, price=120.0) == NONE
    half = (120.0 + start) / 2
    assert watch.step(5002, price=half + 0.01) == NONE
    assert watch.step(5003, price=half - 0.01) == UPDATED
    assert watch.values[pump.GIVEN_BACK] > 0.5
    assert watch.episode[REVISION] == 2
    assert [watch.step(5004 + second, price=start - 5.0) for second in range(10)] == [NONE] * 10
    assert watch.episode[ONSET] == 5000 - pump.WINDOW_S + 1
    assert watch.episode[DECIDED] == 5001


def market(rise: float, side: int, quiet_s: int = 620) -> list[Event]:
    """Quiet trading, then twenty seconds in which the price goes up trade by trade, then all the way down again."""
    calm = [trade("A.SIMX", second + 0.5, 100.0, 1.0, 1 if second % 2 else -1) for second in range(quiet_s)]
    up = [
        trade("A.SIMX", quiet_s + number / 20, 100.0 + rise * number / 400, 5.0, side or (1 if number % 2 else -1))
        for number in range(400)
    ]
    down = [
        trade("A.SIMX", quiet_s + 20 + number / 20, 100.0 + rise * (1 - number / 400), 5.0, -1) for number in range(400)
    ]
    return in_order(heartbeats(quiet_s + 42), calm, up, down)


def alerts(driver: Driver) -> list[Alert]:
    found = [messages.decode(Alert, value) for value in m.messages_of(driver.outgoing(), topics.ALERTS)]
    return [alert for alert in found if alert.scenario == "pump_and_dump"]


def test_pumped_market_raises_one_alert_and_its_dump_a_revision_of_it() -> None:
    opened, dumped = alerts(m.run(market(20.0, 1)))
    assert (opened.state, opened.revision, dumped.state, dumped.revision) == ("open", 0, "update", 1)
    assert opened.id == dumped.id == messages.alert_id("pump_and_dump", "A.SIMX", messages.from_rfc3339(opened.onset))
    assert (opened.onset, opened.decided) == (dumped.onset, dumped.decided)
    assert opened.decided == opened.updated < dumped.updated
    assert opened.provenance.decided_offset == dumped.provenance.decided_offset < dumped.provenance.updated_offset
    assert "this looks like a pump" in opened.sentence
    assert "the dump has begun" in dumped.sentence
    for evidence in opened.evidence:
        if evidence.threshold is not None:
            assert evidence.value is not None and evidence.value >= evidence.threshold


@pytest.mark.parametrize(
    ("why", "events"),
    [
        ("the price stays", market(0.0, 1)),
        ("buyers and sellers meet", market(20.0, 0)),
        ("sellers drive it", market(20.0, -1)),
        ("it was watched for five minutes only", market(20.0, 1, 300)),
    ],
)
def test_market_without_a_pump_raises_none(why: str, events: list[Event]) -> None:
    assert alerts(m.run(events)) == []


def test_news_that_moves_the_quotes_before_anybody_buys_is_no_pump() -> None:
    calm = [trade("A.SIMX", second + 0.5, 100.0, 1.0, 1 if second % 2 else -1) for second in range(620)]
    quotes = [quote("A.SIMX", second, 99.9, 100.1) for second in range(620)] + [quote("A.SIMX", 620, 109.9, 110.1)]
    after = [trade("A.SIMX", 620.5 + number / 20, 110.0, 5.0, (-1) ** number) for number in range(400)]
    assert alerts(m.run(in_order(heartbeats(650), quotes, calm, after))) == []
