"""The soak job `stall`: PostgreSQL stands still while the market goes on, then the broker does.

The memory of each of our processes is sampled, and nothing may be missing afterwards.
"""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa
from confluent_kafka import TopicPartition

from benchmarks.engine_run import command, environment
from benchmarks.figures import Machine, machine, versions
from infra.chaos.server import resident_bytes
from tapewatch.clock import NANOS, WALL
from tapewatch.contract import topics
from tapewatch.errors import TapewatchError
from tapewatch.runtime import group_offsets, kafka
from tapewatch.settings import Settings
from tapewatch.settings.stack import Addresses

ROWS_PER_SECOND = 2_000
INSTRUMENTS = 300
SAMPLE_S = 5.0
START_S = 600.0
BEFORE_S = 30.0
BETWEEN_S = 30.0
BROKER_SHARE = 0.15
"""Of the database's stall, the broker's; below the 300 s after which a producer gives its frames up and ends."""
DRAIN_S = 400.0
_KEPT = "SELECT partition, next_offset FROM sink_offsets WHERE topic = :topic"
_MARKET = ("quotes", "trades", "books", "orders")
_KEPT_MIB = 256
"""What the C library keeps of freed memory in each of its areas: the main thread's and one of a client's threads."""
BOUND_MIB = {
    # The send queue: its frames, and what the client keeps with each.
    "producer": 256 + 400,
    # Frames read ahead, and ahead of a recovery; frames and outputs of the batch in the making and of the one before.
    "engine": 64 + 32 + 2 * 64 + 2 * _KEPT_MIB,
    # Records read ahead; an answer of the broker on its way, 16 MiB packed; a batch.
    "sink": 32 + 64 + 64 + _KEPT_MIB,
}
"""What a process may take beyond what it had before a stall, when the market came row by row: docs/back-pressure.md."""


class StallMemory(msgspec.Struct, frozen=True):
    """Resident memory of a process, MiB: most before the stalls, while the database stood still, while the broker did,
    after both; bound : before and what its queues may hold.
    """

    before: float
    database: float
    broker: float
    after: float
    bound: float


class StallResult(msgspec.Struct, frozen=True):
    """The JSON document of the job.

    stalls : seconds by what stood still; missing : rows sent that are not in PostgreSQL
    features_missing : feature rows written that are not there; samples : seconds since the start, then MiB by process
    """

    job: str
    minutes: float
    passed: bool
    rows_per_second: int
    instruments: int
    stalls: dict[str, float]
    rows_sent: int
    producer_behind_s: float
    engine_aborted: int
    missing: int
    features_missing: int
    caught_up_s: float
    memory: dict[str, StallMemory]
    samples: dict[str, list[float]]
    versions: dict[str, str]
    machine: Machine


@dataclass(slots=True)
class Site:
    """Our processes and the servers they use. phases : of each sample, what stood still then"""

    settings: Settings
    processes: "dict[str, subprocess.Popen[bytes]]" = field(default_factory=dict)
    times: list[float] = field(default_factory=list)
    phases: list[str] = field(default_factory=list)
    samples: dict[str, list[float]] = field(default_factory=dict)
    begun: int = field(default_factory=WALL.elapsed)

    def start(self, name: str, *words: str) -> None:
        """Start one part; output and messages go into files of the data folder."""
        folder = Path(self.settings.data)
        with (folder / f"{name}.out").open("wb") as out, (folder / f"{name}.log").open("wb") as log:
            variables = environment(self.settings)
            self.processes[name] = subprocess.Popen(command(*words), env=variables, cwd=folder, stdout=out, stderr=log)  # noqa: S603

    def watch(self, phase: str, seconds: float) -> None:
        """Sample every process for so long; TapewatchError where one has ended before its time."""
        until = WALL.elapsed() + int(seconds * NANOS)
        while WALL.elapsed() < until:
            for name, process in self.processes.items():
                if process.poll() is not None and not (name == "producer" and process.returncode == 0):
                    raise TapewatchError(f"the {name} has ended while: {phase}", self.tail(name))
            self.times.append(round((WALL.elapsed() - self.begun) / NANOS, 1))
            self.phases.append(phase)
            for name, process in self.processes.items():
                self.samples.setdefault(name, []).append(round(resident_bytes(process.pid) / 2**20, 1))
            now = {name: values[-1] for name, values in self.samples.items()}
            print(f"{self.times[-1]:7.0f} s  {phase:<8}  {now} MiB", file=sys.stderr)
            WALL.sleep(min(SAMPLE_S, max((until - WALL.elapsed()) / NANOS, 0.01)))

    def tail(self, name: str) -> str:
        """What a process said last."""
        return "It said last: " + (Path(self.settings.data) / f"{name}.log").read_text(errors="replace")[-1500:]

    def document(self, name: str) -> dict[str, Any]:
        """The JSON document that a process has printed."""
        found: dict[str, Any] = msgspec.json.decode((Path(self.settings.data) / f"{name}.out").read_bytes())
        return found

    def most(self, name: str, phase: str) -> float:
        """Most memory of a process in a phase, MiB; 0 where it has ended by then."""
        return max(
            (held for at, held in zip(self.phases, self.samples[name], strict=False) if at == phase), default=0.0
        )


