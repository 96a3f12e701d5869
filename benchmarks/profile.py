"""`bench engine --profile`: nanoseconds of CPU a quote by stage, each stage alone over the same frames."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import msgspec
import numpy as np

from benchmarks.engine import Say, fill_market
from benchmarks.engine_run import START_NS, Shape, frames_of, own_stack, partition_rows
from benchmarks.figures import Machine, machine, versions
from producers.feed import FrameEncoder
from streams.engine.build import build_hash
from streams.engine.detector_config import DetectorConfig
from streams.engine.models import ActiveModels, ModelStore
from streams.engine.task import OutputRecord, Task
from tapewatch.contract import topics
from tapewatch.contract.frames import Decoder, FrameHeaders, Headers
from tapewatch.contract.rows import Rows
from tapewatch.errors import TapewatchError
from tapewatch.market_log.admission import Admission
from tapewatch.market_log.registry import FixedRegistry
from tapewatch.runtime import kafka, transactions
from tapewatch.settings import Settings

ROWS = 1_000_000
BATCH_FRAMES = 1_000
"""Frames of one micro-batch of one partition."""
_FOREVER = 2**62


class ProfileResult(msgspec.Struct, frozen=True):
    """The JSON document of the profile. ns_per_quote : by stage, in the order of the work; total : their sum."""

    bench: str
    input: dict[str, int]
    ns_per_quote: dict[str, float]
    total: float
    bytes_per_quote: dict[str, float]
    versions: dict[str, str]
    machine: Machine

    def text(self) -> str:
        """For people."""
        lines = [f"{name:<10} {value:>8,.0f} ns" for name, value in self.ns_per_quote.items()]
        return "\n".join(
            [f"CPU a quote, {self.input['instruments']:,} instruments", *lines, f"{'sum':<10} {self.total:>8,.0f} ns"]
        )


@dataclass(frozen=True, slots=True)
class Log:
    """One partition's log in memory. beside : the same frames with all rows in one second: nothing is sealed."""

    shape: Shape
    records: list[tuple[bytes, Headers]]
    beside: list[tuple[bytes, Headers]]
    rows: int


def bench(settings: Settings, instruments: int, seed: int, share: float, say: Say) -> ProfileResult:
    """Profile with that many instruments."""
    shape = Shape.of(instruments, int(ROWS * share), settings.topics.market_partitions, seed)
    facts = machine()
    log = _log(shape)
    say(f"{log.rows:,} quotes of one partition in memory")
    open_ns = _timed(lambda: _open(log.records), log.rows)
    admit_ns = _timed(lambda: _admit(shape, log.records), log.rows)
    update_ns = _timed(lambda: _feed(shape, log.beside, silent=True), log.rows)
    sealed_ns = _timed(lambda: _feed(shape, log.records, silent=True, scored=False), log.rows)
    feed_ns = _timed(lambda: _feed(shape, log.records, silent=True), log.rows)
    written_ns = _timed(lambda: _feed(shape, log.records, silent=False), log.rows)
    outgoing = _feed(shape, log.records, silent=False)
    say("the same through Kafka")
    with own_stack(settings) as own:
        size = fill_market(own, "bench-profile", shape)
        fetch_ns = _timed(lambda: _fetch(own, "bench-profile", shape.partitions), shape.rows)
        produce_ns = _timed(lambda: _produce(own, outgoing), log.rows)
    stages = {
        "fetch": fetch_ns,
        "open": open_ns,
        "admit": admit_ns - open_ns,
        "update": update_ns - admit_ns,
        "seal": sealed_ns - update_ns,
        "score": feed_ns - sealed_ns,
        "encode": written_ns - feed_ns,
        "produce": produce_ns,
    }
    return ProfileResult(
        bench="engine profile",
        input={name: getattr(shape, name) for name in ("instruments", "seconds", "rows", "frame_rows", "partitions")},
        ns_per_quote={name: round(value, 1) for name, value in stages.items()},
        total=round(sum(stages.values()), 1),
        bytes_per_quote={
            "in": round(size / shape.rows, 1),
            "out": round(sum(len(record.value) for record in outgoing) / log.rows, 1),
        },
        versions=versions(),
        machine=facts,
    )


