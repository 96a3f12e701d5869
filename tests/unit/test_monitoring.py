"""What a process shows of itself: figures, liveness, readiness, over HTTP."""

import http.client
import json
import threading
from collections.abc import Iterator

import msgspec
import pytest

from tapewatch.errors import TapewatchError
from tapewatch.runtime.monitoring import DECLARED, Metric, Monitor, asked, counter, gauge
from tapewatch.settings import MetricsSettings, Settings
from tests.eventually import eventually

ROWS = Metric("tapewatch_test_rows_total", "counter", "Rows.", ("type",))
LAG = Metric("tapewatch_test_lag", "gauge", "Lag.")
TAKES = Metric("tapewatch_test_seconds", "histogram", "Times.", ("what",), (0.1, 1.0))


def settings(**metrics: object) -> Settings:
    return Settings(metrics=msgspec.convert(metrics, MetricsSettings))


@pytest.fixture
def monitor() -> Iterator[Monitor]:
    with Monitor("test", settings(port=-1)) as opened:
        yield opened


def look(monitor: Monitor, path: str, method: str = "GET") -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", monitor.port, timeout=30)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_counters_gauges_and_histograms_are_shown_in_the_text_format(monitor: Monitor) -> None:
    monitor.add(ROWS, 3, "quote")
    monitor.add(ROWS, 2, "quote")
    monitor.set(LAG, 7)
    for seconds in (0.05, 0.1, 0.5, 3.0):
        monitor.distribution(TAKES, "commit").observe(seconds)
    status, text = look(monitor, "/metrics")
    lines = text.splitlines()
    assert status == 200
    assert lines[lines.index("# TYPE tapewatch_test_rows_total counter") + 1] == (
        'tapewatch_test_rows_total{type="quote"} 5'
    )
    assert "tapewatch_test_lag 7" in lines
    first = lines.index("# TYPE tapewatch_test_seconds histogram") + 1
    assert lines[first : first + 5] == [
        'tapewatch_test_seconds_bucket{what="commit",le="0.1"} 2',
        'tapewatch_test_seconds_bucket{what="commit",le="1.0"} 3',
        'tapewatch_test_seconds_bucket{what="commit",le="+Inf"} 4',
        'tapewatch_test_seconds_sum{what="commit"} 3.65',
        'tapewatch_test_seconds_count{what="commit"} 4',
    ]


def test_what_a_process_counts_anyway_is_read_when_somebody_looks(monitor: Monitor) -> None:
    counted: dict[tuple[str, ...], float] = {("quote",): 1.0}
    monitor.show(ROWS, lambda: counted)
    assert 'tapewatch_test_rows_total{type="quote"} 1' in look(monitor, "/metrics")[1]
    counted["trade",] = 4.0
    assert 'tapewatch_test_rows_total{type="trade"} 4' in look(monitor, "/metrics")[1]


def test_every_process_says_what_it_is_and_what_it_uses(monitor: Monitor) -> None:
    text = look(monitor, "/metrics")[1]
    assert 'tapewatch_build_info{process="test",version="' in text
    for name in ("process_cpu_seconds_total", "process_resident_memory_bytes", "process_start_time_seconds"):
        assert float(next(line for line in text.splitlines() if line.startswith(name)).split()[-1]) > 0


def test_process_is_ready_once_nothing_is_waited_for(monitor: Monitor) -> None:
    assert look(monitor, "/readyz") == (503, "waits for start: the process is starting\n")
    monitor.waits_for("database", "connection refused")
    monitor.ready()
    assert look(monitor, "/readyz") == (503, "waits for database: connection refused\n")
    text = look(monitor, "/metrics")[1].splitlines()
    assert "tapewatch_ready 0" in text
    assert 'tapewatch_waits_for{what="database"} 1' in text
    monitor.has("database")
    assert look(monitor, "/readyz") == (200, "ready\n")
    assert "tapewatch_ready 1" in look(monitor, "/metrics")[1].splitlines()


def test_process_whose_main_loop_stands_still_is_not_alive() -> None:
    with Monitor("test", settings(port=-1, stale_s=1.0)) as monitor:
        monitor.beat()
        assert look(monitor, "/livez")[0] == 200
        eventually(lambda: look(monitor, "/livez")[0] == 503, what="it is not alive", seconds=30)
        assert "tapewatch_alive 0" in look(monitor, "/metrics")[1].splitlines()
        monitor.beat()
        assert "tapewatch_alive 1" in monitor.exposition().splitlines()


def test_other_paths_name_the_three_that_there_are(monitor: Monitor) -> None:
    assert look(monitor, "/etc/passwd") == (404, "/metrics\n/livez\n/readyz\n")
    assert look(monitor, "/metrics?x=1")[0] == 200
    assert look(monitor, "/readyz", "HEAD") == (503, "")
    assert look(monitor, "/metrics", "POST")[0] == 501