def run(settings: Settings, minutes: float) -> StallResult:
    """Stall the database for that long, then the broker for BROKER_SHARE of it, while a market goes on."""
    facts, site = machine(), Site(settings)
    stalls = {"database": minutes * 60, "broker": minutes * 60 * BROKER_SHARE}
    site.start("migration", "db", "migrate")
    if site.processes.pop("migration").wait(300) != 0:
        raise TapewatchError("the database could not be migrated", site.tail("migration"))
    try:
        site.start("engine", "run", "engine", "--instance", "soak", "--quiet", "--json")
        site.start("sink", "sink", "postgres")
        site.start(
            "producer",
            *("produce", "synthetic", "--instruments", str(INSTRUMENTS), "--rows-per-second", str(ROWS_PER_SECOND)),
            *("--back-date", "0", "--json"),
        )
        _await_work(site)
        site.watch("before", BEFORE_S)
        _stalled(site, "database", _with_children(Addresses.running(Path(settings.data)).pids["postgres"]), stalls)
        site.watch("between", BETWEEN_S)
        _stalled(site, "broker", [Addresses.running(Path(settings.data)).pids["kafka"]], stalls)
        site.processes["producer"].send_signal(signal.SIGINT)
        caught_up_s = _catch_up(site)
        site.watch("after", SAMPLE_S)
        engine = site.processes.pop("engine")
        engine.send_signal(signal.SIGINT)
        engine.wait(120)
        return _result(site, minutes, stalls, caught_up_s, site.document("engine"), facts)
    finally:
        for process in site.processes.values():
            process.kill()
            process.wait()


def _await_work(site: Site) -> None:
    """Wait until rows of the market and features lie in PostgreSQL."""
    deadline = WALL.elapsed() + START_S * NANOS
    while not all(_asked(site.settings, f"SELECT 1 FROM {table} LIMIT 1") for table in ("quotes", "features")):  # noqa: S608
        if WALL.elapsed() > deadline:
            raise TapewatchError(f"nothing lies in PostgreSQL after {START_S:.0f} s", site.tail("engine"))
        site.watch("starting", SAMPLE_S)


