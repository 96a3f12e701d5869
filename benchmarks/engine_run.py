"""One run of a real `tapewatch run engine` process over a filled topic, its outputs counted when they are read back."""

import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from benchmarks.quotes import START_NS, Shape
from benchmarks.stack import as_engine, command, environment
from streams.engine.scenario_evaluation import KMEANS
from tapewatch.clock import NANOS, WALL
from tapewatch.contract import topics
from tapewatch.errors import TapewatchError
from tapewatch.runtime import kafka
from tapewatch.settings import Settings

IDLE_S = 2.0
LONGEST_S = 300.0

Places = dict[tuple[str, int], int]


@dataclass(frozen=True, slots=True)
class EngineRun:
    """What one run gave. rss_bytes : the engine process at its end; scored : score rows that are numbers."""

    quotes_per_s: float
    cpu_ns_per_quote: float
    rss_bytes: int
    seconds: float
    transactions: int
    scored: int
    alerts: int
    decisions: int
    signals: int


@dataclass(slots=True)
class RowCounts:
    """Rows read back. ts_sum : of the features' second ends, modulo 2^64."""

    features: int = 0
    scores: int = 0
    scored: int = 0
    ts_sum: int = 0


def run_engine(settings: Settings, shape: Shape, group: str) -> EngineRun:
    """Run the engine as a new consumer group over all that is in the broker; no row may be missing after it."""
    before = ends(settings)
    totals, rss = engine_process(settings, group)
    counted = count(settings, before)
    check(shape, totals, counted)
    quotes = int(totals["by_type"]["quote"])
    return EngineRun(
        quotes_per_s=quotes * NANOS / totals["work_ns"],
        cpu_ns_per_quote=totals["cpu_ns"] / quotes,
        rss_bytes=rss,
        seconds=totals["work_ns"] / NANOS,
        transactions=totals["transactions"],
        scored=counted.scored,
        alerts=totals["alerts"],
        decisions=totals["decisions"],
        signals=totals["signals"],
    )


def engine_process(
    settings: Settings, group: str, longest_s: float = LONGEST_S, memory: str = "VmRSS"
) -> tuple[dict[str, Any], int]:
    """Start the engine, wait until it has been idle; its totals, and its memory at the end, bytes.

    memory : resident, or the most that ever was (VmHWM)
    """
    words = command("run", "engine", "--instance", "bench", "--until-idle", str(IDLE_S), "--quiet", "--json")
    return process(words, environment(as_engine(settings, group), ENGINE_GROUP=group), settings.data, longest_s, memory)


def process(
    words: Sequence[str], variables: Mapping[str, str], folder: str, longest_s: float, memory: str
) -> tuple[dict[str, Any], int]:
    """A process that ends by itself: the document that it prints, and its memory at the end, bytes (see above)."""
    begun = subprocess.Popen(words, env=variables, cwd=folder, stdout=subprocess.PIPE)  # noqa: S603 - our own words
    rss = 0
    deadline = time.monotonic() + longest_s
    try:
        while begun.poll() is None:
            rss = resident_bytes(begun.pid, memory) or rss
            if time.monotonic() > deadline:
                raise TapewatchError(f"it did not come to its end in {longest_s:.0f} s", "Give it fewer rows.")
            WALL.sleep(0.05)
    finally:
        if begun.poll() is None:
            begun.terminate()
            begun.wait(30)
    output = begun.stdout.read() if begun.stdout else b""
    if begun.returncode != 0:
        raise TapewatchError(f"it ended with {begun.returncode}", "Its messages stand above.")
    told: dict[str, Any] = msgspec.json.decode(output)
    return told, rss


def resident_bytes(pid: int, memory: str = "VmRSS") -> int:
    """Resident memory of a process, bytes; 0 where it has ended. memory : now, or the most that ever was (VmHWM)"""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{memory}:")), 0)


def ends(settings: Settings) -> Places:
    """The next offset of each partition of the engine's outputs."""
    found: Places = {}
    partitions = kafka.existing_topics(kafka.admin(settings))
    reader = kafka.consumer(settings)
    for topic in (topics.FEATURES, topics.SCORES):
        for partition in range(partitions.get(topic, 0)):
            found[topic, partition] = kafka.watermarks(reader, topic, partition)[1]
    reader.close()
    return found


def count(settings: Settings, before: Places) -> RowCounts:
    """Rows of features and K-means scores that are readable, read-committed, after the offsets of `before`."""
    counted = RowCounts()
    reader = kafka.consumer(settings)
    for (topic, partition), end in ends(settings).items():
        for message in kafka.read_range(reader, topic, partition, before.get((topic, partition), 0), end):
            kind, value = dict(message.headers() or ()).get("type"), message.value()
            if value is not None:
                _count_frame(counted, kind, value)
    reader.close()
    return counted


def _count_frame(counted: RowCounts, kind: str | bytes | None, value: bytes) -> None:
    """Add one frame."""
    if kind not in (b"features", b"scores"):
        return
    with pa.ipc.open_stream(value) as stream:
        batch = stream.read_next_batch()
    if kind == b"features":
        counted.features += batch.num_rows
        counted.ts_sum += int(batch.column("ts").cast("int64").to_numpy().view(np.uint64).sum())
        return
    ours = batch.column("detector").to_numpy() == KMEANS
    counted.scores += int(ours.sum())
    counted.scored += int(np.isfinite(batch.column("raw").to_numpy()[ours]).sum())


def check(shape: Shape, totals: dict[str, Any], counted: RowCounts) -> None:
    """TapewatchError unless every quote was taken and gave exactly one feature row of its second and one score row."""
    ends_sum = sum(START_NS + second * NANOS for second in range(1, shape.seconds + 1))
    expected = shape.instruments * ends_sum % 2**64
    said = totals["by_type"].get("quote", 0)
    found = (said, totals["refused"], counted.features, counted.scores, counted.ts_sum % 2**64)
    if found != (shape.rows, 0, shape.rows, shape.rows, expected):
        raise TapewatchError(
            f"{shape.rows:,} quotes went in; {said:,} were taken, {totals['refused']:,} refused; "
            f"{counted.features:,} feature rows and "
            f"{counted.scores:,} score rows were read back"
            + ("" if counted.ts_sum % 2**64 == expected else ", not of the right seconds"),
            "The figures would mean nothing: run `tapewatch models list`, then `make test`.",
        )