def _log(shape: Shape) -> Log:
    """The first partition's frames."""
    names = next(names for names in shape.by_partition() if names)
    rows = partition_rows(shape, 0, names)
    still = Rows(rows.type, rows.instruments, {**rows.columns, "ts_recv": np.full(len(rows), START_NS, dtype=np.int64)})
    still.columns["ts_event"] = still.columns["ts_recv"]
    return Log(shape, _records(shape, names, rows), _records(shape, names, still), len(rows))


def _records(shape: Shape, names: list[str], rows: Rows) -> list[tuple[bytes, Headers]]:
    encoder = FrameEncoder(names)
    return [
        (encoder.encode(part), FrameHeaders("quote", "bench", 0, sequence, 1).to_kafka())
        for sequence, part in enumerate(frames_of(rows, shape.frame_rows))
    ]


def _timed(work: Callable[[], object], rows: int) -> float:
    """CPU nanoseconds a row of the quickest of three times, after one that is not counted: noise only ever adds."""
    work()
    spent = []
    for _ in range(3):
        started = time.process_time_ns()
        work()
        spent.append(time.process_time_ns() - started)
    return min(spent) / rows


def _open(records: Iterable[tuple[bytes, Headers]]) -> None:
    """Read headers and open frames, nothing else."""
    decoder = Decoder()
    for value, headers in records:
        FrameHeaders.from_kafka(headers)
        decoder.open(value)


def _admit(shape: Shape, records: Iterable[tuple[bytes, Headers]]) -> None:
    """Open, look instruments up, check rows."""
    admission = Admission(FixedRegistry(shape.reference_data()))
    for value, headers in records:
        admission.admit(value, headers, _FOREVER)


def _feed(
    shape: Shape, records: Iterable[tuple[bytes, Headers]], silent: bool, scored: bool = True
) -> list[OutputRecord]:
    """The whole task, with the shipped models unless `scored` is false; what it wrote unless silent."""
    force = ActiveModels.default(ModelStore()) if scored else ActiveModels(ModelStore(), {}, DetectorConfig())
    task = Task("market.bench", 0, FixedRegistry(shape.reference_data()), force, build_hash())
    task.silent = silent
    taken: list[OutputRecord] = []
    for offset, (value, headers) in enumerate(records):
        task.feed(offset, value, headers, _FOREVER)
        if offset % BATCH_FRAMES == BATCH_FRAMES - 1:
            taken += task.take()
    return taken + task.take()


def _fetch(settings: Settings, feed: str, partitions: int) -> None:
    """Read the filled topic as the engine's consumer does."""
    reader = kafka.consumer(settings, queued_min_messages=2_000, queued_max_messages_kbytes=65_536)
    for partition in range(partitions):
        low, high = kafka.watermarks(reader, topics.market(feed), partition)
        for message in kafka.read_range(reader, topics.market(feed), partition, low, high):
            message.value(), message.headers()
    reader.close()


def _produce(settings: Settings, outgoing: list[OutputRecord]) -> None:
    """Write what the task wrote in transactions of the engine's size."""
    made = transactions.make_producer(settings, "bench-profile", linger_ms=0, batch_size=1_000_000)
    producer = transactions.fenced(made)
    wanted = [topics.TopicSpec(topic, 1) for topic in sorted({record.topic for record in outgoing})]
    kafka.create_topics(settings, wanted)
    for start in range(0, len(outgoing), 50):
        transactions.begin(producer)
        for record in outgoing[start : start + 50]:
            producer.produce(record.topic, record.value, record.key, 0, headers=[*record.headers])
        transactions.commit(producer)
    if producer.flush(30):
        raise TapewatchError("the records were not acknowledged in 30 s", "Run the bench again.")
