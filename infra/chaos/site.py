"""The site under test: three brokers, PostgreSQL, Elasticsearch behind proxies, and our processes, kept alive."""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from infra import migrations
from infra.chaos import cluster, own_clock, server
from infra.chaos.proxy import Proxy
from infra.chaos.server import SupervisedProcess
from infra.embedded import elasticsearch, elasticsearch_home, jars, java
from infra.embedded.kafka import FREE_PORTS, HOST, free_port, is_healthy
from infra.embedded.layout import SOCKET_NAME, Layout, write_private
from tapewatch import settings
from tapewatch.clock import NANOS, WALL
from tapewatch.contract import topics
from tapewatch.errors import TapewatchError
from tapewatch.runtime import kafka
from tapewatch.settings import Settings
from tapewatch.settings.kafka import KafkaSettings

PROGRAM = (sys.executable, "-P", "-m", "tapewatch")
FEED = "synthetic"
TICK_S = 0.05
START_S = 600
END_S = 25
BROKER_HEAP_MB = 360
SEARCH_HEAP_MB = 400
ENGINES = 2
OPTIONAL = ("elasticsearch", "notify", "cases", "evidence", "paper", "reconcile")
_ENGINES = ("engine", "spare")
_READERS = ("sink", "stage", "reconcile")
"""What must not starve brokers and engines on a small machine."""

WEBHOOKS_RETRY_S = (1, 2, 4, 8, 8, 8, 15, 15, 15, 30, 30, 30)


class Plan(msgspec.Struct, frozen=True):
    """What runs.

    seed : of the market; instruments, rows_per_second : of it, a session's mean (its first half hour has half as much
    again); back_date_s : seconds of it that are sent at once
    partitions : of the market topic; without : names from OPTIONAL
    database_mb : size of the tmpfs; snapshot_seconds : of the engines
    """

    seed: int = 1
    instruments: int = 200
    rows_per_second: float = 8_000.0
    back_date_s: int = 60
    partitions: int = 4
    without: frozenset[str] = frozenset()
    database_mb: int = 6144
    snapshot_seconds: float = 10.0


