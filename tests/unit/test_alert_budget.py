"""The alert budget: how it is shared, which multiple spends it, and the proposal over a stored market."""

import argparse
import json
import tomllib
from pathlib import Path

import msgspec
import pytest

from detectors.scenarios.catalogue import SENSITIVE
from evaluation import budget, spending
from evaluation.budget import write_report
from evaluation.history_features import Span
from evaluation.stored_files import FileHistory
from streams.commands.config import changed
from streams.engine.detector_config import DetectorConfig
from streams.engine.models import ModelStore
from tapewatch.errors import TapewatchError
from tapewatch.settings import Settings
from tests.unit.stored_trades import stored, trades


def test_what_one_scenario_does_not_need_goes_to_the_others() -> None:
    assert spending.shares({"a": 1.0, "b": 20.0, "c": 30.0}, 21.0) == {"a": 1.0, "b": 10.0, "c": 10.0}
    assert spending.shares({"a": 1.0, "b": 2.0}, 21.0) == {"a": 1.0, "b": 2.0}
    assert spending.shares({}, 21.0) == {}


@pytest.mark.parametrize(
    ("counts", "allowed", "low", "high"),
    [((5, 4, 3), 5, 1.0, 1.0), ((50, 10, 2), 10, 2.0, 2.0), ((50, 10, 2), 20, 1.0, 2.0), ((50, 40, 30), 3, 4.0, 4.0)],
)
def test_multiple_is_the_least_beyond_which_the_allowed_number_is_kept(counts, allowed, low, high) -> None:
    assert low <= spending.multiple(counts, (1.0, 2.0, 4.0), allowed) <= high


def test_count_that_rises_again_is_not_taken_for_kept() -> None:
    assert spending.multiple((3, 50, 2), (1.0, 2.0, 4.0), 5) > 2.0


def test_every_scenario_of_the_configuration_has_thresholds_to_multiply() -> None:
    config = DetectorConfig()
    sections = [name for name in config.__struct_fields__ if isinstance(getattr(config, name), msgspec.Struct)]
    sections.remove("policy")
    assert budget.scenarios(config) == sections
    for name in set(SENSITIVE) & set(sections):
        assert set(SENSITIVE[name]) <= set(getattr(config, name).__struct_fields__), name


def test_multiplied_thresholds_stay_in_proportion_and_nothing_else_moves() -> None:
    config = DetectorConfig()
    wanted = budget.multiplied(config, {("", "pump_and_dump"): 2.0, ("", "ramping"): 1.0})
    assert wanted.pump_and_dump.min_rise == 2.0 * config.pump_and_dump.min_rise
    assert wanted.pump_and_dump.rise_deviations == 2.0 * config.pump_and_dump.rise_deviations
    assert msgspec.structs.replace(wanted, pump_and_dump=config.pump_and_dump) == config


def test_class_of_instruments_gets_thresholds_of_its_own() -> None:
    wanted = budget.multiplied(DetectorConfig(), {("spot", "pump_and_dump"): 2.0})
    assert wanted.pump_and_dump == DetectorConfig().pump_and_dump
    assert wanted.classes["spot"]["pump_and_dump"]["min_rise"] == 2.0 * DetectorConfig().pump_and_dump.min_rise


@pytest.fixture
def market(tmp_path: Path) -> Path:
    """One pump in 25 minutes: 58 alerts a day."""
    folder = tmp_path / "market"
    folder.mkdir()
    return stored(folder, trades({900: 0.05}))


def test_proposal_keeps_the_budget_and_is_a_file_that_config_apply_takes(market: Path) -> None:
    history = FileHistory(market)
    config = DetectorConfig()
    span = Span(*history.extent, 0.0)
    found = budget.proposed(history, span, config, (ModelStore(), {}), 1.0)
    assert found["in_force"]["alerts"] >= 1
    assert found["proposed"]["alerts"] == 0
    wanted = changed(config, tomllib.loads(budget.text(found)))
    assert wanted.hash == found["proposed"]["configuration"]
    assert wanted.pump_and_dump.min_rise > config.pump_and_dump.min_rise
    assert "pump_and_dump.min_rise" in found["replaces"]


def test_budget_that_is_kept_already_changes_nothing(market: Path) -> None:
    history = FileHistory(market)
    found = budget.proposed(history, Span(*history.extent, 0.0), DetectorConfig(), (ModelStore(), {}), 1000.0)
    assert found["proposal"] == {}
    assert "nothing to change" in budget.text(found)
    assert found["proposed"]["configuration"] == DetectorConfig().hash


@pytest.mark.slow
def test_report_draws_what_each_multiple_would_open(market: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    history = FileHistory(market)
    found = budget.proposed(history, Span(*history.extent, 0.0), DetectorConfig(), (ModelStore(), {}), 1.0)
    pump = next(one for one in found["scenarios"] if one["scenario"] == "pump_and_dump")
    assert len(pump["alerts_at_steps"]) == len(found["steps"])
    assert pump["alerts_at_steps"][0] == pump["alerts_in_force"] >= pump["alerts_at_steps"][-1] == 0
    page = write_report(tmp_path, found | {"history": "<b>here</b>"}).read_text()
    assert page.count("<img") == 2 and "pump_and_dump.min_rise" in page
    assert "&lt;b&gt;here" in page and "<b>here" not in page


def test_report_of_a_history_without_alerts_says_so(market: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    history = FileHistory(market)
    high = budget.multiplied(DetectorConfig(), {("", name): 16.0 for name in budget.scenarios(DetectorConfig())})
    found = budget.proposed(history, Span(*history.extent, 0.0), high, (ModelStore(), {}), 1.0)
    page = write_report(tmp_path, found).read_text()
    assert "no scenario opened an alert" in page and "<img" not in page


def test_command_takes_the_budget_from_the_settings_and_prints_one_document(
    market: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    budget.configure(parser)
    parser.set_defaults(json=True, out=None, report=None)
    args = parser.parse_args(["--market", str(market), "--warm-up", "0"])
    assert budget.run(args, Settings(data=str(tmp_path))) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["per_instrument_day"] == Settings().alerts.per_instrument_day
    args.loosest = 0.0
    with pytest.raises(TapewatchError, match="above 0"):
        budget.run(args, Settings(data=str(tmp_path)))
