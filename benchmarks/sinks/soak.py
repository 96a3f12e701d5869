"""The soak job `elasticsearch`: alerts and other data while the server is killed and fails; then everything agrees."""

import os
import re
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import numpy as np

from benchmarks.engine_run import START_NS, command, environment
from benchmarks.figures import Machine, machine, versions
from benchmarks.sinks.fault_proxy import FAULTS, FaultProxy
from benchmarks.sinks.rates import scores
from infra import migrations
from infra.embedded import elasticsearch
from sinks.elasticsearch.client import connect
from sinks.reconcile import Reconciler, Report
from sinks.reconcile.ledger import STORES
from tapewatch.clock import NANOS, WALL
from tapewatch.contract import topics
from tapewatch.contract.messages import Alert, Provenance, alert_id, encode, to_rfc3339
from tapewatch.runtime import kafka
from tapewatch.settings import Settings
from tapewatch.settings.delivery import ElasticsearchSettings
from tapewatch.settings.stack import Addresses

ALERTS_PER_S, DOCUMENTS_PER_S = 50, 5_000
FRAME_ROWS = 250
REVISIONS = 2
"""Of each alert: one alert in two a new one."""

FAULT_SHARE = 0.3
CALM = 0.08
"""Of the time before the faults, in which latency is measured; the same at the end, without it."""

GRACE_S = 5.0
"""Alerts of the last seconds before the faults are not waited for: the faults would be in their times."""

KILL_EVERY_S = 60.0
SEARCH_P99_S = 1.5
SLOWED_LAG = 5_000
"""Records that PostgreSQL's sink may stand behind before it counts as slowed."""

SETTLE_S = 180.0
FOREVER = 2**62
_LAG = re.compile(r"lag (\d+)")
PREFIX = "soak"


class ElasticsearchSoak(msgspec.Struct, frozen=True):
    """The JSON document of the job.

    latency_ms : from an alert's sending to its being found by a search, in the calm time before the faults
    faults : of bulk requests, by kind; kills : of the server; postgres_lag : records, most behind, calm and in faults
    postgres_waited : whether PostgreSQL's sink ever reported trouble; differences : by reconcile, at the end
    """

    job: str
    minutes: float
    passed: bool
    alerts: int
    messages: int
    documents: int
    latency_ms: dict[str, float]
    searched: int
    faults: dict[str, int]
    kills: int
    postgres_lag: dict[str, int]
    postgres_waited: bool
    differences: int
    found: dict[str, dict[str, int]]
    versions: dict[str, str]
    machine: Machine


def markdown(result: ElasticsearchSoak) -> str:
    """For people."""
    faults = ", ".join(f"{count} {name}" for name, count in result.faults.items())
    latency = ", ".join(f"{name} {value:.0f} ms" for name, value in result.latency_ms.items())
    return "\n".join(
        (
            f"- {result.minutes:g} minutes, {result.alerts:,} alerts in {result.messages:,} messages, "
            f"{result.documents:,} other documents",
            f"- from sending to search, {result.searched:,} alerts in calm: {latency}",
            f"- {result.kills} kills of the server; bulk requests: {faults}",
            f"- PostgreSQL's sink: at most {result.postgres_lag} records behind, "
            f"{'reported trouble' if result.postgres_waited else 'no trouble'}",
            f"- reconcile: {result.differences} differences",
            f"- {'passed' if result.passed else 'NOT PASSED'}",
        )
    )


