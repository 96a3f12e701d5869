"""`evaluate what-if`: keys, pairing of alerts, and both runs over a stored market."""

import argparse
import json
from pathlib import Path

import numpy as np
import pytest

from evaluation import changes, pairing, what_if
from evaluation.history_features import Span
from evaluation.replayed import Episode, replay
from evaluation.stored_files import FileHistory, framed
from streams.engine.detector_config import DetectorConfig
from streams.engine.models import ActiveModels, ModelStore, shipped
from tapewatch.clock import NANOS
from tapewatch.contract.frames import FrameHeaders
from tapewatch.contract.message import Severity
from tapewatch.contract.messages import Alert, Provenance, alert_id, to_rfc3339
from tapewatch.contract.rows import Rows, RowType
from tapewatch.errors import TapewatchError
from tapewatch.market_log.control_rows import frame as control_frame
from tapewatch.settings import Settings
from tests.unit.stored_trades import START, stored, trades

SPAN = Span(START * NANOS, (START + 3600) * NANOS, 0.0)


@pytest.mark.parametrize("key", ["scenario.pump_and_dump.min_rise", "pump_and_dump.min_rise"])
def test_key_is_taken_with_and_without_its_prefix(key: str) -> None:
    wanted = changes.with_settings(DetectorConfig(), [f"{key}=0.03", "kmeans_anomaly.hold_s=4"])
    assert (wanted.pump_and_dump.min_rise, wanted.kmeans_anomaly.hold_s) == (0.03, 4.0)
    assert changes.differences(DetectorConfig(), wanted) == {
        "kmeans_anomaly.hold_s": {"old": 3.0, "new": 4.0},
        "pump_and_dump.min_rise": {"old": DetectorConfig().pump_and_dump.min_rise, "new": 0.03},
    }


def test_class_of_instruments_takes_thresholds_of_its_own() -> None:
    said = ["classes.spot.pump_and_dump.min_rise=0.03", "classes.share.ramping.min_trades=9"]
    wanted = changes.with_settings(DetectorConfig(), said)
    assert wanted.classes == {"spot": {"pump_and_dump": {"min_rise": 0.03}}, "share": {"ramping": {"min_trades": 9.0}}}
    with pytest.raises(TapewatchError, match="no such parameter"):
        changes.with_settings(DetectorConfig(), ["classes.spot.pump_and_dump.min_ris=0.03"])


@pytest.mark.parametrize(
    ("said", "near"),
    [
        ("scenario.pump_and_dump.min_ris=0.03", "pump_and_dump.min_rise"),
        ("scenario.pump.min_rise=0.03", "pump_and_dump.min_rise"),
        ("kmeans_anomaly=3", "kmeans_anomaly.hold_s"),
        ("kmeans_anomaly.hold_s.x=3", "kmeans_anomaly.hold_s"),
        ("nonsense=1", "config show"),
    ],
)
def test_unknown_key_is_refused_and_near_ones_are_named(said: str, near: str) -> None:
    with pytest.raises(TapewatchError, match="has no key") as caught:
        changes.with_settings(DetectorConfig(), [said])
    assert near in str(caught.value.hint)


@pytest.mark.parametrize("said", ["pump_and_dump.min_rise", "pump_and_dump.min_rise=", "pump_and_dump.min_rise=much"])
def test_value_that_is_no_number_is_refused(said: str) -> None:
    with pytest.raises(TapewatchError):
        changes.with_settings(DetectorConfig(), [said])


def test_unknown_detector_and_unknown_model_are_refused() -> None:
    shelf = ModelStore()
    known = dict.fromkeys(shipped(), "")
    with pytest.raises(TapewatchError, match="no detector in force"):
        changes.model_changes(["spoof=1234"], shelf, known)
    with pytest.raises(TapewatchError, match="no model"):
        changes.model_changes(["kmeans=1234"], shelf, known)


def episode(
    onset: float, decided: float, closed: float = 0.0, severity: Severity = "low", name: str = "A.SIMX"
) -> Episode:
    times = [to_rfc3339(int((START + second) * NANOS)) for second in (onset, decided)]
    alert = Alert(
        id=alert_id("pump_and_dump", name, int((START + onset) * NANOS)), scenario="pump_and_dump", instrument=name,
        onset=times[0], decided=times[1], updated=times[1], state="open", revision=0, severity=severity, score=50.0,
        sentence="", data_tier="trades",
        provenance=Provenance("market.x", 0, 0, 0, 0, "", {}, ""),
    )  # fmt: skip
    return Episode(alert, alert, int((START + closed) * NANOS) if closed else 0)


