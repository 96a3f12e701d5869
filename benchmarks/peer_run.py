"""One run of a peer's program over a filled topic: started, watched until every quote has its record, ended.

Whether a peer wrote what was asked of it: its records against the plain step over the same quotes.

Environments of the peers: made by uv from hash-pinned requirement files, kept in the user's cache folder.
"""

import hashlib
import json
import math
import shutil
import subprocess
import sys
import time
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka import Consumer, Message

import benchmarks
from benchmarks.peers.features import NAMES, Centres, fresh, step
from benchmarks.soak_market import tree_seconds
from infra.embedded import jars
from infra.embedded.lock import Lock
from tapewatch.clock import WALL
from tapewatch.contract.topics import TopicSpec
from tapewatch.errors import TapewatchError
from tapewatch.kernels import cache_folder
from tapewatch.runtime import kafka
from tapewatch.settings import Settings

_READY = ".ready"


def python_of(peer: str) -> Path:
    """The Python of a peer's environment, made now where it does not exist yet.

    The folder is named by the hash of requirement file and Python version, so that changed pins give a new environment.
    """
    requirements = Path(str(resources.files("benchmarks.peers") / f"{peer}.txt"))
    named = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()[:16]
    folder = cache_folder() / "peers" / named
    python = folder / "bin" / "python"
    if not (folder / _READY).exists():
        shutil.rmtree(folder, ignore_errors=True)
        _uv("venv", "--python", sys.executable, str(folder))
        _uv("pip", "install", "--python", str(python), "--require-hashes", "-r", str(requirements))
        (folder / _READY).touch()
    return python


