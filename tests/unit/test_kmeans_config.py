"""The detector configuration as files and on the screen, and the control rows that carry it."""

from pathlib import Path

import msgspec
import pytest

from streams.commands import config
from streams.engine import control
from streams.engine.detector_config import DetectorConfig
from streams.engine.models import Control, shipped
from tapewatch.clock import ManualClock
from tapewatch.contract import frames
from tapewatch.errors import TapewatchError
from tapewatch.market_log import control_rows
from tapewatch.market_log.control_rows import Order
from tapewatch.settings import EngineSettings


def order(subject: str, value: str, epoch: int, content: dict[str, object] | None = None) -> Order:
    return Order(subject, value, epoch, "2025-01-01T00:00:00Z", "ann", "test", "", content)


def test_part_of_a_configuration_leaves_the_rest_as_it_was() -> None:
    wanted = config.changed(DetectorConfig(), {"kmeans_anomaly": {"hold_s": 5}})
    assert wanted.kmeans_anomaly.hold_s == 5.0
    assert wanted.kmeans_anomaly.quiet_s == DetectorConfig().kmeans_anomaly.quiet_s
    assert wanted.pump_and_dump == DetectorConfig().pump_and_dump


@pytest.mark.parametrize(
    ("tree", "said"),
    [
        ({"kmeans_anomaly": {"hold": 5}}, "hold"),
        ({"spoof": {"x": 1}}, "spoof"),
        ({"kmeans_anomaly": {"hold_s": "five"}}, "float"),
        ({"kmeans_anomaly": 5}, "kmeans_anomaly"),
        ({"kmeans_anomaly": {"hold_s": -1.0}}, "hold_s is -1"),
    ],
)
def test_unknown_key_or_impossible_value_is_refused_by_name(tree: dict[str, object], said: str) -> None:
    with pytest.raises(TapewatchError, match=said):
        config.changed(DetectorConfig(), tree)


def test_toml_and_json_files_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("[pump_and_dump]\nmin_rise = 0.03\n")
    (tmp_path / "a.json").write_text('{"pump_and_dump": {"min_rise": 0.03}}')
    assert config.read(tmp_path / "a.toml") == config.read(tmp_path / "a.json") == {"pump_and_dump": {"min_rise": 0.03}}
    (tmp_path / "b.json").write_text("[1]")
    with pytest.raises(TapewatchError, match="no tables"):
        config.read(tmp_path / "b.json")


def test_key_docs_come_from_the_structs_own_docstring() -> None:
    docs = config.key_docs(EngineSettings)
    assert docs["poll_ms"] == "longest wait for the first one, ms"
    assert docs["instance"].startswith("static member id")
    assert set(docs) <= set(EngineSettings.__struct_fields__)


def test_control_row_says_all_that_is_in_force_in_the_engines_words() -> None:
    content = msgspec.to_builtins(DetectorConfig())
    standing = {"kmeans": order("kmeans", "ab", 5), "config": order("config", "cd", 7, content)}
    rows = frames.to_rows(control_rows.frame(control_rows.detail(standing), 10**18))
    said = msgspec.json.decode(rows.columns["detail"][0], type=Control)
    assert said == Control({"kmeans": "ab"}, DetectorConfig())


def test_model_with_an_input_that_the_engine_lacks_is_not_promoted() -> None:
    made = msgspec.json.decode(shipped()["kmeans"])
    made["inputs"][0] = "moon_phase"
    with pytest.raises(TapewatchError, match="no such input: moon_phase"):
        control.checked(msgspec.json.encode(made))
    with pytest.raises(TapewatchError, match="cannot be promoted"):
        control.checked(b"{}")


def test_epoch_rises_also_when_the_clock_went_back() -> None:
    assert control_rows.next_epoch({}, ManualClock(100)) == 100
    assert control_rows.next_epoch({"kmeans": order("kmeans", "ab", 500)}, ManualClock(100)) == 501
