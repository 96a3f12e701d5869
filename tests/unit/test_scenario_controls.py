"""Every scenario of the library alerts on its true case and not on its look-alike, through the brokerless driver."""

from types import ModuleType

import pytest

from benchmarks import control_market, scenario_controls
from detectors.scenarios.library import ENGINE
from tapewatch.contract import messages, topics
from tapewatch.contract.messages import Alert

MODULES = [module for module in ENGINE if module.NAME in scenario_controls.TRUE]


@pytest.fixture(scope="module")
def alerts() -> list[Alert]:
    """Of all controls, half an hour each, in one run (a few seconds, and the kernels' first compilation)."""
    driver = control_market.run(scenario_controls.markets())
    return [messages.decode(Alert, record.value) for record in driver.collect()[topics.ALERTS]]


def of(alerts: list[Alert], scenario: str, true: bool) -> list[Alert]:
    name = scenario_controls.instrument(scenario, true)
    return [alert for alert in alerts if alert.scenario == scenario and alert.instrument == name]


@pytest.mark.slow
@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.NAME)
def test_a_true_case_raises_one_alert_with_evidence_beyond_its_thresholds(
    alerts: list[Alert], module: ModuleType
) -> None:
    found = of(alerts, module.NAME, true=True)
    assert len({alert.id for alert in found}) == 1
    opened = found[0]
    assert (opened.state, opened.data_tier) == ("open", ", ".join(module.TIERS))
    assert opened.instrument in opened.sentence
    assert "nan" not in opened.sentence
    held = [(each.value, each.threshold) for each in opened.evidence if each.threshold is not None]
    assert held
    assert all(value is not None and value >= threshold for value, threshold in held)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.NAME)
def test_its_look_alike_raises_none(alerts: list[Alert], module: ModuleType) -> None:
    assert of(alerts, module.NAME, true=False) == []


def test_a_quiet_market_raises_nothing(alerts: list[Alert]) -> None:
    found = [alert.scenario for alert in alerts if alert.instrument == "QUIET.SIMX"]
    assert [name for name in found if name in scenario_controls.TRUE] == []
