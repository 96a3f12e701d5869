"""Traces: ids that every process knows, spans as a collector gets them, and nothing at all where none is named."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from sinks.notify import sender
from sinks.notify.outcome import Outcome
from sinks.store_spans import stored
from tapewatch.errors import TapewatchError
from tapewatch.runtime import tracing
from tapewatch.runtime.monitoring import Monitor
from tapewatch.runtime.tracing import Step, Tracer
from tapewatch.settings import Settings, TracingSettings
from tests.integration.span_collector import Collector

A, B = "a" * 32, "b" * 32
ALERT = {"id": A, "revision": 2, "scenario": "pump_and_dump", "instrument": "X.XTST", "score": 3.0}


@pytest.fixture
def collector() -> Iterator[Collector]:
    found = Collector()
    yield found
    found.close()


@pytest.fixture
def tracer(collector: Collector) -> Tracer:
    found = tracing.tracer("sink_notify", Settings(tracing=TracingSettings(endpoint=collector.url)))
    assert found is not None
    return found


def body(kind: str, data: object) -> bytes:
    return msgspec.json.encode({"type": kind, "timestamp": "2026-01-01T00:00:00Z", "data": data})


def test_ids_are_functions_of_the_alert_and_tell_everything_apart() -> None:
    assert tracing.trace_id(A) == tracing.trace_id(A) != tracing.trace_id(B)
    said = {tracing.span_id(*each) for each in [(A, 0, "engine"), (A, 1, "engine"), (A, 0, "frame"), (B, 0, "engine")]}
    assert len(said | {tracing.span_id(A, 0, "webhook", "m 1"), tracing.span_id(A, 0, "webhook", "m 2")}) == 6
    header = tracing.traceparent(A, 0, "engine")
    assert header == f"00-{tracing.trace_id(A):032x}-{tracing.span_id(A, 0, 'engine'):016x}-01"


def test_collector_gets_a_span_with_its_parent_and_its_failure(tracer: Tracer, collector: Collector) -> None:
    tracer.send(Step(tracing.ENGINE, A, 2, 1000, 3000, "CONSUMER", {"tapewatch.alert": A, "n": 7}), "engine")
    tracer.send(Step(tracing.WEBHOOK, A, 2, 4000, 5000, "CLIENT", more="m 4000", problem="HTTP 503"))
    tracer.close()
    engine, webhook = sorted(collector.of(tracing.trace_id(A)), key=lambda span: span.start_ns)
    assert (engine.service, engine.name, engine.start_ns, engine.end_ns) == ("tapewatch-engine", "engine", 1000, 3000)
    assert engine.attributes == {"tapewatch.alert": A, "n": "7"}
    assert engine.parent == f"{tracing.span_id(A, 2, tracing.FRAME):016x}"
    assert (webhook.service, webhook.parent, webhook.failed) == ("tapewatch-sink-notify", engine.span, True)
    assert not engine.failed


def test_headers_of_a_file_reach_the_collector(collector: Collector, tmp_path: Path) -> None:
    file = tmp_path / "headers"
    file.write_text("Authorization: Bearer s3cret\n\nx-team: desk\n")
    chosen = TracingSettings(endpoint=collector.url, headers_file=str(file))
    tracer = Tracer("engine", Settings(tracing=chosen))
    tracer.send(Step(tracing.FRAME, A, 0, 1, 2))
    tracer.close()
    assert collector.headers[0]["authorization"] == "Bearer s3cret"
    assert collector.headers[0]["x-team"] == "desk"
    with pytest.raises(TapewatchError, match="headers_file"):
        Tracer("engine", Settings(tracing=msgspec.structs.replace(chosen, headers_file=str(tmp_path / "none"))))


def test_stores_span_is_of_each_alert_and_of_nothing_that_is_none(tracer: Tracer, collector: Collector) -> None:
    stored(tracer, tracing.POSTGRES, [msgspec.json.encode(ALERT), b"{", b"\xff"], 1)
    tracer.close()
    (span,) = collector.spans
    assert span.attributes["tapewatch.instrument"] == "X.XTST"
    assert span.parent == f"{tracing.span_id(A, 2, tracing.ENGINE):016x}"


def test_digest_has_a_span_of_each_alert_and_the_header_of_the_first(tracer: Tracer, collector: Collector) -> None:
    whole = body("alerts.digest", {"reason": "digest", "count": 2, "alerts": [ALERT, ALERT | {"id": B}]})
    sender.attempted(tracer, whole, "m", 5, Outcome(200))
    tracer.close()
    assert {span.trace for span in collector.spans} == {f"{tracing.trace_id(each):032x}" for each in (A, B)}
    assert sender.header(whole, "m", 5)["traceparent"].split("-")[2] == collector.of(tracing.trace_id(A))[0].span


def test_message_that_is_of_no_alert_has_neither_span_nor_header() -> None:
    for other in (body("canary.missed", {"id": A, "revision": 1}), b"{}", body("alerts.digest", {"alerts": []})):
        assert sender.alerts_of(other) == []
        assert sender.header(other, "m", 1) == {}


def test_collector_that_is_away_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "CLOSE_S", 0.2)
    away = Tracer("engine", Settings(tracing=TracingSettings(endpoint="http://127.0.0.1:1/v1/traces")))
    away.send(Step(tracing.FRAME, A, 0, 1, 2))
    away.close()


@pytest.mark.slow
def test_without_a_collector_nothing_is_made_or_imported() -> None:
    assert Monitor("engine", Settings()).tracer is None
    code = (
        "import sys, streams.engine.process, sinks.notify.service, sinks.postgres.sink\n"
        "from streams.engine.process import Engine\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
