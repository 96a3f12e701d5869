"""What a demo came to: rows in and kept, alerts in topic and table compared, episodes found, latencies."""

from collections import Counter
from contextlib import closing
from typing import Any, Literal

import msgspec
import numpy as np
from confluent_kafka import Consumer, Message

from infra.demo.follow import Follower
from infra.demo.gauges import TABLES, TradingState, connect
from infra.demo.labels import DetectionCounts, LookAlike, Verdict
from infra.demo.plan import Plan
from infra.demo.sources import SourceSummary
from tapewatch.contract import messages, topics
from tapewatch.contract.frames import FrameHeaders
from tapewatch.contract.messages import Alert
from tapewatch.errors import ContractError
from tapewatch.runtime import kafka
from tapewatch.settings import Settings


class ProducerSummary(msgspec.Struct, frozen=True):
    """What the producer says at its end, as far as the summary needs it. refused : lines of a recording, by reason."""

    rows: dict[str, int] = {}
    heartbeats: int = 0
    frames: int = 0
    followed: str = ""
    refused: dict[str, int] = {}


class TradingSummary(msgspec.Struct, frozen=True):
    """Paper trading of this run. signals : actions of policies; result : by currency"""

    signals: int
    orders: int
    fills: int
    result: dict[str, float]


def told_of(signals: int, trading: TradingState | None) -> TradingSummary:
    """What was traded; nothing where the paper broker was never started."""
    if trading is None:
        return TradingSummary(signals, 0, 0, {})
    return TradingSummary(signals, len(trading.orders), trading.fills, trading.result)


class Latency(msgspec.Struct, frozen=True):
    """From a frame's `produced_at` to the record of the alert that it decided, ms."""

    alerts: int
    p50: float
    p99: float
    max: float


class AlertSummary(msgspec.Struct, frozen=True):
    """An alert of this demo."""

    id: str
    scenario: str
    instrument: str
    severity: str
    score: float
    decided: str
    revision: int
    sentence: str


class Summary(msgspec.Struct, frozen=True):
    """The end of a demo.

    rows_in : rows that the producer sent, by type, heartbeats among the status rows; refused : by reason, lines of a
        recording included; duplicates : frames that the engine had seen before; rows_used : by type
    signals, orders, fills : of policies and of the paper broker in this run; paper_pnl : realised and unrealised less
        fees and taxes, by currency
    tables : rows of this feed in PostgreSQL; counted : False where they are only what PostgreSQL's statistics tell
    alerts_in_topic, alerts_in_postgres : distinct ids of this feed; alert_ids_equal : whether these are the same ids at
        the same revisions, None where engine or sink had not come to the end; differing : ids that are not
    episodes, look_alikes : injected, by scenario; false_alerts : alerts that no injected manipulation explains, None
        for a recording, which has no labels; false_alerts_by_scenario : the same by the alerts' scenario
    latency_ms : of all alerts of this run; latency_live_ms : of those decided once the engine had caught up
    first_score_s : from the start of this process to the first readable score, None where there was none
    live_sources : what every live source came to, with --live-sim; live_alerts : alerts of their feeds, by market topic
    console : where the web console was, empty where there was none
    seconds : the show's length, s; drained : whether engine, paper broker and sink had taken everything
    """

    feed: str
    topic: str
    market: Literal["synthetic", "recording"]
    rows_in: dict[str, int]
    heartbeats: int
    refused: dict[str, int]
    duplicates: int
    rows_used: dict[str, int]
    features: int
    scores: int
    signals: int
    orders: int
    fills: int
    paper_pnl: dict[str, float]
    tables: dict[str, int]
    counted: bool
    alerts_in_topic: int
    alerts_in_postgres: int
    alert_ids_equal: bool | None
    differing: list[str]
    alerts: list[AlertSummary]
    episodes: dict[str, DetectionCounts]
    look_alikes: dict[str, LookAlike]
    false_alerts: int | None
    false_alerts_by_scenario: dict[str, int]
    latency_ms: Latency | None
    latency_live_ms: Latency | None
    first_score_s: float | None
    stack_s: float
    seconds: float
    drained: bool
    data: str
    verify: str
    live_sources: dict[str, SourceSummary] = {}
    live_alerts: dict[str, int] = {}
    console: str = ""


