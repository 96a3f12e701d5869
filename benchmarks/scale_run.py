"""One run of several engine processes of a group over one filled topic: how fast, and where the processor time went.

The log is written in one transaction that stays open until every process holds its partitions: none sees a row before
it is committed, so that all begin together and neither their starts nor the rebalances are in the figures.
"""

import re
import subprocess
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import msgspec
from confluent_kafka import Message, Producer, TopicPartition

from benchmarks.engine import fill_with
from benchmarks.engine_run import Shape, check, command, count, ends, environment
from benchmarks.soak_market import MachineTime, cpu_seconds, thread_seconds
from tapewatch.clock import NANOS, WALL
from tapewatch.contract import topics
from tapewatch.contract.messages import Commit
from tapewatch.errors import TapewatchError
from tapewatch.runtime import group_offsets, kafka, transactions
from tapewatch.settings import Settings
from tapewatch.settings.stack import Addresses

JOIN_S, LONGEST_S = 180.0, 600.0
STEADY_S = 3.0
"""How long an assignment has to stand before the log is opened."""
_GATE_MS = 900_000


@dataclass(frozen=True, slots=True)
class Share:
    """Processor time of one engine process between the gate and the last commit, s. main : of it its main thread's"""

    instance: str
    rows: int
    transactions: int
    cpu_s: float
    main_s: float


@dataclass(frozen=True, slots=True)
class GroupRun:
    """What one run gave.

    seconds : from the gate to the last commit record; broker_s, broker_by_thread : processor time of the broker, s
    machine : of all cores, the bench and its waiting included; bytes_in : of the log on its way in, before compression
    log_bytes, written_bytes : as they lie on the broker's disk: the log, and what the engines wrote of it
    """

    seconds: float
    rows: int
    bytes_in: int
    log_bytes: int
    written_bytes: int
    shares: tuple[Share, ...]
    broker_s: float
    broker_by_thread: dict[str, float]
    machine: MachineTime

    @property
    def rows_per_s(self) -> float:
        """Of all processes together."""
        return self.rows / self.seconds


@dataclass(slots=True)
class _CpuSample:
    """Processor times at one moment."""

    engines: dict[str, tuple[float, float]]
    broker: float
    threads: dict[int, tuple[str, float]]
    machine: MachineTime = field(default_factory=MachineTime.now)


class Group:
    """Engine processes of one consumer group over one feed."""

    def __init__(self, settings: Settings, feed: str, group: str, processes: int) -> None:
        self._settings, self._feed, self._group = settings, feed, group
        self._broker = Addresses.running(settings.data_path).pids["kafka"]
        self._processes = {f"{group}-{number}": self._start(f"{group}-{number}") for number in range(processes)}

    def _start(self, instance: str) -> subprocess.Popen[bytes]:
        words = command("run", "engine", "--instance", instance, "--feed", self._feed, "--quiet", "--json")
        variables = environment(self._settings, ENGINE_GROUP=self._group, LOG_LEVEL="warning")
        return subprocess.Popen(words, env=variables, cwd=self._settings.data, stdout=subprocess.PIPE)  # noqa: S603 - our own words

    def await_assignment(self, partitions: int) -> None:
        """Wait until every process holds partitions, all of them together, and has for STEADY_S seconds."""
        client, since = kafka.admin(self._settings), WALL.elapsed()
        deadline = WALL.elapsed() + int(JOIN_S * NANOS)
        while WALL.elapsed() - since < STEADY_S * NANOS:
            self._check()
            found = client.describe_consumer_groups([self._group])[self._group].result(15).members
            held = [len(each.assignment.topic_partitions) for each in found if each.assignment]
            if sum(held) != partitions or len(held) != len(self._processes) or not all(held):
                since = WALL.elapsed()
            if WALL.elapsed() > deadline:
                raise TapewatchError(f"{len(held)} engines joined, holding {held}", "Its messages stand above.")
            WALL.sleep(0.1)

    def await_end(self, target: int) -> None:
        """Wait until the group has committed so many frames."""
        reader, topic = kafka.consumer(self._settings, self._group), topics.market(self._feed)
        count = kafka.existing_topics(kafka.admin(self._settings))[topic]
        places = [TopicPartition(topic, partition) for partition in range(count)]
        deadline = WALL.elapsed() + int(LONGEST_S * NANOS)
        try:
            while sum(max(each.offset, 0) for each in group_offsets.committed(reader, places)) < target:
                self._check()
                if WALL.elapsed() > deadline:
                    raise TapewatchError(
                        f"the engines did not come to the end in {LONGEST_S:.0f} s", "Take fewer rows."
                    )
                WALL.sleep(0.1)
        finally:
            reader.close()

    def look(self) -> _CpuSample:
        """Processor times now."""
        engines = {}
        for instance, process in self._processes.items():
            engines[instance] = (cpu_seconds(process.pid), thread_seconds(process.pid)[process.pid][1])
        return _CpuSample(engines, cpu_seconds(self._broker), thread_seconds(self._broker))

    def end(self) -> dict[str, dict[str, Any]]:
        """Stop the processes; what each says it did."""
        for process in self._processes.values():
            process.terminate()
        said = {}
        for instance, process in self._processes.items():
            output, _ = process.communicate(timeout=60)
            if process.returncode != 0:
                raise TapewatchError(f"an engine ended with {process.returncode}", "Its messages stand above.")
            said[instance] = msgspec.json.decode(output)
        return said

    def kill(self) -> None:
        """Leave none behind, whatever happened."""
        for process in self._processes.values():
            if process.poll() is None:
                process.kill()
                process.wait()

    def _check(self) -> None:
        dead = [instance for instance, process in self._processes.items() if process.poll() is not None]
        if dead:
            raise TapewatchError(f"{', '.join(dead)} ended by itself", "Its messages stand above.")


