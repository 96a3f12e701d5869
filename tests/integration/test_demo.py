"""The demo as a user runs it: the same alerts in topic and database, an end by itself, and nothing left running."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from infra.demo import labels
from tapewatch.contract.messages import Alert, Provenance, to_rfc3339
from tapewatch.settings.stack import started_at
from tests.eventually import eventually

SECOND = 1_000_000_000


def working_with(data: Path) -> list[int]:
    """Processes that name the data folder in their command line or work below it."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (path / "cmdline").read_bytes().decode(errors="replace")
            below = (path / "cwd").resolve().is_relative_to(data)
            if (str(data) in words or below) and started_at(int(path.name)) is not None:
                found.append(int(path.name))
    return found


def assert_nothing_runs(data: Path) -> None:
    eventually(lambda: not working_with(data), what="nothing runs", seconds=10, told=lambda: working_with(data))


def demo(data: Path, *words: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tapewatch", "--data", str(data), "demo", "--json", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(data: Path, *words: str) -> dict[str, Any]:
    """The one document of a demo that ends by itself."""
    with demo(data, *words) as process:
        printed, said = process.communicate(timeout=600)
    assert process.returncode == 0, said
    assert len(printed.splitlines()) == 1
    return json.loads(printed)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


def test_demo_ends_with_the_same_alerts_in_topic_and_database(data):
    told = finished(data, "--seconds", "20", "--instruments", "40")
    assert told["drained"]
    assert told["alert_ids_equal"] is True
    assert told["alerts_in_topic"] == told["alerts_in_postgres"] == len(told["alerts"]) > 0
    rows, tables = told["rows_in"], told["tables"]
    assert rows == told["rows_used"]
    assert rows["quote"] == tables["quotes"] > 10_000
    assert {"book": tables["books"], "trade": tables["trades"], "status": tables["status"]} == {
        kind: rows[kind] for kind in ("book", "trade", "status")
    }
    assert told["features"] == tables["features"] > 0
    assert told["scores"] == tables["scores"] > 0
    assert told["first_score_s"] > 0
    kept = {"signals": "signals", "orders": "own_orders", "fills": "own_fills"}
    assert {key: told[key] for key in kept} == {key: tables[table] for key, table in kept.items()}
    assert not told["refused"]
    pumps = told["episodes"]["pump_and_dump"]
    assert 1 <= pumps["detected"] <= pumps["injected"]
    assert told["episodes"]["spoofing"]["detected"] <= told["episodes"]["spoofing"]["injected"]
    assert told["latency_ms"]["alerts"] == told["alerts_in_topic"]
    assert_nothing_runs(data)


def test_recording_shown_twice_adds_nothing_the_second_time(data, tmp_path):
    file = tmp_path / "quotes.parquet"
    seconds = np.arange(60, dtype=np.int64)
    times = pa.array(1_700_000_000 * SECOND + seconds * SECOND + 1, type=pa.timestamp("ns", tz="UTC"))
    price = 100.0 + np.round(np.sin(seconds), 2)
    table = pa.table(
        {
            "instrument": ["TEST.XXXX"] * len(seconds),
            "ts_event": times,
            "ts_recv": times,
            "bid_price": price - 0.01,
            "bid_qty": np.full(len(seconds), 5.0),
            "ask_price": price + 0.01,
            "ask_qty": np.full(len(seconds), 5.0),
            "last_price": price,
            "volume": seconds.astype(np.float64),
        }
    )
    pq.write_table(table, file)
    words = ("--recording", str(file), "--kind", "parquet", "--no-console")
    first, second = (finished(data, *words) for _ in range(2))
    assert first["market"] == "recording"
    assert first["rows_in"]["quote"] == first["rows_used"]["quote"] == first["tables"]["quotes"] == 60
    assert second["feed"] == first["feed"]
    assert second["duplicates"] > 0
    assert second["tables"] == first["tables"]
    assert second["rows_used"] == {}
    assert second["false_alerts"] is None
    assert_nothing_runs(data)


def test_terminated_demo_stops_everything_and_still_tells_what_came_out(data):
    with demo(data, "--instruments", "20") as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "rows/s" in line:
                break
        process.send_signal(signal.SIGTERM)
        printed, said = process.communicate(timeout=600)
    assert process.returncode == 0, said
    assert json.loads(printed)["alert_ids_equal"] is None
    assert_nothing_runs(data)


def test_killed_demo_leaves_nothing_running(data):
    with demo(data, "--instruments", "20") as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "rows/s" in line:
                break
        os.kill(process.pid, signal.SIGKILL)
    assert_nothing_runs(data)


def test_unreadable_recording_is_refused_before_anything_starts(data, tmp_path):
    file = tmp_path / "nothing.txt"
    file.write_text("nothing of the kind")
    with demo(data, "--recording", str(file)) as process:
        printed, said = process.communicate(timeout=600)
    assert process.returncode == 1
    assert printed == ""
    assert "nothing.txt" in said


def alert(scenario: str, instrument: str, second: int) -> Alert:
    time_ = to_rfc3339(second * SECOND)
    return Alert(
        id="0" * 32, scenario=scenario, instrument=instrument, onset=time_, decided=time_, updated=time_, state="open",
        revision=0, severity="high", score=80.0, sentence="", data_tier="trades",
        provenance=Provenance("market.x", 0, 0, 0, 0, "", {}, ""),
    )  # fmt: skip


def test_alert_counts_for_its_scenario_and_instrument_until_a_minute_after_the_end():
    pump = labels.Episode("pump_and_dump", "A.X", 100 * SECOND, 200 * SECOND)
    spoof = labels.Episode("spoofing", "B.X", 100 * SECOND, 110 * SECOND)
    news = labels.Episode("news_jump", "C.X", 100 * SECOND, 101 * SECOND)
    alerts = [
        alert("pump_and_dump", "A.X", 260),
        alert("pump_and_dump", "B.X", 105),
        alert("pump_and_dump", "C.X", 102),
        alert("kmeans_anomaly", "B.X", 105),
        alert("kmeans_anomaly", "A.X", 99),
    ]
    verdict = labels.judge(alerts, [pump, spoof], [news], 150 * SECOND)
    assert verdict.episodes["pump_and_dump"] == labels.DetectionCounts(injected=1, running=1, detected=1, anomalies=0)
    assert verdict.episodes["spoofing"] == labels.DetectionCounts(injected=1, running=0, detected=0, anomalies=1)
    assert verdict.look_alikes["news_jump"] == labels.LookAlike(injected=1, alerted=1, anomalies=0)
    assert verdict.false_alerts == {"kmeans_anomaly": 1, "pump_and_dump": 2}