def test_alerts_pair_by_id_then_by_overlap_and_the_rest_stand_alone() -> None:
    old = [episode(0, 10, 100), episode(200, 210, 300), episode(500, 510, 600), episode(900, 910, name="B.SIMX")]
    new = [episode(0, 10, 50), episode(190, 195, 290), episode(700, 710, 800), episode(950, 960, name="B.SIMX")]
    found = pairing.paired(old, new, SPAN.end_ns)
    assert found.same == 1
    assert [(one.first.onset, other.first.onset) for one, other in found.changed] == [
        (old[1].first.onset, new[1].first.onset),
        (old[3].first.onset, new[3].first.onset),
    ]
    assert (found.only_old, found.only_new) == ([old[2]], [new[2]])


def test_same_alert_of_another_severity_counts_as_changed() -> None:
    found = pairing.paired([episode(0, 10, 100)], [episode(0, 10, 100, "high")], SPAN.end_ns)
    assert (len(found.changed), found.same) == (1, 0)


def arguments(market: Path, *words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    what_if.configure(parser)
    for name in ("json", "out", "report"):
        parser.set_defaults(**{name: name == "json" or None})
    return parser.parse_args(["--market", str(market), *words])


@pytest.fixture
def market(tmp_path: Path) -> Path:
    """A weak pump at 900 s and a strong one of another hour's cooldown at 1400 s."""
    folder = tmp_path / "market"
    folder.mkdir()
    return stored(folder, trades({900: 0.03, 1400: 0.08}))


def test_higher_threshold_loses_the_weak_pump_and_finds_the_strong_one_instead(
    market: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = arguments(market, "--set", "scenario.pump_and_dump.min_rise=0.05", "--warm-up", "0")
    assert what_if.run(args, Settings(data=str(tmp_path))) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["changes"]["pump_and_dump.min_rise"]["new"] == 0.05
    assert found["old"]["by_scenario"]["pump_and_dump"] == found["new"]["by_scenario"]["pump_and_dump"] == 1
    assert found["old"]["configuration"] != found["new"]["configuration"]
    pumps = [one for name in ("only_old", "only_new", "changed") for one in found[name] if "pump" in one["scenario"]]
    assert [one["decided"][:10] for one in pumps]
    (moved,) = [one for one in found["changed"] if one["scenario"] == "pump_and_dump"]
    assert moved["earlier_s"] < -400
    assert found["rows"] > len(trades({}))


def test_span_counts_only_what_is_decided_in_it(
    market: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    span = ("--from", to_rfc3339((START + 1000) * NANOS), "--to", to_rfc3339((START + 1200) * NANOS))
    args = arguments(market, "--set", "pump_and_dump.min_rise=0.05", *span)
    assert what_if.run(args, Settings(data=str(tmp_path))) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["old"]["alerts"] == found["new"]["alerts"] == 0
    assert found["begins"] == {"market": "without state, 1,000 s before the span"}


def test_change_of_nothing_is_refused(market: Path, tmp_path: Path) -> None:
    with pytest.raises(TapewatchError, match="nothing is changed"):
        what_if.run(arguments(market), Settings(data=str(tmp_path)))


def test_same_configuration_gives_the_same_alerts_and_a_control_row_of_the_log_changes_neither(market: Path) -> None:
    history = FileHistory(market)
    span = Span(*history.extent, 0.0)
    (partition,) = history.partitions(span)
    records = list(partition.records())
    headers = FrameHeaders("status", "control", 1, 0, 0).to_kafka()
    said = '{"config":{"pump_and_dump":{"min_rise":0.9}}}'
    control = type(records[0])(len(records), control_frame(said, START * NANOS), headers, records[0].appended_ns)

    class WithControl:
        name, begin, task = partition.name, partition.begin, staticmethod(partition.task)

        def records(self):
            return iter([records[0], control, *records[1:]])

    force = [lambda: ActiveModels.default(ModelStore())] * 2
    found = replay([WithControl()], force, span)
    assert [one.first for one in found.episodes[0]] == [one.first for one in found.episodes[1]]
    assert "pump_and_dump" in {one.first.scenario for one in found.episodes[0]}


def test_rows_of_several_types_lie_in_the_order_of_a_replay_with_heartbeats_between() -> None:
    def rows(kind: RowType, *seconds: float) -> Rows:
        times = np.array([int(second * NANOS) for second in seconds], dtype=np.int64)
        return Rows(kind, ("A.SIMX",), {"instrument": np.zeros(len(times), dtype=np.int32), "ts_recv": times})

    parts = [rows(RowType.QUOTE, 1.0, 2.0, 30.0), rows(RowType.TRADE, 2.0, 2.5)]
    runs = [(run.type.label, (run.ts_recv / NANOS).tolist()) for run in framed(parts, -1)]
    assert runs == [
        ("quote", [1.0]),
        ("trade", [2.0]),
        ("quote", [2.0]),
        ("trade", [2.5]),
        ("status", [3.0, 7.0, 11.0, 15.0, 19.0, 23.0, 27.0]),
        ("quote", [30.0]),
    ]