class TopicAlerts(msgspec.Struct):
    """Alerts of one feed as they lie in the topic. newest : by id; opened_ms : CreateTime of revision 0, ms."""

    newest: dict[str, Alert] = {}
    opened_ms: dict[str, int] = {}


def alerts_in_topic(settings: Settings, topic: str) -> TopicAlerts:
    """Read the alerts that a market topic gave rise to."""
    kept = TopicAlerts({}, {})

    def take(message: Message) -> None:
        try:
            alert = messages.decode(Alert, message.value() or b"")
        except ContractError:
            return
        if alert.provenance.topic == topic:
            kept.newest[alert.id] = alert
            kept.opened_ms.setdefault(alert.id, message.timestamp()[1])

    kafka.read_all(settings, topics.ALERTS, take)
    return kept


def alerts_elsewhere(settings: Settings, topic: str) -> dict[str, int]:
    """Alerts that other market topics gave rise to, by topic."""
    found: dict[str, set[str]] = {}

    def take(message: Message) -> None:
        try:
            alert = messages.decode(Alert, message.value() or b"")
        except ContractError:
            return
        if alert.provenance.topic != topic:
            found.setdefault(alert.provenance.topic, set()).add(alert.id)

    kafka.read_all(settings, topics.ALERTS, take)
    return {name: len(ids) for name, ids in sorted(found.items())}


class FeedTables(msgspec.Struct):
    """A feed in PostgreSQL. tables : rows by table; revisions : of its alerts, by id."""

    tables: dict[str, int]
    revisions: dict[str, int]


def in_postgres(settings: Settings, topic: str) -> FeedTables:
    """Count this feed's rows."""
    stored = FeedTables({}, {})
    with closing(connect(settings)) as session, session.cursor() as cursor:
        cursor.execute("SELECT id, revision FROM alerts WHERE provenance->>'topic' = %s", (topic,))
        stored.revisions = {str(name): int(revision) for name, revision in cursor.fetchall()}
        stored.tables["alerts"] = len(stored.revisions)
        cursor.execute("SELECT count(*) FROM instruments WHERE id > 0")
        stored.tables["instruments"] = int((cursor.fetchone() or (0,))[0])
        for table in TABLES:
            if table != "alerts":
                query = f"SELECT count(*) FROM {table} WHERE log_id IN (SELECT id FROM logs WHERE topic = %s)"  # noqa: S608
                cursor.execute(query, (topic,))
                stored.tables[table] = int((cursor.fetchone() or (0,))[0])
    stored.tables = dict(sorted(stored.tables.items()))
    return stored


def latencies(settings: Settings, kept: TopicAlerts, ids: list[str]) -> Latency | None:
    """Of these alerts; None for none."""
    if not ids:
        return None
    reader = kafka.consumer(settings)
    try:
        waits = [kept.opened_ms[name] - _produced_at_ns(reader, kept.newest[name]) / 1e6 for name in ids]
    finally:
        reader.close()
    p50, p99 = np.percentile(waits, [50, 99])
    return Latency(len(waits), round(float(p50), 3), round(float(p99), 3), round(max(waits), 3))


def _produced_at_ns(reader: Consumer, alert: Alert) -> int:
    """When the frame that decided an alert was handed to Kafka."""
    origin = alert.provenance
    for message in kafka.read_range(
        reader, origin.topic, origin.partition, origin.decided_offset, origin.decided_offset + 1
    ):
        headers: Any = message.headers()
        return FrameHeaders.from_kafka(headers).produced_at
    return 0