def run_group(settings: Settings, feed: str, shape: Shape, processes: int) -> GroupRun:
    """Fill a new feed and let so many engine processes work it off; no row may be missing after it."""
    before, written = ends(settings), _on_disk(settings, *_WRITTEN)
    gate = _gate(settings, feed)
    sent = fill_with(settings, gate, feed, shape)
    engines = Group(settings, feed, feed, processes)
    try:
        engines.await_assignment(shape.partitions)
        looked, opened = engines.look(), WALL.now()
        transactions.commit(gate)
        engines.await_end(sent.frames)
        after = engines.look()
        totals = engines.end()
    finally:
        engines.kill()
    counted = count(settings, before)
    check(shape, _together(totals), counted)
    last, rows, committed = _commits(settings, feed)
    shares = tuple(
        Share(
            instance=instance,
            rows=rows[instance],
            transactions=committed[instance],
            cpu_s=round(cpu - looked.engines[instance][0], 2),
            main_s=round(main - looked.engines[instance][1], 2),
        )
        for instance, (cpu, main) in after.engines.items()
    )
    return GroupRun(
        seconds=(last - opened) / NANOS,
        rows=shape.rows,
        bytes_in=sent.bytes,
        log_bytes=_on_disk(settings, topics.market(feed)),
        written_bytes=_on_disk(settings, *_WRITTEN) - written,
        shares=shares,
        broker_s=round(after.broker - looked.broker, 2),
        broker_by_thread=_by_kind(looked.threads, after.threads),
        machine=after.machine.since(looked.machine),
    )


def _gate(settings: Settings, feed: str) -> Producer:
    """A producer whose transaction is open: what it sends is seen when it is committed."""
    producer = transactions.make_producer(
        settings, f"gate-{feed}", _GATE_MS, linger_ms=5, batch_size=1_000_000, compression_type="lz4"
    )
    transactions.begin(transactions.fenced(producer))
    return producer


_WRITTEN = (topics.FEATURES, topics.SCORES, topics.BARS, topics.ALERTS, topics.COMMITS, topics.SNAPSHOTS)


def _on_disk(settings: Settings, *names: str) -> int:
    """Bytes of these topics' logs in the embedded broker's folder."""
    wanted = re.compile("|".join(rf"{re.escape(name)}-[0-9]+" for name in names))
    folders = [each for each in (settings.data_path / "kafka" / "data").iterdir() if wanted.fullmatch(each.name)]
    return sum(file.stat().st_size for folder in folders for file in folder.glob("*.log"))


def _together(totals: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What all processes did, as `check` asks for it."""
    by_type: Counter[str] = Counter()
    for each in totals.values():
        by_type.update(each["by_type"])
    return {"by_type": by_type, "refused": sum(each["refused"] for each in totals.values())}


def _commits(settings: Settings, feed: str) -> tuple[int, Counter[str], Counter[str]]:
    """When the feed's last commit record was appended (UTC ns); rows and transactions by instance."""
    last, rows, transactions, seen = 0, Counter[str](), Counter[str](), set[tuple[str, int]]()

    def take(message: Message) -> None:
        nonlocal last
        if message.key() != topics.market(feed).encode():
            return
        found = msgspec.json.decode(message.value() or b"", type=Commit)
        last = max(last, message.timestamp()[1] * 1_000_000)
        rows[found.instance] += sum(found.rows.values())
        # A process's partitions are committed together.
        moment = (found.instance, message.timestamp()[1])
        transactions[found.instance] += moment not in seen
        seen.add(moment)

    kafka.read_all(settings, topics.COMMITS, take)
    return last, rows, transactions


_KINDS = {
    "data-plane-kafk": "requests and network",
    "kafka-network-t": "requests and network",
    "C1 CompilerThre": "JIT compilers",
    "C2 CompilerThre": "JIT compilers",
    "GC Thread#": "garbage collection",
    "VM Thread": "garbage collection",
    "G1 ": "garbage collection",
}


def _by_kind(before: dict[int, tuple[str, float]], after: dict[int, tuple[str, float]]) -> dict[str, float]:
    """The broker's processor time by what its threads are for, s."""
    found: Counter[str] = Counter()
    for number, (name, taken) in after.items():
        kind = next((kind for begin, kind in _KINDS.items() if name.startswith(begin)), "other")
        found[kind] += taken - before.get(number, (name, 0.0))[1]  # type: ignore[assignment]
    return {kind: round(value, 2) for kind, value in found.most_common()}
