"""One run of a peer's program over a filled topic: started, watched until every quote has its record, ended."""

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec
from confluent_kafka import Consumer

import benchmarks
from benchmarks import environments
from benchmarks.process_time import tree_seconds
from tapewatch import kafka
from tapewatch.clock import WALL
from tapewatch.errors import TapewatchError
from tapewatch.settings import Settings
from tapewatch.topics import TopicSpec

PATIENCE_S = 180.0
"""Longest time without a new record: Spark fetches its connector first."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A stream processor to compare with.

    program : module below benchmarks.peers; its words are bootstrap, input topic, output topic, state folder, centres
    package : distribution whose version is stated; quotes : how many it gets; guarantee : what it runs with
    words : more of them; environment : whose it runs in, where that is not of its own name
    """

    name: str
    program: str
    package: str
    quotes: int
    guarantee: str
    words: tuple[str, ...] = ()
    environment: str = ""


class PeerRun(msgspec.Struct, frozen=True):
    """A peer's figures. seconds : from first to last record, by the broker's append times."""

    version: str
    guarantee: str
    quotes: int
    seconds: float
    quotes_per_s: float
    cpu_ns_per_quote: float


def run_peer(settings: Settings, peer: Peer, source: str, quotes: int, partitions: int, centres: Path) -> PeerRun:
    """Run it over the `quotes` records of `source`; TapewatchError where it ends or stalls before all are written."""
    python = environments.python_of(peer.environment or peer.name)
    target = f"bench.{peer.name}.scores"
    kafka.create_topics(settings, [TopicSpec(target, partitions, {"message.timestamp.type": "LogAppendTime"})])
    folder = Path(settings.data) / f"peer-{peer.name}"
    folder.mkdir()
    words = [str(python), "-m", f"benchmarks.peers.{peer.program}"]
    words += [settings.bootstrap(), source, target, str(folder), str(centres), *peer.words]
    root = Path(benchmarks.__file__).resolve().parent.parent
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(words, cwd=root, stdout=log, stderr=log)  # noqa: S603 - our own words
        try:
            cpu_s = _until_written(settings, process, target, quotes)
        finally:
            _end(process)
    return _measured(settings, peer, python, target, quotes, cpu_s)


def _until_written(settings: Settings, process: "subprocess.Popen[bytes]", target: str, quotes: int) -> float:
    """Wait until the output topic's end offsets reach `quotes`; the CPU time that the process has used, s."""
    reader = kafka.consumer(settings)
    partitions = kafka.existing_topics(kafka.admin(settings))[target]
    seen, moved = 0, time.monotonic()
    try:
        while seen < quotes:
            WALL.sleep(0.25)
            now = sum(kafka.watermarks(reader, target, partition)[1] for partition in range(partitions))
            if now > seen:
                seen, moved = now, time.monotonic()
            if process.poll() is not None or time.monotonic() - moved > PATIENCE_S:
                _fail(settings, target, seen, quotes)
        return tree_seconds(process.pid)
    finally:
        reader.close()


def _fail(settings: Settings, target: str, seen: int, quotes: int) -> None:
    """TapewatchError that quotes the end of the program's log."""
    log = next(Path(settings.data).glob(f"peer-{target.split('.')[1]}/log")).read_text(errors="replace")
    raise TapewatchError(
        f"{target} holds {seen:,} of {quotes:,} records and no more come: {log[-2000:]}", "Run it by hand."
    )


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Ask a process to end; kill it after 15 s."""
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _measured(settings: Settings, peer: Peer, python: Path, target: str, quotes: int, cpu_s: float) -> PeerRun:
    """Count what is committed, with the time from its first record to its last."""
    reader = kafka.consumer(settings)
    times = [
        stamp for partition in range(_partitions(settings, target)) for stamp in _stamps(reader, target, partition)
    ]
    reader.close()
    if len(times) != quotes:
        raise TapewatchError(
            f"{peer.name} wrote {len(times):,} records for {quotes:,} quotes", "The figures would mean nothing."
        )
    seconds = (max(times) - min(times)) / 1000
    return PeerRun(
        version=environments.version_of(python, peer.package),
        guarantee=peer.guarantee,
        quotes=quotes,
        seconds=round(seconds, 2),
        quotes_per_s=round((quotes - 1) / seconds, 1),
        cpu_ns_per_quote=round(cpu_s * 1e9 / quotes, 1),
    )


def _partitions(settings: Settings, topic: str) -> int:
    return kafka.existing_topics(kafka.admin(settings))[topic]


def _stamps(reader: Consumer, topic: str, partition: int) -> list[int]:
    """Append times of a partition's committed records, ms."""
    low, high = kafka.watermarks(reader, topic, partition)
    return [message.timestamp()[1] for message in kafka.read_range(reader, topic, partition, low, high)]
