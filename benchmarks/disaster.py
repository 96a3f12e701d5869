"""What a restore takes: PostgreSQL, Elasticsearch, the engine's snapshots and Kafka lost in turn, and made again.

`python -m benchmarks.disaster --rows 1000000 --out docs/results/disaster.json`
"""

import argparse
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa
from confluent_kafka import TopicPartition

from benchmarks.document import give
from benchmarks.figures import Machine, machine, versions
from infra.chaos.run import told
from tapewatch import settings
from tapewatch.clock import NANOS, WALL
from tapewatch.contract import topics
from tapewatch.errors import TapewatchError
from tapewatch.runtime import kafka
from tapewatch.settings import Settings

FEED = "synthetic"
IDLE_S = 3.0
RATE = 2000


class RestoreResult(msgspec.Struct, frozen=True):
    """One loss made good. what : was lost; how : it came back; seconds : that took, processes' starts included
    proved : what says that nothing is missing
    """

    what: str
    how: str
    seconds: float
    proved: str


class DisasterResult(msgspec.Struct, frozen=True):
    """The JSON document. rows : of the market log; log_mib : all topics on disk"""

    bench: str
    rows: int
    alerts: int
    log_mib: float
    restored: list[RestoreResult]
    machine: Machine
    versions: dict[str, str]