class Site:
    """Start it, let it run, stop it; whatever ends the process that made it ends all of it.

    folder : empty folder for everything; no_mounts : why PostgreSQL's folder cannot be a tmpfs, empty where it can
    tree : source tree that our processes run; None for the installed one
    processes : by name, each started again when it dies; proxies : by name of the server behind
    """

    def __init__(self, folder: Path, plan: Plan, no_mounts: str = "", tree: Path | None = None) -> None:
        self.folder, self.plan, self.feed = folder, plan, FEED
        self.topic = topics.market(FEED)
        self.logs = folder / "logs"
        self.mischief, self.record = folder / "mischief.jsonl", folder / "record.jsonl"
        self.engines_clock = folder / "engines.clock"
        self.labels, self.webhooks = folder / "labels.csv", folder / "webhooks.jsonl"
        self.settings_file, self.direct_file = folder / "tapewatch.toml", folder / "direct.toml"
        self.processes: dict[str, SupervisedProcess] = {}
        self.proxies: dict[str, Proxy] = {}
        self.ports: dict[str, int] = {}
        self._no_mounts = no_mounts
        self._given: set[int] = set()
        self._stop = threading.Event()
        self._watch: threading.Thread | None = None
        self._admin: AdminClient | None = None
        self._nodes: tuple[cluster.Node, ...] = ()
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("TAPEWATCH_")}
        self._environment |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
        self._environments: dict[str, dict[str, str]] = {}
        self._tree = tree
        if tree is not None:
            self.run_from(tree)

    @property
    def direct(self) -> str:
        """Bootstrap servers that no fault lies before."""
        return ",".join(f"{HOST}:{node.direct}" for node in self._nodes)

    @property
    def postgres_url(self) -> str:
        """PostgreSQL itself, as its superuser."""
        return self._database.url

    @property
    def postgres_folder(self) -> Path | None:
        """PostgreSQL's tmpfs; None where it has none of its own."""
        return None if self._database.reason else self._database.folder

    @property
    def no_tmpfs(self) -> str:
        """Why PostgreSQL has no tmpfs of its own; empty where it has."""
        return self._database.reason

    @property
    def settings(self) -> Settings:
        """Settings with direct addresses, for the kit and the verifiers."""
        return settings.load(self.direct_file, environment={})

    @property
    def search_url(self) -> str:
        """Elasticsearch itself; empty where there is none."""
        return f"http://{HOST}:{self.ports['elasticsearch']}" if self.has_search else ""

    @property
    def has_search(self) -> bool:
        """Whether Elasticsearch runs."""
        return "elasticsearch" not in self.plan.without

    def of(self, kind: str) -> list[SupervisedProcess]:
        """Processes of one kind."""
        return [kept for kept in self.processes.values() if kept.kind == kind]

    def start(self, say: Callable[[str], None]) -> None:
        """Start everything; returns when all servers answer and every process of ours has been started."""
        self._watch = threading.Thread(target=self._tend, name="watch", daemon=True)
        self._watch.start()
        say("starting three brokers and PostgreSQL")
        self._database = server.prepare(self.folder, self.plan.database_mb, self._no_mounts)
        self.processes["postgres"] = server.kept(self._database, self._environment)
        self._start_brokers()
        if self.has_search:
            self._start_search()
        self._await(lambda: server.create(self._database), "PostgreSQL")
        self._await(lambda: all(is_healthy(KafkaSettings(f"{HOST}:{node.direct}")) for node in self._nodes), "Kafka")
        self._await(lambda: len(self._client().list_topics(timeout=10).brokers) == cluster.BROKERS, "three brokers")
        if self.has_search:
            self._await(lambda: elasticsearch.is_healthy(self.search_url), "Elasticsearch")
        self._open_proxies()
        self._write_settings()
        say("making topics and tables")
        self._migrate()
        self._create_topics()
        say("starting our processes")
        self._start_ours()

    def stop(self) -> None:
        """End everything, servers last; what does not end in time is killed."""
        servers = ("broker", "postgres", "elasticsearch")
        ours = [kept for kept in self.processes.values() if kept.kind not in servers]
        for group in (ours, [kept for kept in self.processes.values() if kept not in ours]):
            end_all(group, END_S)
        # Not before: at the end of the thread that started them the kernel kills what is left.
        self._stop.set()
        if self._watch is not None:
            self._watch.join(10)
        for proxy in self.proxies.values():
            proxy.close()
        if hasattr(self, "_database"):
            server.unmount(self._database)

    def compare(self) -> None:
        """Let the comparing loop begin. Where a sink has no position yet, it would take its place."""
        for kept in self.of("reconcile"):
            kept.release()

    def calm(self) -> None:
        """Take every fault back: nothing frozen, nothing held but the spare engine, every proxy healed."""
        for proxy in self.proxies.values():
            proxy.heal()
        for kept in self.processes.values():
            if kept.frozen:
                kept.thaw()
            if kept.held and kept.kind != "spare":
                kept.release()

    def leader(self, topic: str, partition: int) -> str:
        """Name of the broker that leads a partition. TapewatchError where none does."""
        found = self._client().list_topics(topic, timeout=10).topics[topic].partitions.get(partition)
        if found is None or found.leader <= 0:
            raise TapewatchError(f"{topic}[{partition}] has no leader", "Try again in a few seconds.")
        return f"broker-{found.leader}"

    def controller(self) -> str:
        """Name of the broker that leads the controllers' quorum."""
        return f"broker-{cluster.controller(self._nodes)}"

    def coordinator(self, group: str) -> str:
        """Name of the broker that coordinates a consumer group."""
        described = self._client().describe_consumer_groups([group], request_timeout=10)[group].result()
        return f"broker-{described.coordinator.id}"

    def run_from(self, tree: Path, name: str = "") -> None:
        """Let the next start of a process be of this source tree; without a name, commands run it from now on."""
        if name:
            self._environments[name]["PYTHONPATH"] = str(tree)
        else:
            self._environment = self._environment | {"PYTHONPATH": str(tree)}

    def command(self, words: Sequence[str], timeout_s: float = 600) -> tuple[int, str]:
        """Run `tapewatch WORDS` with direct addresses; exit status and standard output. Its log is command-*.log."""
        return self.program([*PROGRAM, "--settings", str(self.direct_file), *words], words[0], self.folder, timeout_s)

    def program(self, words: Sequence[str], name: str, folder: Path, timeout_s: float) -> tuple[int, str]:
        """Run a program in a folder; exit status and standard output. Its log is command-NAME.log."""
        log = self.logs / f"command-{name}.log"
        with log.open("ab") as errors:
            done = subprocess.run(  # noqa: S603 - our own words
                words,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=self._environment,
                cwd=folder,
                timeout=timeout_s,
                check=False,
            )
        return done.returncode, done.stdout.decode()

    def failures(self) -> list[str]:
        """Ends of our processes that nobody asked for, as they were written down."""
        return [failure for kept in self.processes.values() for failure in kept.failures]

    def _tend(self) -> None:
        while not self._stop.wait(TICK_S):
            for kept in list(self.processes.values()):
                kept.tend()

    def _await(self, answers: Callable[[], bool], what: str) -> None:
        """Wait for a server's first answer. TapewatchError quotes its log where it ends or time runs out."""
        deadline = WALL.elapsed() + START_S * NANOS
        while True:
            try:
                if answers():
                    return
            except KafkaException:
                pass
            failed = self.failures()
            if len(failed) > cluster.BROKERS or WALL.elapsed() > deadline:
                raise TapewatchError(f"{what} did not come up: {'; '.join(failed)[:600]}", f"See {self.logs}.")
            WALL.sleep(0.2)

    def _port(self) -> int:
        """A free port that nobody else here was given."""
        for _ in range(len(FREE_PORTS)):
            port = free_port("kafka_port", 0, 0, 0)
            if port not in self._given:
                self._given.add(port)
                return port
        raise TapewatchError("no free port", "End what listens on loopback.")

    def _client(self) -> AdminClient:
        if self._admin is None:
            self._admin = AdminClient({"bootstrap.servers": self.direct, "log_level": 0, "socket.timeout.ms": 6000})
        return self._admin

    def _start_brokers(self) -> None:
        runtime, folder = str(java.find().path), jars.ensure()
        nodes = []
        for number in range(1, cluster.BROKERS + 1):
            proxied = self._port()
            proxy = Proxy(self._port(), proxied).start()
            self.proxies[f"broker-{number}"] = proxy
            home, logs = self.folder / f"broker-{number}", self.logs / f"broker-{number}"
            home.mkdir()
            logs.mkdir(parents=True)
            nodes.append(cluster.Node(number, self._port(), proxied, proxy.port, self._port(), home, logs))
        self._nodes = tuple(nodes)
        for node in nodes:
            cluster.write_properties(node, self._nodes)
        tool = cluster.format_command(nodes[0], runtime, folder)
        done = subprocess.run(tool, cwd=nodes[0].folder, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            raise TapewatchError(f"Kafka's storage was not formatted: {done.stderr[-300:]}", "See `tapewatch doctor`.")
        for node in nodes[1:]:
            cluster.lay_out(node, nodes[0])
        for node in nodes:
            words = cluster.command(node, runtime, folder, BROKER_HEAP_MB)
            self.processes[node.name] = self._kept(node.name, "broker", words, node.folder)

    def _start_search(self) -> None:
        found = java.find_for_search()
        home, port, layout = elasticsearch_home.ensure(str(found.path)), self._port(), Layout(self.folder)
        layout.elasticsearch.mkdir(mode=0o700)
        self.ports["elasticsearch"] = port
        words = elasticsearch.command(layout, port, str(found.path), home, SEARCH_HEAP_MB)
        self.processes["elasticsearch"] = self._kept("elasticsearch", "elasticsearch", words, layout.elasticsearch)

    def _open_proxies(self) -> None:
        ours, theirs = self._database.proxied / SOCKET_NAME, self._database.socket / SOCKET_NAME
        self.proxies["postgres"] = Proxy(ours, theirs).start()
        if self.has_search:
            self.proxies["elasticsearch"] = Proxy(self._port(), self.ports["elasticsearch"]).start()

    def _write_settings(self) -> None:
        """Two files: for our processes, whose way leads through the proxies, and for whoever judges them."""
        through = ",".join(f"{HOST}:{node.proxy}" for node in self._nodes)
        search = (self.proxies["elasticsearch"].port, self.ports["elasticsearch"]) if self.has_search else (0, 0)
        addresses = (
            (self.settings_file, through, self._database.proxied_url, search[0]),
            (self.direct_file, self.direct, self._database.url, search[1]),
        )
        for path, bootstrap, url, port in addresses:
            tree: dict[str, Any] = {
                "kafka": {"bootstrap": bootstrap},
                "postgres": {"url": url},
                "topics": {"replication": cluster.BROKERS, "market_partitions": self.plan.partitions},
                "engine": {"feeds": [FEED], "snapshot_seconds": self.plan.snapshot_seconds},
                "paper": {"started": True},
                "notify": {
                    "allow_networks": ["127.0.0.0/8"],
                    "allow_http": True,
                    # Every alert goes out: what the case stage would inhibit is another's test.
                    "case_wait_s": 0,
                    "retry_s": list(WEBHOOKS_RETRY_S),
                },
            }
            if port:
                tree["elasticsearch"] = {"url": f"http://{HOST}:{port}"}
            lines = [f"data = {_toml(str(self.folder / 'data'))}"]
            for section, values in tree.items():
                lines += [f"[{section}]", *(f"{key} = {_toml(value)}" for key, value in values.items())]
            write_private(path, "\n".join(lines).encode() + b"\n")
        (self.folder / "data").mkdir(mode=0o700, exist_ok=True)

    def _migrate(self) -> None:
        """Tables as the processes' own source tree has them."""
        if self._tree is None:
            migrations.migrate(self._database.url)
        elif self.command(["db", "migrate"])[0]:
            raise TapewatchError("the database was not migrated", f"See {self.logs / 'command-db.log'}.")

    def _create_topics(self) -> None:
        chosen = self.settings
        every = [
            *topics.shared_topics(chosen.topics),
            *topics.market_topics(FEED, chosen.topics, self.plan.partitions),
            *topics.case_topics(chosen.topics),
            *topics.source_topics(chosen.topics),
            *topics.paper_topics(chosen.topics),
        ]
        kafka.create_topics(chosen, every)

    def _start_ours(self) -> None:
        """Our processes, in the order in which the data go."""
        own_clock.set_clock(self.engines_clock, 0)
        for number in range(1, ENGINES + 2):
            name = f"engine-{number}"
            kept = self._ours(name, "engine" if number <= ENGINES else "spare", ["run", "engine", "--instance", name])
            if kept.kind == "spare":
                kept.hold()
            self.processes[name] = kept
        for name, kind, words in self._second_line():
            if name not in self.plan.without:
                kept = self._ours(name, kind, words)
                if kind == "reconcile":
                    kept.hold()
                self.processes[name] = kept
        if "notify" not in self.plan.without:
            self._subscribe()
        self.processes["producer"] = self._ours("producer", "producer", self._market())

    def _second_line(self) -> list[tuple[str, str, list[str]]]:
        """Name, kind and words of what reads the engines' topics."""
        compare = ["reconcile", "--every", "15", "--settle", "10", "--repair", "--json"]
        return [
            ("sink-postgres", "sink", ["sink", "postgres"]),
            *([("sink-elasticsearch", "sink", ["sink", "elasticsearch"])] if self.has_search else []),
            ("notify", "sink", ["sink", "notify"]),
            ("cases", "stage", ["run", "cases", "--quiet"]),
            ("evidence", "stage", ["run", "evidence", "--instance", "evidence-1", "--quiet"]),
            ("paper", "stage", ["run", "paper", "--instance", "paper-1", "--quiet"]),
            ("reconcile", "reconcile", compare if self.has_search else [*compare, "--only", "postgres"]),
        ]

    def _market(self) -> list[str]:
        plan = self.plan
        words = [
            "produce",
            "synthetic",
            "--demo",
            "--feed",
            FEED,
            "--seed",
            str(plan.seed),
            "--labels",
            str(self.labels),
        ]
        words += ["--instruments", str(plan.instruments), "--rows-per-second", str(plan.rows_per_second)]
        return [*words, "--back-date", str(plan.back_date_s), "--partitions", str(plan.partitions), *self._accounted()]

    def _accounted(self) -> list[str]:
        """The producer's record of what it wrote, and the file of what is asked of it."""
        return ["--record", str(self.record), "--resume", "--mischief", str(self.mischief)]

    def _subscribe(self) -> None:
        """A webhook for every alert, to a receiver of the kit."""
        port = self._port()
        words = [sys.executable, "-P", "-m", "infra.chaos.receiver", str(port), str(self.webhooks)]
        self.processes["receiver"] = self._kept("receiver", "receiver", words, self.folder)
        status, _ = self.command(["subscriptions", "add", "kit", "--url", f"http://{HOST}:{port}/hook", "--json"])
        if status:
            raise TapewatchError(
                "the kit's webhook was not subscribed", f"See {self.logs / 'command-subscriptions.log'}."
            )

    def _ours(self, name: str, kind: str, words: Sequence[str]) -> SupervisedProcess:
        self.ports[name] = self._port()
        yielding = [shutil.which("nice") or "/usr/bin/nice", "-n", "5"] if kind in _READERS else []
        run = (*PROGRAM[:2], own_clock.__file__, str(self.engines_clock)) if kind in _ENGINES else PROGRAM
        program = [*yielding, *run, "--settings", str(self.settings_file), *words]
        program += ["--metrics", str(self.ports[name])]
        return self._kept(name, kind, program, self.folder)

    def _kept(self, name: str, kind: str, words: Sequence[str], folder: Path) -> SupervisedProcess:
        environment = self._environments[name] = dict(self._environment)
        return SupervisedProcess(name, kind, lambda: words, folder, self.logs / f"{name}.log", environment)


def end_all(group: Sequence[SupervisedProcess], patience_s: float) -> None:
    """Ask all of them to end for good, wait, and force what is left after `patience_s`."""
    for kept in group:
        kept.hold()
        kept.thaw()
        kept.ask()
    deadline = WALL.elapsed() + int(patience_s * NANOS)
    for kept in group:
        kept.end(deadline)


def _toml(value: Any) -> str:
    """A value as TOML writes it: JSON's forms of strings, numbers, booleans and arrays are its own."""
    return msgspec.json.encode(value).decode()
