"""A log, engine processes over it, and what came out beside what the brokerless driver says must come out."""

import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
from confluent_kafka import ConsumerGroupState, TopicPartition

from producers.feed import FeedWriter, LiveWriter, feed_producer, open_feed
from producers.synthetic import SyntheticConfig, SyntheticMarket
from streams.driver import Driver
from streams.engine.recovery import feed as feed_task
from tapewatch.clock import NANOS
from tapewatch.contract import frames, topics
from tapewatch.market_log.registry import Registry
from tapewatch.runtime import group_offsets, kafka
from tapewatch.settings import Settings
from tests.eventually import eventually, runs
from tests.faults.last_words import DIED, LastWords

START_NS = 1_750_000_000 * NANOS
COMPARED = (topics.FEATURES, topics.SCORES, topics.BARS, topics.ALERTS, topics.COVERAGE)


def write_market(
    settings: Settings,
    feed: str,
    seconds: int,
    partitions: int,
    instruments: int = 40,
    flushes: int = 20,
    epoch: int = 1,
    since_ns: int = START_NS,
    pump_per_hour: float = 4.0,
) -> int:
    """Send a synthetic market with early pumps; returns the number of frames in the log.

    epoch : of the writer; each begins where the one before ended, the first at `since_ns`
    """
    start_ns = since_ns + (epoch - 1) * seconds * NANOS
    config = SyntheticConfig(
        instruments=instruments,
        rows_per_second=instruments * 15.0,
        seconds=seconds,
        warmup_s=610.0,
        pump_per_hour=pump_per_hour,
        halt_per_hour=2.0,
        cooldown_s=120.0,
    )
    market = SyntheticMarket(config, 4 + epoch, start_ns)
    count = open_feed(settings, feed, market.instruments, partitions)
    writer = FeedWriter(
        feed_producer(settings, 5), feed, f"test-{feed}", epoch, count, [each.id for each in market.instruments]
    )
    live = LiveWriter(writer)
    for chunk in market.chunks():
        second = chunk.end_ns - NANOS
        for part in range(flushes):
            low, until = second + part * NANOS // flushes, second + (part + 1) * NANOS // flushes
            for rows in chunk.rows:
                start, stop = np.searchsorted(rows.ts_recv, [low, until])
                if stop > start:
                    live.add(rows.take(slice(start, stop)))
            live.flush(until - 1)
    live.close(start_ns + seconds * NANOS)
    writer.flush()
    return sum(end(settings, feed, partition) for partition in range(count))


def end(settings: Settings, feed: str, partition: int) -> int:
    """Next offset of a market partition."""
    reader = kafka.consumer(settings)
    try:
        return kafka.watermarks(reader, topics.market(feed), partition)[1]
    finally:
        reader.close()


