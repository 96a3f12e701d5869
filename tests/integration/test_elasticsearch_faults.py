"""The Elasticsearch sink while its server fails: nothing lost, nothing doubled, and it goes on by itself."""

import os
import signal
import subprocess
import threading

import msgspec
import pytest

from benchmarks.sinks.fault_proxy import FAULTS, FaultProxy
from sinks.elasticsearch import ElasticsearchSink
from sinks.elasticsearch.bulk import Bulk, Progress
from sinks.elasticsearch.bulk_items import alert_item
from sinks.elasticsearch.client import connect
from tapewatch.contract.messages import Alert, encode
from tests.eventually import eventually, runs
from tests.integration.at_work import at_work
from tests.integration.elasticsearch_kept import IndexReader, alert, own, run_sink, send
from tests.integration.postgres_kept import environment, importable


def story(mark: str, alerts: int, revisions: int) -> list[Alert]:
    """Alerts of which each has as many revisions, in an order that mixes them."""
    return [alert(number, revision, mark) for revision in range(revisions) for number in range(alerts)]


@pytest.fixture
def proxied(settings, elasticsearch):
    """Settings whose server lies behind a proxy that fails most of the time, in small requests."""
    with FaultProxy(elasticsearch, share=0.4, seed=7).at_work() as proxy:
        yield proxy, own(settings, proxy.url, bulk_bytes=16_000)


# Takes some 8 s: waits between attempts are what it is about.
def test_every_fault_of_the_server_loses_nothing_and_doubles_nothing(proxied, elasticsearch):
    proxy, mine = proxied
    said = story("FAULT", 40, 3)
    send(mine, said)
    summary = run_sink(mine)
    asked = IndexReader(mine, elasticsearch)
    assert asked.revisions(said) == {each.id: 2 for each in said}
    assert sum(proxy.counts[fault] for fault in FAULTS) > 3, proxy.counts
    assert summary.retried > 0
    assert not summary.dead_letters.get("not_storable")
    assert len(asked.documents("alerts", query={"wildcard": {"tapewatch.symbol": "FAULT"}})) == 40


def test_killed_server_is_waited_for_with_what_was_read_bounded(settings, elasticsearch_node):
    mine = own(settings, elasticsearch_node.url, bulk_bytes=8_000)
    before, later = story("DOWN", 20, 2), story("LATER", 30, 2)
    send(mine, before)
    sink, told = ElasticsearchSink(mine), list[Progress]()

    def run(stop: threading.Event) -> None:
        sink.run(stop, on_progress=told.append)

    with at_work(run) as has_failed:
        asked = IndexReader(mine)
        asked.await_documents("alerts", 20)
        elasticsearch_node.kill()
        send(mine, later)
        eventually(lambda: any(each.trouble for each in told), what="a trouble is told", seconds=120, pause=0.1)
        assert not has_failed()
        elasticsearch_node.start()
        wanted = {each.id: 1 for each in later}
        eventually(lambda: asked.revisions(later) == wanted, what="the later alerts", seconds=180, pause=0.1)
    assert asked.revisions(before) == {each.id: 1 for each in before}


# Takes some 6 s: three processes begin anew.
def test_killed_sink_goes_on_where_it_was_and_each_document_is_there_once(settings, elasticsearch):
    mine = own(settings, elasticsearch, bulk_bytes=4_000)
    said = story("KILL", 60, 3)
    send(mine, said)
    chosen = mine.elasticsearch
    variables = environment(mine) | {
        "TAPEWATCH_ELASTICSEARCH_URL": chosen.url,
        "TAPEWATCH_ELASTICSEARCH_PREFIX": chosen.prefix,
        "TAPEWATCH_ELASTICSEARCH_GROUP": chosen.group,
        "TAPEWATCH_ELASTICSEARCH_BULK_BYTES": str(chosen.bulk_bytes),
    }
    asked = IndexReader(mine)
    for least in (1, 40):
        with subprocess.Popen(importable("sink", "elasticsearch"), env=variables, stderr=subprocess.DEVNULL) as sink:

            def is_at_work(sink: "subprocess.Popen[bytes]" = sink, least: int = least) -> bool:
                there = bool(asked.client.indices.exists(index=f"{chosen.prefix}-alerts"))
                return runs(sink) and there and len(asked.documents("alerts")) >= least

            eventually(is_at_work, what=f"{least} alerts are kept", pause=0.02)
            os.kill(sink.pid, signal.SIGKILL)
    last = subprocess.run(
        importable("sink", "elasticsearch", "--until-idle", "0.3", "--json"),
        env=variables,
        capture_output=True,
        check=True,
    )
    assert "documents" in msgspec.json.decode(last.stdout)
    assert asked.revisions(said) == {each.id: 2 for each in said}
    assert len(asked.documents("alerts", query={"term": {"tapewatch.symbol": "KILL"}})) == 60


def test_bulk_is_cut_by_bytes_and_one_too_large_alone_is_refused(settings, elasticsearch):
    mine = own(settings, elasticsearch)
    run_sink(mine)
    said = [alert(number, mark="CUT") for number in range(20)]
    items = [alert_item(mine.elasticsearch.prefix, each, ("alerts", 0, 0), encode(each)) for each in said]
    settled = Bulk(connect(mine), 3 * items[0].size + 10, lambda _: None).send(items, threading.Event())
    assert settled.requests == 7
    assert settled.kept == {"alerts": 20}
    assert Bulk(connect(mine), 10, lambda _: None).send(items[:2], threading.Event()).requests == 2