def run(settings: Settings, minutes: float) -> ElasticsearchSoak:
    """Load, faults, then reconcile. settings : of a new stack with Elasticsearch"""
    facts, seconds = machine(), minutes * 60
    url = settings.elasticsearch_url()
    own = msgspec.structs.replace(settings, elasticsearch=ElasticsearchSettings(url=url, prefix=PREFIX, group=PREFIX))
    migrations.migrate(own.postgres_url())
    kafka.create_topics(own, [*topics.shared_topics(own.topics), *topics.case_topics(own.topics)])
    load, watch, phase = Load(own), Searches(own), Phase()
    with (
        FaultProxy(url, 0.0, seed=1).at_work() as proxy,
        _sink(own, "postgres", phase),
        _sink(
            own,
            "elasticsearch",
            Phase(),
            ELASTICSEARCH_URL=proxy.url,
            ELASTICSEARCH_PREFIX=PREFIX,
            ELASTICSEARCH_GROUP=PREFIX,
        ),
    ):
        _await_index(own)
        kills = _act(own, seconds, load, watch, phase, proxy)
        report = _agreed(own)
    latency = watch.percentiles()
    slowed = phase.waited or phase.most["faults"] > max(SLOWED_LAG, 2 * phase.most["calm"])
    return ElasticsearchSoak(
        job="elasticsearch",
        minutes=minutes,
        passed=report.differences == 0 and not slowed and latency.get("p99", 1e9) <= SEARCH_P99_S * 1000,
        alerts=load.alerts,
        messages=load.messages,
        documents=load.documents,
        latency_ms=latency,
        searched=len(watch.waits),
        faults={name: proxy.counts[name] for name in ("bulk", *FAULTS)},
        kills=kills,
        postgres_lag=dict(phase.most),
        postgres_waited=phase.waited,
        differences=report.differences,
        found={name: store.differences for name, store in report.stores.items()},
        versions=versions(("tapewatch", "confluent-kafka", "elasticsearch")),
        machine=facts,
    )


def _agreed(settings: Settings) -> Report:
    """The last comparison of topic and stores: without a difference, or when patience ends."""
    reconciler = Reconciler(settings, STORES, settle_s=2.0)
    deadline = WALL.elapsed() + int(SETTLE_S * NANOS)
    while not elasticsearch.is_healthy(settings.elasticsearch.url) and WALL.elapsed() < deadline:
        WALL.sleep(0.2)
    try:
        report = reconciler.run(0, FOREVER, repair=False)
        while report.differences and WALL.elapsed() < deadline:
            report = reconciler.run(0, FOREVER, repair=False)
        return report
    finally:
        reconciler.close()


def _act(settings: Settings, seconds: float, load: "Load", watch: "Searches", phase: "Phase", proxy: FaultProxy) -> int:
    """Calm, faults, calm; how often the server was killed."""
    began, kills, next_kill = WALL.elapsed(), 0, 0.0
    while (now := (WALL.elapsed() - began) / NANOS) < seconds:
        load.up_to(now, watch if now < CALM * seconds - GRACE_S else None)
        faulty = CALM * seconds <= now < (1 - CALM) * seconds
        phase.name, proxy.share = ("faults", FAULT_SHARE) if faulty else ("calm", 0.0)
        if faulty and now >= next_kill:
            next_kill, kills = now + KILL_EVERY_S, kills + 1
            os.kill(Addresses.running(settings.data_path).pids["elasticsearch"], signal.SIGKILL)
        if not faulty:
            watch.look()
        WALL.sleep(0.02)
    load.flush()
    return kills