@dataclass
class Engines:
    """Engine processes of one group over one feed."""

    settings: Settings
    feed: str
    group: str
    batch_frames: int
    snapshot_seconds: float = 0.5
    log_level: str = "warning"
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, instance: str, name: str = "", tree: Path | None = None) -> None:
        """Start (or start again) one member. name : by which it is known here, where that is not the instance
        tree : source tree of another build that it runs
        """
        toml = self.settings.data_path / f"{self.group}.toml"
        toml.parent.mkdir(parents=True, exist_ok=True)
        toml.write_text(f'[engine]\nfeeds = ["{self.feed}"]\n')
        command = [sys.executable, "-m", "tapewatch", "--settings", str(toml), "run", "engine", "--quiet"]
        command += ["--instance", f"{self.group}-{instance}", "--batch-frames", str(self.batch_frames)]
        errors = (self.settings.data_path / f"{self.group}-{name or instance}.err").open("ab")
        with errors:
            self.processes[name or instance] = subprocess.Popen(
                command, env=self._environment(), stderr=errors, cwd=tree
            )

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "TAPEWATCH_KAFKA_BOOTSTRAP": self.settings.bootstrap(),
            "TAPEWATCH_ENGINE_GROUP": self.group,
            "TAPEWATCH_ENGINE_SNAPSHOT_SECONDS": str(self.snapshot_seconds),
            "TAPEWATCH_LOG_LEVEL": self.log_level,
        }

    def die(self, instance: str, step: str, after: int) -> LastWords:
        """Let a member die at a step of the protocol, once it has committed `after` transactions; its last words."""
        environment = self._environment() | {
            "TAPEWATCH_ENGINE_INSTANCE": f"{self.group}-{instance}",
            "TAPEWATCH_ENGINE_BATCH_FRAMES": str(self.batch_frames),
            "TAPEWATCH_ENGINE_FEEDS": self.feed,
        }
        command = [sys.executable, "-m", "tests.faults.dying_engine", step, str(after)]
        died = subprocess.run(command, env=environment, stdout=subprocess.PIPE, timeout=600, check=False)
        assert died.returncode == DIED, f"it ended with {died.returncode}, not at {step}"
        return msgspec.json.decode(died.stdout.splitlines()[-1], type=LastWords)

    def said(self, name: str) -> str:
        """What a process wrote on its standard error."""
        return (self.settings.data_path / f"{self.group}-{name}.err").read_text()

    def freeze(self, name: str) -> None:
        """SIGSTOP."""
        self.processes[name].send_signal(signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        """SIGCONT."""
        self.processes[name].send_signal(signal.SIGCONT)

    def members(self) -> dict[str, int]:
        """How many partitions each member of the group holds, by instance; none while they are being shared out."""
        client = kafka.admin(self.settings)
        found = client.describe_consumer_groups([self.group])[self.group].result(15)
        if found.state != ConsumerGroupState.STABLE:
            return {}
        return {
            each.group_instance_id.removeprefix(f"{self.group}-"): len(each.assignment.topic_partitions)
            for each in found.members
        }

    def wait_for_members(self, wanted: int, seconds: float = 200.0) -> dict[str, int]:
        """Wait until so many members hold partitions; how many each holds."""

        def working() -> dict[str, int]:
            found = {name: held for name, held in self.members().items() if held}
            assert len(found) == wanted, found
            return found

        return eventually(working, what=f"{wanted} members work", seconds=seconds, pause=0.1)

    def kill(self, instance: str) -> None:
        """kill -9."""
        self.processes[instance].send_signal(signal.SIGKILL)
        self.processes[instance].wait()

    def end(self, name: str) -> None:
        """End one member in order."""
        process = self.processes.pop(name)
        process.terminate()
        assert process.wait(600) == 0

    def stop(self) -> None:
        """End all members."""
        for process in self.processes.values():
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in self.processes.values():
            process.wait(600)

    def position(self) -> int:
        """Sum of the group's committed offsets."""
        return sum(place.offset for place in self.committed() if place.offset > 0)

    def committed(self) -> list[TopicPartition]:
        """Where the group stands; an undecided transaction is waited for."""
        reader = kafka.consumer(self.settings, self.group)
        try:
            count = kafka.existing_topics(kafka.admin(self.settings))[topics.market(self.feed)]
            places = [TopicPartition(topics.market(self.feed), partition) for partition in range(count)]
            return group_offsets.committed(reader, places)
        finally:
            reader.close()

    def wait(self, target: int, seconds: float = 400.0) -> None:
        """Wait until the group has committed `target` frames in all."""

        def is_there() -> bool:
            for name, process in self.processes.items():
                runs(process, partial(self.said, name))
            position = self.position()
            assert position >= target, f"{position} of {target}"
            return True

        eventually(is_there, what=f"{target} frames are committed", seconds=seconds)


def kill_at_random(engines: Engines, target: int, kills: int, seed: int) -> int:
    """Kill and restart members at random moments while they work; returns how often one was killed."""
    rng = random.Random(seed)
    done = 0
    while done < kills and engines.position() < target:
        before = engines.position()
        time.sleep(rng.uniform(0.0, 0.4))
        if done % 2 and engines.position() == before:
            # Every other time let it make progress first, so that kills fall into work as well as into recovery.
            deadline = time.monotonic() + 20
            while engines.position() == before and time.monotonic() < deadline:
                time.sleep(0.01)
        instance = rng.choice(sorted(engines.processes))
        engines.kill(instance)
        engines.start(instance)
        done += 1
    return done


def assert_same(found: "dict[int, Rows]", wanted: "dict[int, Rows]") -> None:
    """Nothing lost, nothing twice, nothing different."""
    assert found.keys() == wanted.keys()
    for partition, by_topic in wanted.items():
        assert found[partition].keys() == by_topic.keys()
        for topic, truth in by_topic.items():
            rows = found[partition][topic]
            assert len(rows) == len(truth), f"{topic}[{partition}]: {len(rows)} rows, not {len(truth)}"
            assert rows == truth, f"{topic}[{partition}] differs"


Rows = dict[str, list[tuple[object, ...]]]


def written(settings: Settings, feed: str) -> dict[int, Rows]:
    """What lies on the output topics for a feed (read committed), by input partition: rows in order, as bytes."""
    found: dict[int, Rows] = {}
    for topic in COMPARED:

        def keep(message: object, topic: str = topic) -> None:
            partition = _input_partition(message, feed)
            if partition is not None:
                collect(found.setdefault(partition, {}), topic, message.value(), message.headers())  # type: ignore[attr-defined]

        kafka.read_all(settings, topic, keep)
    return found


def collect(found: Rows, topic: str, value: bytes, headers: list[tuple[str, bytes]]) -> None:
    """Add a record's rows, by topic and row type: rows of one type have one order, records may be cut anywhere."""
    kind = dict(headers or ()).get("type", b"coverage").decode()
    found.setdefault(f"{topic}/{kind}", []).extend(_rows(value, headers))


def _input_partition(message, feed):
    headers = dict(message.headers() or ())
    if headers.get("feed") == feed.encode():
        return int(headers["partition"])
    if headers.get("type") == b"alert":
        try:
            provenance = msgspec.json.decode(message.value())["provenance"]
        except msgspec.DecodeError:
            return None  # other tests leave broken alerts on the shared topic; the comparison would miss one of ours
        if provenance["topic"] == topics.market(feed):
            return provenance["partition"]
    return None


def _rows(value: bytes, headers: list[tuple[str, bytes]]) -> list[tuple[object, ...]]:
    """The rows of a frame (or the JSON message) as tuples of bytes, however they were cut into records."""
    if not value.startswith(b"\xff\xff\xff\xff"):
        return [(value,)]
    batch = frames.read_stream(value)
    names = batch.column(0).dictionary.to_pylist()
    codes = batch.column(0).indices.to_pylist()
    columns = [_bytes_of(column) for column in batch.columns[1:]]
    kind = dict(headers)["type"]
    return [(kind, names[code], *cells) for code, *cells in zip(codes, *columns, strict=True)]


def _bytes_of(column: pa.Array) -> list[bytes]:
    """Each value's bytes, so that NaNs compare bit for bit."""
    width = column.type.bit_width // 8
    data = column.buffers()[1].to_pybytes()[column.offset * width :]
    return [data[start : start + width] for start in range(0, len(column) * width, width)]


def expected(settings: Settings, feed: str) -> dict[int, Rows]:
    """What the brokerless driver makes of the log as it lies on the broker."""
    registry = Registry(settings)
    reader = kafka.consumer(settings)
    found: dict[int, Rows] = {}
    try:
        for partition in range(kafka.existing_topics(kafka.admin(settings))[topics.market(feed)]):
            driver = Driver(registry, topics.market(feed), partition)
            low, high = kafka.watermarks(reader, topics.market(feed), partition)
            for message in kafka.read_range(reader, topics.market(feed), partition, low, high):
                feed_task(driver.task, message)
            for record in driver.outgoing():
                if record.topic in COMPARED:
                    collect(found.setdefault(partition, {}), record.topic, record.value, record.headers)
    finally:
        reader.close()
        registry.close()
    return found