def version_of(python: Path, package: str) -> str:
    """Installed version of a distribution in that environment."""
    script = f"from importlib.metadata import version; print(version({package!r}))"
    done = subprocess.run([str(python), "-c", script], capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    return done.stdout.strip() or "unknown"


def _uv(*words: str) -> None:
    """Run uv; TapewatchError with what it said where it fails."""
    beside = Path(sys.executable).with_name("uv")
    program = str(beside) if beside.exists() else shutil.which("uv")
    if program is None:
        raise TapewatchError("the peers' environments are made by uv, which is not here", "Run `pip install uv`.")
    done = subprocess.run([program, "--quiet", *words], capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    if done.returncode != 0:
        raise TapewatchError(
            f"uv {words[0]} failed: {done.stderr.strip()}", "Look at the package index settings of uv."
        )


EVERY = 40
"""One instrument in so many is looked at: each goes its own way, from its first quote to its last."""


def looked_at(instrument: bytes) -> bool:
    """Whether this instrument, a record's key, is one of them."""
    return zlib.crc32(instrument) % EVERY == 0


def differing(quotes: Iterable[bytes], written: Iterable[bytes], centres: Centres, names: Sequence[str]) -> int:
    """How many quotes have no record, or one with other features of these names or, where they are all, other distance.

    quotes : of whole instruments, each in the order of its log; written : in any order
    """
    found = {(made["instrument"], made["ts"]): made for made in map(json.loads, written)}
    states, count = defaultdict[str, dict[str, Any]](fresh), 0
    for quote in map(json.loads, quotes):
        features = step(states[quote["instrument"]], quote)
        wanted = {name: value for name, value in zip(NAMES, features, strict=True) if name in names}
        if len(wanted) == len(NAMES):
            wanted["distance"] = centres.distance(features)
        made = found.get((quote["instrument"], quote["ts"]))
        count += made is None or not all(_same(made.get(name), value) for name, value in wanted.items())
    return count


def _same(one: float | None, other: float | None) -> bool:
    """Equal but for the last bits: not every peer adds in Python."""
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)


PATIENCE_S = 180.0
"""Longest time without a new record: Spark fetches its connector first."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A stream processor to compare with.

    program : module below benchmarks.peers; its words are bootstrap, input topic, output topic, state folder, centres
    package : distribution whose version is stated; quotes : how many it gets; guarantee : what it runs with
    words : more of them; environment : whose it runs in, where that is not of its own name
    names : the features that it computes; libraries : Java libraries, whose folder is one more word
    """

    name: str
    program: str
    package: str
    quotes: int
    guarantee: str
    words: tuple[str, ...] = ()
    environment: str = ""
    names: Sequence[str] = NAMES
    libraries: Lock | None = None


class PeerRun(msgspec.Struct, frozen=True):
    """A peer's figures. seconds : from first to last record, by the broker's append times."""

    version: str
    guarantee: str
    quotes: int
    seconds: float
    quotes_per_s: float
    cpu_ns_per_quote: float


def run_peer(settings: Settings, peer: Peer, source: str, quotes: int, partitions: int, centres: Path) -> PeerRun:
    """Run it over the `quotes` records of `source`; TapewatchError where it ends or stalls before all are written, or
    writes others than the plain step gives.
    """
    python = python_of(peer.environment or peer.name)
    target = f"bench.{peer.name}.scores"
    kafka.create_topics(settings, [TopicSpec(target, partitions, {"message.timestamp.type": "LogAppendTime"})])
    folder = Path(settings.data) / f"peer-{peer.name}"
    folder.mkdir()
    words = [str(python), "-m", f"benchmarks.peers.{peer.program}"]
    words += [settings.bootstrap(), source, target, str(folder), str(centres), *peer.words]
    words += [str(jars.ensure(peer.libraries))] if peer.libraries else []
    root = Path(benchmarks.__file__).resolve().parent.parent
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(words, cwd=root, stdout=log, stderr=log)  # noqa: S603 - our own words
        try:
            cpu_s = _until_written(settings, process, target, quotes)
        finally:
            _end(process)
    times, sample = _written(settings, peer, target, quotes)
    _check(settings, peer, source, sample, centres)
    seconds = (max(times) - min(times)) / 1000
    return PeerRun(
        version=version_of(python, peer.package),
        guarantee=peer.guarantee,
        quotes=quotes,
        seconds=round(seconds, 2),
        quotes_per_s=round((quotes - 1) / seconds, 1),
        cpu_ns_per_quote=round(cpu_s * 1e9 / quotes, 1),
    )


def _until_written(settings: Settings, process: "subprocess.Popen[bytes]", target: str, quotes: int) -> float:
    """Wait until the output topic holds `quotes` committed records; the CPU time that the process has used, s."""
    reader = kafka.consumer(settings)
    partitions = kafka.existing_topics(kafka.admin(settings))[target]
    seen, moved = 0, time.monotonic()
    try:
        while True:
            WALL.sleep(0.25)
            now = sum(kafka.watermarks(reader, target, partition)[1] for partition in range(partitions))
            if now > seen:
                seen, moved = now, time.monotonic()
                if seen >= quotes:
                    cpu_s = tree_seconds(process.pid)
                    # Transaction markers take offsets too: enough of them may not be enough records.
                    if sum(1 for _ in _messages(settings, reader, target)) >= quotes:
                        return cpu_s
            if process.poll() is not None or time.monotonic() - moved > PATIENCE_S:
                _fail(settings, target, seen, quotes)
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


def _written(settings: Settings, peer: Peer, target: str, quotes: int) -> tuple[list[int], list[bytes]]:
    """Append times of what is committed, ms, and the records that are looked at."""
    times, sample = [], []
    reader = kafka.consumer(settings)
    for message in _messages(settings, reader, target):
        times.append(message.timestamp()[1])
        if looked_at(message.key()):
            sample.append(message.value())
    reader.close()
    if len(times) != quotes:
        raise TapewatchError(
            f"{peer.name} wrote {len(times):,} records for {quotes:,} quotes", "The figures would mean nothing."
        )
    return times, sample


def _check(settings: Settings, peer: Peer, source: str, sample: Sequence[bytes], centres: Path) -> None:
    """TapewatchError where a record is not what the plain step gives."""
    reader = kafka.consumer(settings)
    quotes = [message.value() for message in _messages(settings, reader, source) if looked_at(message.key())]
    reader.close()
    wrong = differing(quotes, sample, Centres(str(centres)), peer.names)
    if wrong:
        raise TapewatchError(
            f"{peer.name} wrote other features or another distance for {wrong:,} of {len(quotes):,} quotes looked at",
            "The figures would mean nothing.",
        )


def _messages(settings: Settings, reader: Consumer, topic: str) -> Iterator[Message]:
    """Committed records of a topic, partition by partition."""
    for partition in range(kafka.existing_topics(kafka.admin(settings))[topic]):
        yield from kafka.read_range(reader, topic, partition, *kafka.watermarks(reader, topic, partition))
