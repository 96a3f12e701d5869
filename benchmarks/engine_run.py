"""One run of a real `tapewatch run engine` process over a filled topic, its outputs counted when they are read back.

A stack of the bench's own: real servers in a temporary data folder, gone when the bench ends, however it ends.

Quotes to measure with: random walks on ticks with changing quantities, every row a new second for its instrument.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from infra import embedded
from infra.chaos.server import resident_bytes
from streams.engine.scenario_evaluation import KMEANS
from tapewatch.access import acls
from tapewatch.clock import NANOS, WALL
from tapewatch.contract import topics
from tapewatch.contract.instruments import Instrument, Tick
from tapewatch.contract.partitioner import partition_for
from tapewatch.contract.rows import Column, Rows, RowType
from tapewatch.errors import TapewatchError
from tapewatch.runtime import kafka
from tapewatch.settings import KafkaSettings, PostgresSettings, Settings
from tapewatch.settings.environment import environment_of
from tapewatch.settings.kafka import of_embedded, password_file

TICK = 0.01
START_NS = 1_767_600_000 * NANOS
"""The first second: 2026-01-05 08:00 UTC."""
FRAME_ROWS = 256

_EVENT_LEAD_NS = 2_000_000


@dataclass(frozen=True, slots=True)
class Shape:
    """An input. instruments x seconds quotes, in frames of `frame_rows` rows, over `partitions` partitions."""

    instruments: int
    seconds: int
    partitions: int
    frame_rows: int = FRAME_ROWS
    seed: int = 1

    @classmethod
    def of(cls, instruments: int, rows: int, partitions: int, seed: int = 1) -> "Shape":
        """The shape with whole seconds nearest to `rows` rows, at least two seconds."""
        return cls(instruments, max(2, round(rows / instruments)), partitions, seed=seed)

    @property
    def rows(self) -> int:
        """Quotes in all."""
        return self.instruments * self.seconds

    @property
    def names(self) -> list[str]:
        """Instrument ids."""
        return [f"B{number:05d}.BNCH" for number in range(self.instruments)]

    def reference_data(self) -> list[Instrument]:
        """What is registered before the first row."""
        return [Instrument(name, currency="EUR", ticks=(Tick(0.0, TICK),), lot=100.0) for name in self.names]

    def by_partition(self) -> list[list[str]]:
        """Instrument ids of each partition."""
        own: list[list[str]] = [[] for _ in range(self.partitions)]
        for name in self.names:
            own[partition_for(name, self.partitions)].append(name)
        return own


def partition_rows(shape: Shape, partition: int, names: list[str]) -> Rows:
    """All quotes of one partition, second after second, each second one row of each instrument in turn.

    Mid prices walk by -1, 0 or 1 tick (a quarter of the seconds each way), the spread is 1 to 3 ticks, quantities are
    whole lots, and two seconds in three trade some lots at one side (in `last_price` and the cumulative `volume`).
    """
    draw = np.random.default_rng([shape.seed, shape.instruments, partition])
    size = (shape.seconds, len(names))
    base = draw.integers(5_000, 50_000, len(names), dtype=np.int32)
    turn = draw.integers(0, 4, size, dtype=np.int8)
    steps = (turn == 3).astype(np.int8) - (turn == 0)
    mid = np.maximum(base + np.cumsum(steps, axis=0, dtype=np.int32), 10)
    spread = draw.integers(1, 4, size, dtype=np.int8)
    lots = draw.integers(1, 60, (2, *size), dtype=np.int8)
    bid = mid - spread // 2
    ask = bid + spread
    side = draw.integers(0, 3, size, dtype=np.int8)
    traded = np.where(side > 0, draw.integers(1, 20, size, dtype=np.int16), 0)
    stamps = START_NS + np.arange(shape.seconds, dtype=np.int64)[:, None] * NANOS
    stamps = stamps + np.arange(len(names), dtype=np.int64) * (NANOS // max(len(names), 1))
    columns: dict[str, Column] = {
        "instrument": np.tile(np.arange(len(names), dtype=np.int32), shape.seconds),
        "ts_event": (stamps - _EVENT_LEAD_NS).reshape(-1),
        "ts_recv": stamps.reshape(-1),
        "bid_price": _prices(bid),
        "bid_qty": lots[0].reshape(-1) * 100.0,
        "ask_price": _prices(ask),
        "ask_qty": lots[1].reshape(-1) * 100.0,
        "last_price": _prices(np.where(side == 1, bid, ask)),
        "volume": np.cumsum(traded * 100.0, axis=0).reshape(-1),
    }
    return Rows(RowType.QUOTE, names, columns)


def frames_of(rows: Rows, frame_rows: int = FRAME_ROWS) -> Iterator[Rows]:
    """The rows in order, `frame_rows` at a time."""
    for start in range(0, len(rows), frame_rows):
        yield rows.take(slice(start, start + frame_rows))


def _prices(ticks: Column) -> Column:
    """float64 prices with two decimals, flat."""
    return ticks.reshape(-1) / 100.0


_ENTRY = "from tapewatch.cli import main; raise SystemExit(main())"


@contextmanager
def own_stack(settings: Settings) -> Iterator[Settings]:
    """Settings of a new stack for the length of the block; nothing of the caller's servers is touched."""
    with tempfile.TemporaryDirectory(prefix="tapewatch-bench-") as folder:
        own = msgspec.structs.replace(settings, data=folder, kafka=KafkaSettings(), postgres=PostgresSettings())
        with embedded.shown() as report:
            manager = embedded.session(own, report)
            addresses = manager.__enter__()
        try:
            access = KafkaSettings(bootstrap=addresses.bootstrap)
            if addresses.kafka_accounts:
                access = of_embedded(access, Path(addresses.kafka_accounts))
            yield msgspec.structs.replace(
                own,
                kafka=access,
                postgres=PostgresSettings(url=addresses.postgres_url),
            )
        finally:
            manager.__exit__(None, None, None)


def as_account(settings: Settings, user: str) -> Settings:
    """These settings for a process that comes under its own name; the same where the broker asks nobody."""
    access = settings.kafka
    if not access.password_file:
        return settings
    file = str(password_file(Path(access.password_file).parent, user))
    return msgspec.structs.replace(settings, kafka=msgspec.structs.replace(access, user=user, password_file=file))


def as_engine(settings: Settings, group: str) -> Settings:
    """These settings for an engine under its own name, which may then work in this group and no other; the same where
    the broker asks nobody.
    """
    if not settings.kafka.password_file:
        return settings
    own = msgspec.structs.replace(settings, engine=msgspec.structs.replace(settings.engine, group=group))
    acls.carry_out(settings, acls.plan(own, {"engine": acls.principal("engine")}, prune=True))
    return as_account(settings, "engine")


def command(*words: str) -> list[str]:
    """A `tapewatch` command line of this very installation."""
    return [sys.executable, "-P", "-c", _ENTRY, *words]


def environment(settings: Settings, **more: str) -> dict[str, str]:
    """Environment of a subprocess with these settings, none of the caller's; `more` by setting (ENGINE_GROUP=...)."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TAPEWATCH_")}
    ours = {
        "DATA": settings.data,
        "KAFKA_BOOTSTRAP": settings.bootstrap(),
        "POSTGRES_URL": settings.postgres_url(),
        "EMBEDDED_KAFKA_HEAP_MB": str(settings.embedded.kafka_heap_mb),
        **more,
    }
    access = environment_of(Settings(kafka=settings.kafka))
    return {**kept, **access, **{f"TAPEWATCH_{name}": value for name, value in ours.items()}}


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