class Load:
    """Alerts and other documents at their rates."""

    def __init__(self, settings: Settings) -> None:
        self._producer = kafka.producer(settings, linger_ms=5)
        self._partitions = settings.topics.market_partitions
        self.alerts = self.messages = self.documents = 0

    def up_to(self, seconds: float, watch: "Searches | None") -> None:
        """Send what is due by then. watch : told of every new alert"""
        while self.messages < seconds * ALERTS_PER_S:
            revision = self.messages % REVISIONS
            alert = _alert(self.messages // REVISIONS, revision)
            if revision == 0:
                self.alerts += 1
                if watch is not None:
                    watch.sent[alert.id] = WALL.elapsed()
            self._producer.produce(topics.ALERTS, encode(alert), key=alert.id, partition=self.alerts % self._partitions)
            self.messages += 1
        headers = [("feed", b"soak"), ("partition", b"0"), ("type", b"scores")]
        while self.documents < seconds * DOCUMENTS_PER_S:
            number = self.documents // FRAME_ROWS
            names = [f"S{number % 8 * FRAME_ROWS + at:05d}.SOAK" for at in range(FRAME_ROWS)]
            value = scores(names, START_NS + number * NANOS, [0.9] * FRAME_ROWS)
            self._producer.produce(topics.SCORES, value, partition=number % self._partitions, headers=headers)
            self.documents += FRAME_ROWS
        self._producer.poll(0)

    def flush(self) -> None:
        """Until all is acknowledged."""
        self._producer.flush(60)


class Searches:
    """When each alert is found by a search. sent : by id, not found yet; waits : s, of those found"""

    def __init__(self, settings: Settings) -> None:
        self._client = connect(settings)
        self.sent: dict[str, int] = {}
        self.waits: list[float] = []

    def look(self) -> None:
        """Search for those not found yet."""
        from elasticsearch import ApiError, TransportError

        if not self.sent:
            return
        wanted = list(self.sent)[:500]
        try:
            found = self._client.search(
                index=f"{PREFIX}-alerts", query={"terms": {"event.id": wanted}}, size=len(wanted), source=False
            )
        except (ApiError, TransportError):
            return
        now = WALL.elapsed()
        for hit in found["hits"]["hits"]:
            self.waits.append((now - self.sent.pop(hit["_id"])) / NANOS)

    def percentiles(self) -> dict[str, float]:
        """Milliseconds."""
        if not self.waits:
            return {}
        return {f"p{level}": round(float(np.percentile(self.waits, level)) * 1000, 1) for level in (50, 99, 100)}


class Phase:
    """What goes on, and how far a sink stood behind in it."""

    def __init__(self) -> None:
        self.name, self.waited = "calm", False
        self.most: Counter[str] = Counter()

    def read(self, line: str) -> None:
        """A line of a sink's progress."""
        found = _LAG.search(line)
        if found:
            self.most[self.name] = max(self.most[self.name], int(found[1]))
        self.waited = self.waited or "waiting" in line


@contextmanager
def _sink(settings: Settings, store: str, phase: Phase, **more: str) -> Iterator[None]:
    """A sink at work; its progress is read."""
    with subprocess.Popen(  # noqa: S603 - our own words
        command("sink", store), env=environment(settings, **more), stderr=subprocess.PIPE, text=True
    ) as process:

        def follow() -> None:
            for line in process.stderr or ():
                phase.read(line)

        reader = threading.Thread(target=follow, daemon=True)
        reader.start()
        try:
            yield
        finally:
            process.terminate()
            process.wait()
            reader.join(10)


def _await_index(settings: Settings) -> None:
    """Until the sink has made the alerts' index."""
    client = connect(settings)
    while not client.indices.exists(index=f"{PREFIX}-alerts"):
        WALL.sleep(0.1)
    client.close()


def _alert(number: int, revision: int) -> Alert:
    """An alert of the load."""
    onset, instrument = START_NS + number * NANOS, f"S{number % 2000:05d}.SOAK"
    return Alert(
        id=alert_id("soak", instrument, onset),
        scenario="soak",
        instrument=instrument,
        onset=to_rfc3339(onset),
        decided=to_rfc3339(onset),
        updated=to_rfc3339(onset + revision * NANOS),
        state="open" if revision == 0 else "closed",
        revision=revision,
        severity="low",
        score=10.0 + revision,
        sentence=f"Load, revision {revision}.",
        data_tier="quotes",
        provenance=Provenance(
            topic="market.soak",
            partition=0,
            onset_offset=number,
            decided_offset=number,
            updated_offset=number,
            configuration="",
            models={},
            build="",
        ),
    )
