"""Every alert rule fires in the fault it is for: real processes, a real Prometheus, real faults."""

import shutil
import subprocess
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psycopg2
import pytest
import sqlalchemy as sa
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from tapewatch import kafka, messages, topics
from tapewatch import subscription_store as store
from tapewatch.clock import WALL
from tapewatch.reach_settings import NotifySettings
from tapewatch.secret_box import secret_box
from tapewatch.settings import Settings
from tapewatch.subscription_store import NewSubscription
from tests.faults.prometheus_server import RULES, Prometheus, Watched, eventually, prometheus, values
from tests.integration.engine_feed import Feed
from tests.integration.postgres_kept import dsn, migrated
from tests.unit import engine_market as m

pytestmark = pytest.mark.skipif(
    not (shutil.which("prometheus") and shutil.which("promtool")),
    reason="needs Prometheus and promtool: apt-get install prometheus",
)
ENGINE, POSTGRES, ELSEWHERE = "tapewatch-engine", "tapewatch-sink-postgres", "tapewatch-sink-elsewhere"


def test_promtool_accepts_the_rules_and_their_unit_tests_pass() -> None:
    for words in (
        ["check", "rules", "rules.yml"],
        ["test", "rules", "rules_test.yml"],
        ["check", "config", "prometheus.yml"],
    ):
        done = subprocess.run(["promtool", *words], cwd=RULES.parent, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def pouring(feed: Feed) -> Iterator[None]:
    """Frames of a row each, every second one of an instrument that nobody registered: many more than an engine or a
    sink takes that commits each by itself.
    """
    names = ("AAA.XTST", "NOBODY.XTST")
    values = [m.frame([m.quote(name, 1.0, 10.0, 11.0)], ["*", name]) for name in names]
    stop = threading.Event()

    def pour() -> None:
        while not stop.wait(0.05):
            for _ in range(75):
                for value in values:
                    feed.record(value)

    thread = threading.Thread(target=pour)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        feed.flush()


def refuse_records(settings: Settings, topic: str) -> None:
    """Let the broker refuse every record of a topic, for its size."""
    entry = ConfigEntry("max.message.bytes", "10", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    for future in kafka.admin(settings).incremental_alter_configs([resource]).values():
        future.result()


def dead_receiver(settings: Settings, instrument: str) -> None:
    """A subscription to a port at which nobody listens, and an alert for it."""
    engine = sa.create_engine(settings.postgres.url, poolclass=sa.NullPool)
    new = NewSubscription(name="dead", kind="webhook", target="http://127.0.0.1:9/hook")
    with engine.begin() as session:
        store.add(session, secret_box(settings), new, "ann", WALL.now())
    now = messages.to_rfc3339(WALL.now())
    alert = messages.Alert(
        id=messages.alert_id("pump_and_dump", instrument, WALL.now()), scenario="pump_and_dump", instrument=instrument,
        onset=now, decided=now, updated=now, state="open", revision=0, severity="high", score=50.0, sentence="It rose.",
        data_tier="trades", provenance=messages.Provenance("market.x", 0, 1, 2, 3, "c", {}, "b"),
    )  # fmt: skip
    producer = kafka.producer(settings)
    producer.produce(topics.ALERTS, messages.encode(alert), key=instrument)
    assert producer.flush(30) == 0


@contextmanager
def small_disk(folder: Path) -> Iterator[Path | None]:
    """A data folder of one MiB that is nearly full; None where this account may not mount."""
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True).returncode:
        yield None
        return
    try:
        (folder / "full").write_bytes(bytes(1_000_000))
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.long  # a minute or two on a calm machine: six processes of ours break in turn under a real Prometheus
def test_each_rule_fires_in_the_fault_it_is_for(settings: Settings, tmp_path: Path) -> None:
    key = tmp_path / "notify.key"
    key.write_bytes(b"kPc5BvFKn3IwYJvBQJ8P1Vd9bNdB4P9eYyqkqVfN0bE=\n")
    settings = msgspec.structs.replace(settings, notify=NotifySettings(key_file=str(key)))
    with migrated(settings) as ours, migrated(settings) as empty, small_disk(tmp_path / "disk") as disk:
        dead_receiver(ours, f"R{uuid.uuid4().hex[:8].upper()}.XTST")
        feed = Feed(ours, ["AAA.XTST"])
        silence = tmp_path / "silence.json"
        silence.write_text('{"script": [{"kind": "silence", "at_s": 0, "count": 1000000}]}')
        silent = ["produce", "binance", "--against", "sim", "--sim-symbols", "2", "--dry-run"]
        full = msgspec.structs.replace(ours, data=str(disk)) if disk else ours
        lost = msgspec.structs.replace(empty, kafka=msgspec.structs.replace(empty.kafka, bootstrap="127.0.0.1:9"))
        engine = Watched(
            "engine", ["run", "engine", "--feed", feed.name, "--batch-frames", "1", "--quiet"], ours, tmp_path,
            ENGINE_GROUP=feed.name, ENGINE_SNAPSHOT_SECONDS=3600, ENGINE_REPLAY_SECONDS=3600,
        )  # fmt: skip
        sink = Watched("sink-postgres", ["sink", "postgres"], ours, tmp_path, SINK_BATCH_ROWS=1, METRICS_STALE_S=4)
        others = [
            Watched("sink-elsewhere", ["sink", "postgres"], lost, tmp_path),
            Watched(
                "sink-notify", ["sink", "notify"], ours, tmp_path,
                NOTIFY_KEY_FILE=key, NOTIFY_ALLOW_NETWORKS="127.0.0.0/8", NOTIFY_ALLOW_HTTP="true",
                NOTIFY_CASE_WAIT_S=0,
            ),
            Watched("reconcile", ["reconcile", "--every", "1", "--settle", "0", "--only", "postgres"], empty, tmp_path),
            Watched("producer", [*silent, "--sim-faults", str(silence)], full, tmp_path),
        ]  # fmt: skip
        with prometheus(tmp_path, [engine, sink, *others]) as server:
            eventually("the engine holds its partition", lambda: "ready" in ready(engine))
            with pouring(feed):
                server.await_firing(
                    {
                        ("TapewatchLagGrows", ENGINE),
                        ("TapewatchRefusalsBurst", ENGINE),
                        ("TapewatchSnapshotTooOld", ENGINE),
                        ("TapewatchFeedSilent", "tapewatch-producer"),
                        ("TapewatchSinkBehind", POSTGRES),
                        ("TapewatchReconcileDifferences", "tapewatch-reconcile"),
                        ("TapewatchNotReady", ELSEWHERE),
                        ("TapewatchBrokerUnreachable", ELSEWHERE),
                        ("TapewatchOutboxStuck", "tapewatch-sink-notify"),
                    }
                    | ({("TapewatchDiskFills", "tapewatch-producer")} if disk else set())
                )
            breaks_in_turn(server, ours, feed, engine, sink, others)


def ready(process: Watched) -> str:
    return "ready" if values(process.look())["tapewatch_ready"] else ""


def breaks_in_turn(
    server: Prometheus, settings: Settings, feed: Feed, engine: Watched, sink: Watched, others: list[Watched]
) -> None:
    """What would hide the other faults: aborted transactions, a locked table, and deaths."""
    after = {("TapewatchTransactionsAbort", ENGINE), ("TapewatchEngineDown", ENGINE), ("TapewatchNoPartitionsHeld", "")}
    assert not after & server.firing()
    refuse_records(settings, f"{feed.topic}.dlq")
    session = psycopg2.connect(dsn(settings))
    try:
        with session.cursor() as cursor:
            cursor.execute("LOCK TABLE sink_offsets IN ACCESS EXCLUSIVE MODE")
        server.await_firing({("TapewatchTransactionsAbort", ENGINE), ("TapewatchProcessStuck", POSTGRES)})
    finally:
        session.close()
    engine.kill()
    sink.kill()
    next(each for each in others if each.job == "tapewatch-reconcile").kill()
    server.await_firing(
        {
            ("TapewatchEngineDown", ENGINE),
            ("TapewatchNoPartitionsHeld", ""),
            ("TapewatchSinkDown", POSTGRES),
            ("TapewatchProcessDown", "tapewatch-reconcile"),
        }
    )