class Drill:
    """A stack of its own in a folder, and commands of this tree over it."""

    def __init__(self, folder: Path) -> None:
        self.data, self._log = folder / "data", folder / "commands.log"
        self._more: list[str] = []
        self.file = folder / "tapewatch.toml"
        self._write("")

    def _write(self, more: str) -> None:
        self.file.write_text(f"data = {json.dumps(str(self.data))}\n[engine]\nfeeds = [{json.dumps(FEED)}]\n{more}")

    def settings(self) -> Settings:
        """As the commands have them."""
        return settings.load(self.file, environment={})

    def new_search_group(self) -> None:
        """The Elasticsearch sink begins anew: under a group that has read nothing."""
        self._write(f'[elasticsearch]\ngroup = "anew-{uuid.uuid4().hex[:8]}"\n')

    def tapewatch(self, *words: str) -> str:
        """Run a command; what it prints. TapewatchError quotes it where it fails."""
        command = [sys.executable, "-m", "tapewatch", "--settings", str(self.file), *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
        with self._log.open("a") as log:
            log.write(f"$ {' '.join(words)}\n{done.stderr}\n")
        if done.returncode:
            quoted = done.stderr.strip()[-500:]
            raise TapewatchError(f"`tapewatch {' '.join(words)}` ended with {done.returncode}: {quoted}", "Run it.")
        return done.stdout

    def timed(self, *words: str, idle_s: float = 0.0) -> float:
        """Seconds that a command takes, without those it waits for more at its end."""
        begun = WALL.elapsed()
        self.tapewatch(*words)
        return round((WALL.elapsed() - begun) / NANOS - idle_s, 1)

    def proved(self, store: str) -> str:
        """Every row of a store against the topics."""
        found = json.loads(self.tapewatch("reconcile", "--rows", "--feed", FEED, "--only", store, "--json"))
        return (
            f"`reconcile --rows`: {found['rows']:,} rows, {found['lost']} lost, {found['doubled']} doubled, "
            f"{found['different']} different"
        )


@contextmanager
def drill() -> Iterator[Drill]:
    """A stack with Elasticsearch, gone at the end."""
    folder = Path(tempfile.mkdtemp(prefix="tapewatch-drill-"))
    made = Drill(folder)
    try:
        made.tapewatch("up", "--with", "elasticsearch")
        yield made
    finally:
        made.tapewatch("down")
        shutil.rmtree(folder, ignore_errors=True)


def fill(site: Drill, rows: int, say: Callable[[str], None]) -> int:
    """A market, and everything that is made of it; the number of alerts."""
    site.tapewatch("db", "migrate")
    say(f"filling: {rows:,} rows")
    seconds = str(max(rows // RATE, 60))
    market = ["produce", "synthetic", "--demo", "--feed", FEED, "--instruments", "100", "--rows-per-second", str(RATE)]
    site.tapewatch(*market, "--back-date", seconds, "--seconds", "1", "--json")
    site.tapewatch("run", "engine", "--quiet", "--until-idle", str(IDLE_S))
    site.tapewatch("run", "cases", "--quiet", "--until-idle", str(IDLE_S))
    for store in ("postgres", "elasticsearch"):
        site.tapewatch("sink", store, "--until-idle", str(IDLE_S))
    found: list[int] = []
    kafka.read_all(site.settings(), topics.ALERTS, lambda message: found.append(message.offset() or 0))
    return len(found)


def lose_postgres(site: Drill) -> RestoreResult:
    """The database dropped, and filled from the topics."""
    url = sa.engine.make_url(site.settings().postgres_url())
    engine = sa.create_engine(url.set(database="postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as session:
        session.execute(sa.text(f'DROP DATABASE "{url.database}" WITH (FORCE)'))
        session.execute(sa.text(f'CREATE DATABASE "{url.database}"'))
    engine.dispose()
    took = site.timed("db", "migrate")
    took += site.timed("sink", "postgres", "--until-idle", str(IDLE_S), idle_s=IDLE_S)
    how = "`db migrate`, `sink postgres` from the topics"
    return RestoreResult("PostgreSQL", how, round(took, 1), site.proved("postgres"))


def lose_elasticsearch(site: Drill) -> RestoreResult:
    """Every index and template deleted, and made from the topics."""
    from sinks.elasticsearch.client import connect

    client, prefix = connect(site.settings()), site.settings().elasticsearch.prefix
    for index in client.indices.get(index=f"{prefix}-*", expand_wildcards="all"):
        client.indices.delete(index=index)
    client.indices.delete_index_template(name=f"{prefix}-*")
    client.close()
    site.new_search_group()
    took = site.timed("sink", "elasticsearch", "--until-idle", str(IDLE_S), idle_s=IDLE_S)
    how = "a new `elasticsearch.group`, `sink elasticsearch` from the topics"
    return RestoreResult("Elasticsearch", how, took, site.proved("elasticsearch"))


def restart_engine(site: Drill, what: str, how: str) -> RestoreResult:
    """An engine that takes up every partition, to the end of the log."""
    took = site.timed("run", "engine", "--quiet", "--until-idle", str(IDLE_S), idle_s=IDLE_S)
    return RestoreResult(what, how, took, _verified(site))


def lose_snapshots(site: Drill) -> RestoreResult:
    """Every snapshot deleted: states are computed from the whole log."""
    chosen = site.settings()
    client, reader = kafka.admin(chosen), kafka.consumer(chosen, isolation_level="read_uncommitted")
    ends = [
        TopicPartition(topics.SNAPSHOTS, each, kafka.watermarks(reader, topics.SNAPSHOTS, each)[1])
        for each in range(kafka.existing_topics(client)[topics.SNAPSHOTS])
    ]
    reader.close()
    # Kafka deletes records of topics that may be deleted from alone.
    _policy(chosen, "compact,delete")
    for future in client.delete_records(ends).values():
        future.result()
    _policy(chosen, "compact")
    return restart_engine(site, "engine's snapshots", "`run engine`: the whole log is computed again, silently")


def _policy(chosen: Settings, policy: str) -> None:
    from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

    entry = ConfigEntry("cleanup.policy", policy, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topics.SNAPSHOTS, incremental_configs=[entry])
    client = kafka.admin(chosen)
    client.incremental_alter_configs([resource])[resource].result()


def lose_kafka(site: Drill) -> tuple[RestoreResult, RestoreResult]:
    """The data folder copied, lost, and put back."""
    copy = site.data.parent / "copy"
    begun = WALL.elapsed()
    site.tapewatch("down")
    shutil.copytree(site.data, copy, symlinks=True, ignore=_no_sockets)
    _owned_as(site.data, copy)
    site.tapewatch("up", "--with", "elasticsearch")
    copied = RestoreResult("(the copy)", "`down`, copy of the data folder, `up`", _since(begun), "")
    site.tapewatch("down")
    shutil.rmtree(site.data)
    begun = WALL.elapsed()
    shutil.copytree(copy, site.data, symlinks=True)
    _owned_as(copy, site.data)
    site.tapewatch("up", "--with", "elasticsearch")
    took = _since(begun)
    how = "the copy of the data folder put back, `up`"
    return copied, RestoreResult("Kafka, and all stores with it", how, took, _verified(site))


def _no_sockets(folder: str, names: list[str]) -> set[str]:
    return {name for name in names if (Path(folder) / name).is_socket()}


def _owned_as(source: Path, target: Path) -> None:
    """PostgreSQL's files belong to a user of their own."""
    for path in (target, *target.rglob("*")):
        like = source / path.relative_to(target)
        if not path.is_symlink() and like.exists():
            shutil.chown(path, like.stat().st_uid, like.stat().st_gid)


def _since(begun: int) -> float:
    return round((WALL.elapsed() - begun) / NANOS, 1)


def _verified(site: Drill) -> str:
    """Everything that the engine made of the feed, against the log."""
    found: dict[str, Any] = json.loads(site.tapewatch("verify", "--feed", FEED, "--json"))
    return (
        f"`verify --feed`: {found['rows']:,} rows in, {found['lost']} lost, {found['duplicated']} duplicated, "
        f"{found['different']} different"
    )


def run(rows: int, say: Callable[[str], None]) -> DisasterResult:
    """All of it; TapewatchError where something did not come back whole."""
    facts, restored = machine(), []
    with drill() as site:
        alerts = fill(site, rows, say)
        size = sum(path.stat().st_size for path in (site.data / "kafka").rglob("*.log"))
        for lose in (
            lose_postgres,
            lose_elasticsearch,
            lambda each: restart_engine(each, "engine process", "`run engine` from its snapshots"),
            lose_snapshots,
        ):
            restored.append(lose(site))
            say(f"{restored[-1].what}: {restored[-1].seconds:.1f} s")
        restored += lose_kafka(site)
        written = json.loads(site.tapewatch("verify", "--feed", FEED, "--json"))["rows"]
    return DisasterResult("disaster", written, alerts, round(size / 2**20, 1), restored, facts, versions())


def main(words: list[str]) -> int:
    """Print and write the document."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.disaster", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the market (default: 1000000)")
    parser.add_argument("--out", type=Path, metavar="FILE")
    args = parser.parse_args(words)
    signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
    give(run(args.rows, told), args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