def _stalled(site: Site, what: str, pids: list[int], stalls: dict[str, float]) -> None:
    """Freeze a server for its time."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        site.watch(what, stalls[what])
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def _with_children(pid: int) -> list[int]:
    """A process and those that it has begun."""
    found = [pid]
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == pid:
            found.append(int(path.parent.name))
    return found


def _catch_up(site: Site) -> float:
    """Wait until the producer has ended and the sink has all there is; seconds."""
    began, deadline = WALL.elapsed(), WALL.elapsed() + DRAIN_S * NANOS
    while site.processes["producer"].poll() is None or _behind(site.settings):
        if WALL.elapsed() > deadline:
            raise TapewatchError(f"what was stalled is not caught up with in {DRAIN_S:.0f} s", site.tail("sink"))
        site.watch("catching", SAMPLE_S)
    return (WALL.elapsed() - began) / NANOS


def _behind(settings: Settings) -> int:
    """Records of the market that the engine has not committed or the sink has not kept."""
    market = topics.market("synthetic")
    kept = {row[0]: row[1] for row in _asked(settings, _KEPT, topic=market)}
    reader = kafka.consumer(settings, settings.engine.group)
    try:
        places = [TopicPartition(market, each) for each in range(kafka.existing_topics(kafka.admin(settings))[market])]
        missing = 0
        for place in group_offsets.committed(reader, places):
            end = kafka.watermarks(reader, market, place.partition)[1]
            missing += max(end - max(place.offset, 0), end - kept.get(place.partition, 0))
        return missing
    finally:
        reader.close()


def _asked(settings: Settings, question: str, **values: str) -> list[Any]:
    """Rows of the database."""
    engine = sa.create_engine(settings.postgres_url(), poolclass=sa.NullPool)
    with engine.connect() as session:
        return list(session.execute(sa.text(question), values))


def _rows_kept(settings: Settings) -> int:
    """Market rows in PostgreSQL, heartbeats and other status rows not among them."""
    return sum(_asked(settings, f"SELECT count(*) FROM {table}")[0][0] for table in _MARKET)  # noqa: S608 - our own names


def _features_missing(settings: Settings, written: int) -> int:
    """Feature rows that the engine wrote and PostgreSQL has not, once the sink has had time for the last."""
    deadline = WALL.elapsed() + DRAIN_S * NANOS
    while (left := written - _asked(settings, "SELECT count(*) FROM features")[0][0]) and WALL.elapsed() < deadline:
        WALL.sleep(1.0)
    return int(left)


def _result(
    site: Site, minutes: float, stalls: dict[str, float], caught_up_s: float, totals: dict[str, Any], facts: Machine
) -> StallResult:
    """What samples and counts say."""
    sent = site.document("producer")
    rows = sum(count for kind, count in sent["rows"].items() if kind != "status")
    missing = rows - _rows_kept(site.settings)
    features = _features_missing(site.settings, totals["features"])
    memory = {}
    for name, bound in BOUND_MIB.items():
        before = site.most(name, "before")
        after = max(site.most(name, phase) for phase in ("between", "catching", "after"))
        memory[name] = StallMemory(
            before, site.most(name, "database"), site.most(name, "broker"), after, round(before + bound, 1)
        )
    bounded = all(max(each.database, each.broker, each.after) <= each.bound for each in memory.values())
    return StallResult(
        job="stall",
        minutes=minutes,
        passed=bounded and missing == 0 and features == 0,
        rows_per_second=ROWS_PER_SECOND,
        instruments=INSTRUMENTS,
        stalls=stalls,
        rows_sent=rows,
        producer_behind_s=sent["worst_behind_s"],
        engine_aborted=totals["aborted"],
        missing=missing,
        features_missing=features,
        caught_up_s=round(caught_up_s, 1),
        memory=memory,
        samples={"seconds": site.times, **site.samples},
        versions=versions(),
        machine=facts,
    )


def markdown(result: StallResult) -> str:
    """The result for people."""
    stalls = ", ".join(f"{what} {seconds / 60:g} minutes" for what, seconds in result.stalls.items())
    lines = [
        f"{'Passed' if result.passed else 'NOT passed'}: stood still: {stalls}; {result.rows_sent:,} rows sent at "
        f"{result.rows_per_second:,}/s, {result.missing:,} of them and {result.features_missing:,} feature rows "
        f"missing in PostgreSQL; the producer was {result.producer_behind_s:,.0f} s behind at worst, all was caught up "
        f"with in {result.caught_up_s:,.0f} s; {result.engine_aborted} transactions aborted.",
        "",
        "| process | most before, MiB | database stalled | broker stalled | afterwards | bound |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {name} | {held.before:,.0f} | {held.database:,.0f} | {held.broker:,.0f} | {held.after:,.0f} "
        f"| {held.bound:,.0f} |"
        for name, held in result.memory.items()
    ]
    return "\n".join(lines)