class DemoOutcome(msgspec.Struct, frozen=True):
    """What the show knows at its end.

    drained : whether engine, paper broker and sink had taken everything
    inserted : rows by table, as PostgreSQL's statistics tell
    caught_up_ns : when the engine first had taken all there was, 0 if never; traded : on paper
    live : what live sources came to, by name; console : its address
    """

    produced: ProducerSummary
    verdict: Verdict | None
    drained: bool
    inserted: dict[str, int]
    first_score_s: float | None
    stack_s: float
    seconds: float
    traded: TradingSummary
    caught_up_ns: int
    live: dict[str, SourceSummary] = {}
    console: str = ""


def summarise(settings: Settings, plan: Plan, seen: Follower, ending: DemoOutcome) -> Summary:
    """Add it all up. Who interrupts does not want to wait: then nothing is counted, and no alerts are compared."""
    kept = alerts_in_topic(settings, plan.topic)
    stored = in_postgres(settings, plan.topic) if ending.drained else FeedTables(ending.inserted, {})
    revisions = {name: alert.revision for name, alert in kept.newest.items()}
    differing = sorted(name for name, _ in revisions.items() ^ stored.revisions.items())
    ours = [name for name in kept.newest if name in seen.alerts]
    live = [name for name in ours if ending.caught_up_ns and kept.opened_ms[name] * 1_000_000 > ending.caught_up_ns]
    produced, verdict = ending.produced, ending.verdict
    rows_in = Counter(produced.rows)
    rows_in["status"] += produced.heartbeats
    newest = sorted(kept.newest.values(), key=lambda alert: alert.decided)
    return Summary(
        feed=plan.feed,
        topic=plan.topic,
        market="recording" if verdict is None else "synthetic",
        rows_in=dict(sorted(rows_in.items())),
        heartbeats=produced.heartbeats,
        refused=dict(sorted((Counter(produced.refused) + seen.refused).items())),
        duplicates=seen.duplicates,
        rows_used=dict(sorted(seen.rows.items())),
        features=seen.features,
        scores=seen.scores,
        signals=ending.traded.signals,
        orders=ending.traded.orders,
        fills=ending.traded.fills,
        paper_pnl=ending.traded.result,
        tables=stored.tables,
        counted=ending.drained,
        alerts_in_topic=len(revisions),
        alerts_in_postgres=stored.tables.get("alerts", 0),
        alert_ids_equal=not differing if ending.drained else None,
        differing=sorted(set(differing)) if ending.drained else [],
        alerts=[_listed(alert) for alert in newest],
        episodes=verdict.episodes if verdict else {},
        look_alikes=verdict.look_alikes if verdict else {},
        false_alerts=sum(verdict.false_alerts.values()) if verdict else None,
        false_alerts_by_scenario=verdict.false_alerts if verdict else {},
        latency_ms=latencies(settings, kept, ours),
        latency_live_ms=latencies(settings, kept, live),
        first_score_s=ending.first_score_s,
        stack_s=ending.stack_s,
        seconds=ending.seconds,
        drained=ending.drained,
        data=str(settings.data_path),
        live_sources=ending.live,
        live_alerts=alerts_elsewhere(settings, plan.topic) if ending.live else {},
        console=ending.console,
        verify=" ".join(["tapewatch", *plan.common, "verify", _worst(newest)]),
    )


def _listed(alert: Alert) -> AlertSummary:
    return AlertSummary(
        id=alert.id,
        scenario=alert.scenario,
        instrument=alert.instrument,
        severity=alert.severity,
        score=alert.score,
        decided=alert.decided,
        revision=alert.revision,
        sentence=alert.sentence,
    )


def _worst(alerts: list[Alert]) -> str:
    """The id of the alert with the highest score."""
    return max(alerts, key=lambda alert: alert.score).id if alerts else "ALERT_ID"
