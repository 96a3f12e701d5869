"""A small site of its own, every process of which Prometheus watches, and the ways in which it can be broken."""

import json
import os
import shutil
import signal
import subprocess
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import psycopg2
import sqlalchemy as sa
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from infra import embedded, migrations
from infra.chaos import receiver
from infra.chaos.proxy import Proxy
from infra.embedded.kafka import free_port
from infra.embedded.layout import SOCKET_NAME
from tapewatch.clock import WALL
from tapewatch.contract import messages, topics
from tapewatch.contract.canaries import FEED
from tapewatch.desk import subscription_store as store
from tapewatch.desk.subscription_store import NewSubscription
from tapewatch.runtime import kafka
from tapewatch.security.secret_box import secret_box
from tapewatch.settings import EmbeddedSettings, KafkaSettings, PostgresSettings, Settings
from tapewatch.settings.delivery import NotifySettings
from tapewatch.settings.stack import Addresses
from tests.faults.prometheus_server import Child, ScrapedProcess, awaited
from tests.integration.engine_feed import Feed
from tests.unit import engine_market as m

HEAP_MB = 320
CANARY_EVERY_S, CANARY_DUE_S, CANARIES = 6, 20, 10
POURED_A_SECOND = 3000
DISK_MIB = 8


class Site:
    """Servers, and a process of ours of each kind that a rule speaks of; all of it ends with the block.

    may_mount : whether each process has a data folder of its own small file system; the machine's else
    processes : those that Prometheus watches
    """

    def __init__(self, folder: Path, addresses: Addresses) -> None:
        self.folder, self.addresses, self._disk = folder, addresses, folder / "disk"
        self._mounting = own_disk(self._disk)
        self.may_mount = bool(self._mounting)
        key = folder / "notify.key"
        key.write_bytes(b"kPc5BvFKn3IwYJvBQJ8P1Vd9bNdB4P9eYyqkqVfN0bE=\n")
        self.settings = Settings(
            data=str(folder / "data"),
            kafka=KafkaSettings(bootstrap=addresses.bootstrap),
            postgres=PostgresSettings(url=addresses.postgres_url),
            notify=NotifySettings(key_file=str(key)),
        )
        self.settings.data_path.mkdir()
        migrations.migrate(addresses.postgres_url)
        kafka.create_topics(self.settings, topics.shared_topics(self.settings.topics))
        kafka.create_topics(self.settings, topics.canary_topics(self.settings.topics))
        kafka.create_topics(self.settings, topics.market_topics(FEED, self.settings.topics, 1))
        self.feed = Feed(self.settings, ["AAA.XTST"])

    def start(self, stack: ExitStack) -> None:
        """Start everything of ours."""
        socket = Path(urllib.parse.unquote(self.addresses.postgres_url.partition("host=")[2])) / SOCKET_NAME
        self._sinks_way = stack.enter_context(Proxy(0, socket))
        port = free_port("kafka_port", 0, 0, 0)
        self.simulator = self._child(stack, "simulator", "producers.simulators", "--symbols", "2", "--rate", "40")
        self.receiver = self._child(stack, "receiver", "infra.chaos.receiver", str(port), str(self.folder / "received"))
        venue = json.loads(awaited("the simulator listens", lambda: self.simulator.out.read_text()))
        self.canary_engine = self._watched(
            stack, "engine", "engine-canary", ["run", "engine", "--feed", FEED, "--instance", "canary", "--quiet"],
            ENGINE_GROUP="canary", ENGINE_SNAPSHOT_SECONDS=3,
        )  # fmt: skip
        self.engine = self._watched(
            stack, "engine", "engine-poured",
            ["run", "engine", "--feed", self.feed.name, "--instance", "poured", "--batch-frames", "1", "--quiet"],
            ENGINE_GROUP=self.feed.name, ENGINE_SNAPSHOT_SECONDS=2,
        )  # fmt: skip
        self.watcher = self._watched(stack, "sink-canary", "watcher", ["sink", "canary", "--stage", "topic"])
        self.sink = self._watched(
            stack, "sink-postgres", "sink", ["sink", "postgres"],
            POSTGRES_URL=self._through(self._sinks_way), SINK_BATCH_ROWS=20_000,
        )  # fmt: skip
        self.notify = self._watched(
            stack, "sink-notify", "notify", ["sink", "notify"],
            NOTIFY_KEY_FILE=self.settings.notify.key_file, NOTIFY_ALLOW_NETWORKS="127.0.0.0/8",
            NOTIFY_ALLOW_HTTP="true", NOTIFY_CASE_WAIT_S=0,
        )  # fmt: skip
        self.reconcile = self._watched(
            stack, "reconcile", "reconcile", ["reconcile", "--every", "1", "--settle", "5", "--only", "postgres"],
            METRICS_STALE_S=4,
        )  # fmt: skip
        self.producer = self._watched(
            stack, "producer", "producer", ["produce", "binance", "--dry-run"],
            VENUES_BINANCE_REST=venue["rest"], VENUES_BINANCE_STREAM=venue["stream"],
        )  # fmt: skip
        self.processes = [
            self.canary_engine, self.engine, self.watcher, self.sink, self.notify, self.reconcile, self.producer,
        ]  # fmt: skip
        self._subscribe(f"http://127.0.0.1:{port}/hook")
        # Not before: what is injected while no engine looks on is missed by right, and there are canaries for a minute.
        for each in self.processes:
            await_ready(each)
        self.canaries = self._watched(
            stack, "producer-canary", "canaries",
            ["produce", "canary", "--every", str(CANARY_EVERY_S), "--due", str(CANARY_DUE_S),
             "--in-each", str(CANARIES), "--back-date", "610"],
        )  # fmt: skip
        self.processes.append(self.canaries)

    def await_work(self) -> None:
        """Until a canary was found, a subscriber was told of an alert, and the sink has all but caught up."""
        self._first = self.alert("A.XTST")
        await_ready(self.canaries)
        awaited("a canary is found", lambda: self.watcher.shows("tapewatch_canary_found_total"), self.watcher.said)
        awaited("an alert is delivered", lambda: receiver.receipts(self.folder / "received"), self.notify.said)
        stored = "SELECT 1 FROM alerts WHERE id = %s"
        awaited("the alert is stored", lambda: self._database(stored, self._first), self.sink.said)
        awaited("the sink is there", lambda: self.sink.shows("tapewatch_kafka_lag_records") < 1000, self.sink.said)

    def alert(self, instrument: str) -> str:
        """Let there be an alert, as an engine writes one; returns its id."""
        now = messages.to_rfc3339(WALL.now())
        alert = messages.Alert(
            id=messages.alert_id("pump_and_dump", instrument, WALL.now()), scenario="pump_and_dump",
            instrument=instrument, onset=now, decided=now, updated=now, state="open", revision=0, severity="high",
            score=50.0, sentence="It rose.", data_tier="trades",
            provenance=messages.Provenance("market.x", 0, 1, 2, 3, "c", {}, "b"),
        )  # fmt: skip
        producer = kafka.producer(self.settings)
        producer.produce(topics.ALERTS, messages.encode(alert), key=instrument)
        assert producer.flush(30) == 0
        return alert.id

    def delete_alert(self) -> None:
        """Somebody removes the row of the alert by hand."""
        assert self._database("DELETE FROM alerts WHERE id = %s", self._first) == 1

    def lose_receiver(self) -> None:
        """A subscriber's receiver dies, and there is something to tell it."""
        self.receiver.kill()
        self.alert("B.XTST")

    def fill_disk(self) -> None:
        """Little is left of the live producer's file system."""
        if self.may_mount:
            (self.producer.root / self._disk.relative_to("/") / "full").write_bytes(bytes(DISK_MIB * 1_000_000))

    def slow_database(self) -> None:
        """What the PostgreSQL sink and its server say to each other takes half a second each way."""
        self._sinks_way.delay(0.5)

    @contextmanager
    def alerts_locked(self) -> Iterator[None]:
        """Somebody holds the table of alerts and does not let it go."""
        with closing(psycopg2.connect(self._dsn)) as session, session.cursor() as cursor:
            cursor.execute("LOCK TABLE alerts IN ACCESS EXCLUSIVE MODE")
            yield

    def refuse_snapshots(self) -> None:
        """The broker refuses every chunk of a snapshot, for its size; its own marks of a transaction's end fit."""
        entry = ConfigEntry("max.message.bytes", "1000", incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, topics.SNAPSHOTS, incremental_configs=[entry])
        admin = kafka.admin(self.settings)
        for future in admin.incremental_alter_configs([resource]).values():
            future.result()

    @contextmanager
    def pouring(self) -> Iterator[None]:
        """Frames of a row each, every second one of an instrument that nobody registered: more than an engine takes
        that commits each by itself, and more than a sink on a slow line writes.
        """
        names = ("AAA.XTST", "NOBODY.XTST")
        values = [m.frame([m.quote(name, 1.0, 10.0, 11.0)], ["*", name]) for name in names]
        stop = threading.Event()

        def pour() -> None:
            while not stop.wait(0.05):
                for number in range(POURED_A_SECOND // 20):
                    self.feed.record(values[number % 2])

        thread = threading.Thread(target=pour)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def kill_servers(self) -> None:
        """kill -9 of Kafka and PostgreSQL."""
        for part in ("kafka", "postgres"):
            os.kill(self.addresses.pids[part], signal.SIGKILL)

    @property
    def _dsn(self) -> str:
        """PostgreSQL's address, as libpq reads it."""
        return self.addresses.postgres_url.replace("+psycopg2", "", 1)

    def _database(self, statement: str, *values: str) -> int:
        """Rows that a statement found or changed."""
        session = psycopg2.connect(self._dsn)
        with closing(session), session, session.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.rowcount

    def _subscribe(self, url: str) -> None:
        engine = sa.create_engine(self.settings.postgres.url, poolclass=sa.NullPool)
        with engine.begin() as session:
            new = NewSubscription(name="receiver", kind="webhook", target=url)
            store.add(session, secret_box(self.settings), new, "ann", WALL.now())

    def _through(self, way: Proxy) -> str:
        """PostgreSQL's address behind a proxy."""
        return self.addresses.postgres_url.partition("@")[0] + f"@127.0.0.1:{way.port}/tapewatch"

    def _environment(self, **more: object) -> dict[str, str]:
        told = {
            "DATA": self.settings.data,
            "KAFKA_BOOTSTRAP": self.addresses.bootstrap,
            "POSTGRES_URL": self.addresses.postgres_url,
            **more,
        }
        ours = {f"TAPEWATCH_{name}": str(value) for name, value in told.items()}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TAPEWATCH_")}
        return {**kept, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", **ours}

    def _child(self, stack: ExitStack, name: str, *words: str) -> Child:
        child = Child(name, ["-m", *words], self.folder, self._environment())
        stack.callback(child.kill)
        return child

    def _watched(self, stack: ExitStack, job: str, name: str, words: list[str], **more: object) -> ScrapedProcess:
        data = {"DATA": self._disk} if self.may_mount else {}
        process = ScrapedProcess(job, name, words, self.folder, self._environment(**data, **more), self._mounting)
        stack.callback(process.kill)
        return process


def await_ready(process: ScrapedProcess) -> None:
    """Until it does its work."""
    awaited(f"{process.name} is ready", lambda: process.shows("tapewatch_ready"), process.said)


def own_disk(folder: Path) -> list[str]:
    """What gives the process that follows it a small file system here, which ends with the process: how full this
    machine is does not matter to it. Nothing where this account may not mount.
    """
    folder.mkdir()
    words = [
        shutil.which("unshare") or "",
        "--mount",
        "sh",
        "-c",
        f'mount -t tmpfs -o size={DISK_MIB}m tmpfs "$0" && exec "$@"',
        str(folder),
    ]
    may = words[0] and subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0
    return words if may else []


@contextmanager
def site(folder: Path) -> Iterator[Site]:
    """A site at work in an empty folder."""
    servers = Settings(data=str(folder / "servers"), embedded=EmbeddedSettings(kafka_heap_mb=HEAP_MB))
    with embedded.session(servers) as addresses, ExitStack() as stack:
        found = Site(folder, addresses)
        found.start(stack)
        yield found
