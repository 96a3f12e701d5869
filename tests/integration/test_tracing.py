"""An alert's trace over real servers: frame, engine, PostgreSQL, webhook, each process sending its own spans."""

import threading
import uuid
from collections.abc import Iterator

import msgspec
import pytest

from sinks.notify import NotifySink
from sinks.postgres import PostgresSink
from streams.engine.process import Engine
from tapewatch.contract import topics
from tapewatch.desk.subscriptions import Filter
from tapewatch.runtime import tracing
from tapewatch.settings import Settings, TracingSettings
from tapewatch.settings.delivery import NotifySettings
from tests.faults import engine_runs as runs
from tests.integration.at_work import at_work
from tests.integration.engine_feed import Feed, alert_of
from tests.integration.pumped_market import pumped_market
from tests.integration.span_collector import CollectedSpan, Collector
from tests.integration.webhook_receiver import Receiver, subscribed


@pytest.fixture
def collector() -> Iterator[Collector]:
    found = Collector()
    yield found
    found.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.close()


def ended(sink: NotifySink | PostgresSink, idle_s: float = 1.0) -> None:
    """Let a sink read to the end, and its spans leave."""
    with sink.monitor:
        sink.run(threading.Event(), until_idle=idle_s)


def test_alert_is_traced_from_its_frame_to_the_webhook_and_no_byte_differs(
    ours: Settings, collector: Collector, receiver: Receiver, tmp_path
) -> None:
    (tmp_path / "notify.key").write_bytes(b"kPc5BvFKn3IwYJvBQJ8P1Vd9bNdB4P9eYyqkqVfN0bE=\n")
    notify = NotifySettings(
        allow_networks=("127.0.0.0/8",), allow_http=True, case_wait_s=0.0, retry_s=(0.05,) * 5,
        key_file=str(tmp_path / "notify.key"),
    )  # fmt: skip
    traced = msgspec.structs.replace(ours, notify=notify, tracing=TracingSettings(endpoint=collector.url))
    coin = f"T{uuid.uuid4().hex[:8].upper()}.XPMP"
    subscribed(traced, receiver.url, filter=Filter(instruments=(coin,)))
    receiver.answer = lambda number, headers, body: (200 if number else 503, {})
    feed = Feed(traced, [coin])
    engine = Engine(feed.settings)
    with engine.monitor, at_work(engine.run):
        for part in pumped_market(coin):
            feed.send(part)
        feed.wait()
    ended(PostgresSink(traced), 2.0)
    ended(NotifySink(traced), 2.0)

    first = next(alert_of(message) for message in feed.written(topics.ALERTS))
    spans = [
        span for span in collector.of(tracing.trace_id(first["id"])) if span.attributes["tapewatch.revision"] == "0"
    ]
    named: dict[str, list[CollectedSpan]] = {}
    for span in spans:
        named.setdefault(span.name, []).append(span)
    assert named.keys() == {"frame", "engine", "postgres", "webhook"}
    (frame,), (decided,), (stored,) = named["frame"], named["engine"], named["postgres"]
    assert (frame.parent, decided.parent, stored.parent) == ("", frame.span, decided.span)
    assert frame.service == "tapewatch-producer" and decided.service == "tapewatch-engine"
    assert decided.attributes["messaging.kafka.offset"] == str(first["provenance"]["updated_offset"])
    assert decided.start_ns >= frame.end_ns - 1_000_000
    assert {span.parent for span in named["webhook"]} == {decided.span}
    assert sorted(span.failed for span in named["webhook"]) == [False, True]
    told = [headers["traceparent"].split("-") for headers, _, _ in receiver.got]
    assert {parts[1] for parts in told} >= {frame.trace}
    assert {parts[2] for parts in told} >= {span.span for span in named["webhook"]}

    found: runs.Rows = {}
    wanted: runs.Rows = {}
    for record in feed.rows(topics.ALERTS):
        runs.collect(found, topics.ALERTS, record.value, record.headers)
        assert not [name for name, _ in record.headers if name == "traceparent"]
    for record in feed.driven():
        if record.topic == topics.ALERTS:
            runs.collect(wanted, topics.ALERTS, record.value, record.headers)
    runs.assert_same({0: found}, {0: wanted})