def test_port_that_is_taken_is_an_error_that_says_what_to_do(monitor: Monitor) -> None:
    with pytest.raises(TapewatchError, match=f"cannot listen on 127.0.0.1:{monitor.port}"):
        Monitor("test", settings(port=monitor.port)).open()


def test_nothing_listens_unless_it_is_asked_for() -> None:
    with Monitor("test", settings()) as monitor:
        assert monitor.port == 0
    assert asked(Settings(), None).metrics.port == 0
    assert asked(Settings(), 0).metrics.port == -1
    assert asked(Settings(), 9400).metrics.port == 9400
    with pytest.raises(TapewatchError, match="no port"):
        asked(Settings(), 70_000)


def test_threads_that_count_together_lose_nothing(monitor: Monitor) -> None:
    def count() -> None:
        for _ in range(2_000):
            monitor.add(ROWS, 1, "quote")
            monitor.distribution(TAKES, "commit").observe(0.01)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert 'tapewatch_test_rows_total{type="quote"} 8000' in monitor.exposition()
    assert 'tapewatch_test_seconds_count{what="commit"} 8000' in monitor.exposition()


def test_label_values_from_outside_cannot_forge_a_sample(monitor: Monitor) -> None:
    monitor.add(ROWS, 1, 'x"} 1\ntapewatch_ready{a="')
    lines = look(monitor, "/metrics")[1].splitlines()
    assert [line for line in lines if line.startswith("tapewatch_ready")] == ["tapewatch_ready 0"]


def test_labels_are_those_that_were_declared(monitor: Monitor) -> None:
    with pytest.raises(ValueError, match="has the labels"):
        monitor.add(ROWS, 1)
    with pytest.raises(ValueError, match="two metrics"):
        gauge("tapewatch_ready", "Something else.")
    with pytest.raises(ValueError, match="ends with _total"):
        counter("tapewatch_rows", "Rows.")
    with pytest.raises(ValueError, match="begins with"):
        gauge("rows", "Rows.")
    assert "rows" not in DECLARED


def test_reading_that_fails_does_not_hide_the_other_figures(monitor: Monitor) -> None:
    def broken() -> dict[tuple[str, ...], float]:
        raise RuntimeError("closed")

    monitor.show(ROWS, broken)
    monitor.set(LAG, 7)
    status, text = look(monitor, "/metrics")
    assert status == 200
    assert "tapewatch_test_lag 7" in text.splitlines()
    assert "tapewatch_test_rows_total" not in text


def told(**partition: int | str) -> str:
    """Statistics of a consumer as librdkafka gives them, of one partition."""
    whole = {"fetch_state": "active", "ls_offset": 100, "next_offset": 100, "fetchq_cnt": 0, "app_offset": 90}
    return json.dumps(
        {
            "type": "consumer",
            "brokers": {"b": {"nodeid": 1, "state": "UP", "rtt": {"p99": 2000}}, "seed": {"nodeid": -1, "state": "UP"}},
            "topics": {"market.x": {"partitions": {"0": whole | partition, "-1": whole}}},
            "cgrp": {"rebalance_cnt": 2},
        }
    )


def lag_of(monitor: Monitor, text: str) -> str:
    listener = monitor.client("reader")
    assert listener is not None
    listener(text)
    found = [line for line in monitor.exposition().splitlines() if line.startswith("tapewatch_kafka_lag_records")]
    return ", ".join(found)


def test_lag_is_what_is_committed_and_not_taken(monitor: Monitor) -> None:
    labels = 'tapewatch_kafka_lag_records{client="reader",topic="market.x",partition="0"}'
    # Records wait in the client's queue: the application's place counts.
    assert lag_of(monitor, told(fetchq_cnt=10)) == f"{labels} 10"
    # Nothing waits: what lies between the last record and the end are ends of transactions.
    assert lag_of(monitor, told()) == f"{labels} 0"
    assert lag_of(monitor, told(next_offset=40)) == f"{labels} 60"
    # Never fetched: all of it.
    assert lag_of(monitor, told(next_offset=-1001, app_offset=-1001, lo_offset=5)) == f"{labels} 95"
    # Given back: nothing of ours.
    assert lag_of(monitor, told(fetch_state="none")) == ""


def test_brokers_count_that_are_connected_under_their_own_name(monitor: Monitor) -> None:
    lag_of(monitor, told())
    lines = monitor.exposition().splitlines()
    assert 'tapewatch_kafka_brokers_up{client="reader"} 1' in lines
    assert 'tapewatch_kafka_round_trip_seconds{client="reader",broker="1"} 0.002' in lines
    assert 'tapewatch_kafka_rebalances_total{client="reader"} 2' in lines


def test_clients_tell_nothing_where_nobody_may_look() -> None:
    assert Monitor("test", settings()).client("reader") is None
