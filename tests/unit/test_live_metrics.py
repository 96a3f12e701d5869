"""A live feed's figures."""

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np

from producers.base.clock_offset import ClockOffset
from producers.base.collector import Collector
from producers.base.metrics import FeedMetrics, Latencies
from tapewatch.clock import NANOS
from tapewatch.contract.rows import StatusKind
from tapewatch.runtime.exposition import escaped, sample_line

AT = 1_700_000_000 * NANOS


@dataclass
class Link:
    name: str
    connections: int
    losses: int


@dataclass
class Service:
    host: str
    answers: int
    failures: Counter[str]


def counted(*batches: list[tuple[str, int]]) -> tuple[FeedMetrics, Collector]:
    """Metrics of trades (instrument, second), batch by batch."""
    collector = Collector()
    metrics = FeedMetrics("binance", collector)
    for batch in batches:
        for instrument, second in batch:
            at = AT + second * NANOS
            collector.trades.append((collector.code(instrument), at - 1_000, at, 1.0, 1.0, 1, 0, None))
        for rows in collector.take():
            metrics.rows(rows)
    return metrics, collector


def test_rows_are_counted_by_instrument_and_type() -> None:
    metrics, collector = counted([("A.X", 1), ("B.X", 2), ("A.X", 3)], [("C.X", 4), ("A.X", 5)])
    collector.status(collector.code("B.X"), StatusKind.GAP, "why", AT)
    collector.status(collector.code("B.X"), StatusKind.RESYNC, "again", AT)
    for rows in collector.take():
        metrics.rows(rows)
    found = metrics.as_dict()
    assert found["rows"] == {"status": 2, "trade": 5}
    assert (found["gaps"], found["resyncs"], found["halts"]) == (1, 1, 0)
    assert {name: one["rows"] for name, one in found["instruments"].items()} == {
        "A.X": {"trade": 3},
        "B.X": {"trade": 1, "status": 2},
        "C.X": {"trade": 1},
    }
    assert found["instruments"]["A.X"]["last_received_ns"] == AT + 5 * NANOS
    assert found["instruments"]["A.X"]["last_event_ns"] == AT + 5 * NANOS - 1_000


def test_rows_of_several_dictionaries_are_told_apart() -> None:
    metrics, _ = counted([("A.X", 1), ("B.X", 2)])
    other = Collector()
    for name in ("B.X", "D.X"):
        other.trades.append((other.code(name), AT, AT, 1.0, 1.0, 1, 0, None))
    metrics.rows(other.take()[0])
    assert {name: one["rows"]["trade"] for name, one in metrics.as_dict()["instruments"].items()} == {
        "A.X": 1,
        "B.X": 2,
        "D.X": 1,
    }


def test_what_the_collector_counts_is_shown() -> None:
    metrics, collector = counted()
    collector.messages["trade"] += 3
    collector.dropped["repeated"] += 1
    collector.violations["crossed"] += 1
    collector.refuse("malformed", "trade", b"x", AT)
    found = metrics.as_dict()
    assert found["messages"] == {"trade": 3}
    assert found["dropped"] == {"repeated": 1}
    assert found["refused"] == {"malformed": 1}
    assert found["violations"] == {"crossed": 1}


SAMPLE = re.compile(r'[a-z_]+(\{[a-z_]+="(?:[^"\\\n]|\\.)*"(?:,[a-z_]+="(?:[^"\\\n]|\\.)*")*\})? [-+0-9.eInf]+')


def test_exposition_follows_the_text_format() -> None:
    metrics, collector = counted([("A.X", 1), ("B.X", 2)])
    collector.dropped['odd "reason"\nwith \\'] += 1
    metrics.links = [Link("link-1", 3, 2)]
    metrics.services = [Service("api.example", 9, Counter({"timeout": 4}))]
    metrics.offset = ClockOffset()
    metrics.offset.round_trip(AT, AT + 2, AT + 1 + NANOS)
    metrics.acknowledged(np.array([AT - 3_000_000, AT - 70_000_000]), AT)
    text = metrics.exposition()
    assert text.endswith("\n")
    typed = set()
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            assert line.split()[2] not in typed
            typed.add(line.split()[2])
        elif not line.startswith("# HELP "):
            assert SAMPLE.fullmatch(line), line
    lines = text.splitlines()
    assert 'tapewatch_producer_rows_total{feed="binance",instrument="A.X",type="trade"} 1' in lines
    assert 'tapewatch_producer_dropped_total{feed="binance",reason="odd \\"reason\\"\\nwith \\\\"} 1' in lines
    assert 'tapewatch_producer_losses_total{feed="binance",link="link-1"} 2' in lines
    assert 'tapewatch_producer_request_failures_total{feed="binance",host="api.example",reason="timeout"} 4' in lines
    assert 'tapewatch_producer_clock_offset_seconds{feed="binance",method="round_trip"} 1' in lines
    assert 'tapewatch_producer_ack_latency_seconds_bucket{feed="binance",le="0.004194304"} 1' in lines
    assert 'tapewatch_producer_ack_latency_seconds_bucket{feed="binance",le="+Inf"} 2' in lines
    assert 'tapewatch_producer_ack_latency_seconds_count{feed="binance"} 2' in lines


def test_label_values_are_escaped() -> None:
    assert escaped('a"b\\c\nd\ud800') == 'a\\"b\\\\c\\nd?'
    assert sample_line("x", {}, 2.5) == "x 2.5"


def test_percentiles_lie_within_three_per_cent_above() -> None:
    rng = np.random.default_rng(1)
    durations = np.exp(rng.normal(14.0, 2.0, 50_000)).astype(np.int64) + 1
    found = Latencies()
    for part in np.array_split(durations, 7):
        found.add(part)
    for percent in (1.0, 50.0, 99.0, 99.9, 100.0):
        true = np.percentile(durations, percent, method="inverted_cdf")
        assert true <= found.percentile_ns(percent) <= true * (1 + 1 / 32) + 1
    assert found.count == 50_000
    assert found.total_ns == durations.sum()
    assert found.percentile_ns(100.0) == durations.max()
    for seconds, shorter in found.below_octaves(10, 20):
        assert shorter == np.count_nonzero(durations < seconds * 1e9)


def test_durations_of_any_length_are_counted() -> None:
    found = Latencies()
    assert found.percentile_ns(99.0) == 0
    found.add(np.empty(0, np.int64))
    found.add(np.array([-5, 0, 1, 2**62]))
    assert found.count == 4
    assert found.as_dict()["longest_ms"] == round(2**62 / 1e6, 3)
