"""`bench engine`: quotes in, feature and score rows out, Kafka to Kafka, with 100, 2,000 and 20,000 instruments.

Filling topics in advance: market frames for the engine, one JSON record a quote for its peers.
"""

import json
import sys
from collections.abc import Callable, Iterator, Sequence

import msgspec
import numpy as np
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from benchmarks.engine_run import START_NS, EngineRun, Shape, frames_of, own_stack, partition_rows, run_engine
from benchmarks.figures import Figure, Machine, machine, versions
from benchmarks.memory import bytes_per_instrument
from benchmarks.parity_told import Pace
from benchmarks.policy import stand_in
from detectors import registry
from detectors.ddqn.model import Policy
from producers.feed import FeedWriter, WriterTotals, feed_producer, open_feed
from streams.engine import control, state
from streams.engine.detector_config import DetectorConfig
from streams.engine.models import ActiveModels, ModelStore
from streams.engine.policy import DDQN, PolicySettings
from tapewatch.clock import NANOS, WALL
from tapewatch.contract import topics
from tapewatch.contract.rows import Rows
from tapewatch.contract.topics import TopicSpec
from tapewatch.errors import TapewatchError
from tapewatch.runtime import kafka
from tapewatch.settings import Settings

PEER_FIELDS = ("bid_price", "bid_qty", "ask_price", "ask_qty", "last_price", "volume")


def fill_market(settings: Settings, feed: str, shape: Shape) -> int:
    """Create the feed with its instruments, write quotes and closing heartbeats; returns the bytes of the frames."""
    return fill_with(settings, feed_producer(settings, linger_ms=5), feed, shape).bytes


def fill_with(settings: Settings, producer: Producer, feed: str, shape: Shape) -> WriterTotals:
    """The same through a producer of the caller's; returns what was sent."""
    open_feed(settings, feed, shape.reference_data(), shape.partitions)
    writer = FeedWriter(producer, feed, "bench", 0, shape.partitions, shape.names)
    closing = np.array([START_NS + shape.seconds * NANOS], dtype=np.int64)
    pace = Pace(f"filling {feed}")
    for partition, names in enumerate(shape.by_partition()):
        if names:
            for rows in frames_of(partition_rows(shape, partition, names), shape.frame_rows):
                writer.send(partition, rows)
                sent = writer.sent.rows.total()
                pace.tell(sent, sent / shape.rows)
            writer.heartbeats(partition, closing)
    writer.flush()
    return writer.sent


def fill_peers(settings: Settings, topic: str, shape: Shape, seconds: int) -> int:
    """Write the quotes of the first `seconds` as one JSON record each, keyed by instrument; returns their bytes."""
    kafka.create_topics(settings, [TopicSpec(topic, shape.partitions)])
    producer = kafka.producer(settings, linger_ms=20)
    total = 0
    for partition, names in enumerate(shape.by_partition()):
        rows = partition_rows(shape, partition, names).take(slice(0, seconds * len(names)))
        for key, value in records(rows):
            kafka.enqueue(producer, topic, value, key, partition=partition)
            total += len(value)
    if producer.flush(60):
        raise TapewatchError(f"the records for {topic} were not acknowledged in 60 s", "Run the bench again.")
    return total


def records(rows: Rows) -> Iterator[tuple[bytes, bytes]]:
    """Key and JSON value of each quote: instrument, ts (UTC ns) and the quote's fields."""
    columns = [rows.columns[name].tolist() for name in PEER_FIELDS]
    for code, ts, *values in zip(rows.columns["instrument"].tolist(), rows.ts_recv.tolist(), *columns, strict=True):
        name = rows.instruments[code]
        quote = {"instrument": name, "ts": ts, **dict(zip(PEER_FIELDS, values, strict=True))}
        yield name.encode(), json.dumps(quote, separators=(",", ":")).encode()


MAIN = 2_000
SHAPES = {MAIN: 4_000_000, 100: 2_000_000, 20_000: 2_000_000}
"""Rows by number of instruments."""

FEATURES, POLICY, ALL = "features", "ddqn", "all"
STAGES = {
    FEATURES: "features + kmeans",
    POLICY: "features + kmeans + ddqn on every row",
    ALL: "features + kmeans + every scenario and model",
}
"""What the engine computes."""

Say = Callable[[str], None]


class Size(msgspec.Struct, frozen=True):
    """Figures with one number of instruments.

    input : the shape of what went in; engine_rss_mib : the engine process at its end; decisions, signals : of the
    policy, in one run
    """

    input: dict[str, int]
    quotes_per_s: Figure
    cpu_ns_per_quote: Figure
    engine_rss_mib: Figure
    rows_read_back: dict[str, int]
    scored_share: float
    decisions: int = 0
    signals: int = 0


class EngineResult(msgspec.Struct, frozen=True):
    """The JSON document of `bench engine`.

    bytes_per_instrument : slope of resident memory; state_bytes_per_instrument : of the state arrays alone
    """

    bench: str
    stages: str
    broker: str
    runs: int
    quotes_per_s: Figure
    cpu_ns_per_quote: Figure
    bytes_per_instrument: Figure | None
    state_bytes_per_instrument: int
    cost_ratio_many_to_few: float | None
    instruments: dict[str, Size]
    configuration: str
    models: dict[str, str]
    seed: int
    versions: dict[str, str]
    machine: Machine
    seconds: float

    def text(self) -> str:
        """For people."""
        lines = [f"{self.stages}, {self.broker}, {self.runs} runs: median (least to most)"]
        for count, size in self.instruments.items():
            rate, cpu = size.quotes_per_s, size.cpu_ns_per_quote
            lines.append(
                f"{int(count):>7,} instruments  {rate.median:>10,.0f} quotes/s ({rate.min:,.0f} to {rate.max:,.0f})  "
                f"{cpu.median:>7,.0f} ns of CPU a quote ({cpu.min:,.0f} to {cpu.max:,.0f})"
            )
        if self.bytes_per_instrument:
            lines.append(f"memory: {self.bytes_per_instrument.median:,.0f} bytes an instrument")
        return "\n".join(lines)


def bench(
    settings: Settings, sizes: Sequence[int], runs: int, seed: int, share: float, stages: str, say: Say
) -> EngineResult:
    """Measure with each number of instruments; the first one gives the main figures.

    share : of the usual number of rows, for a quick look; stages : one of STAGES
    TapewatchError where a row is missing among the outputs.
    """
    config = DetectorConfig(watch=stages == ALL, policy=PolicySettings(on=stages != FEATURES))
    begun, facts = WALL.elapsed(), machine()
    policy = None if stages != POLICY or DDQN in registry.shipped() else stand_in()
    force = _in_force(config, policy)
    memory = Figure.of((bytes_per_instrument() for _ in range(runs)), 0) if len(sizes) > 1 else None
    say(f"memory: {memory.median:,.0f} bytes an instrument" if memory else "memory: measured with several sizes only")
    measured: dict[str, Size] = {}
    with own_stack(settings) as own:
        if config != DetectorConfig():
            # Market topics that are made from now on begin with it.
            control.apply_config(own, config, f"bench engine --stages {stages}", "bench")
        if policy:
            control.promote(own, policy.encoded(), f"bench engine --stages {stages}", "bench")
        for instruments in sizes:
            shape = Shape.of(
                instruments, int(SHAPES.get(instruments, 2_000_000) * share), own.topics.market_partitions, seed
            )
            measured[str(instruments)] = _size(own, shape, runs, say, force.detectors.decide, is_first=not measured)
    main = measured[str(sizes[0])]
    return EngineResult(
        bench="engine",
        stages=STAGES[stages],
        broker="TLS, SCRAM, the engine's own rights" if settings.embedded.secure else "plain text",
        runs=runs,
        quotes_per_s=main.quotes_per_s,
        cpu_ns_per_quote=main.cpu_ns_per_quote,
        bytes_per_instrument=memory,
        state_bytes_per_instrument=state.bytes_per_instrument(),
        cost_ratio_many_to_few=_ratio(measured),
        instruments=measured,
        configuration=force.config_hash,
        models=dict(force.models),
        seed=seed,
        versions=versions(),
        machine=facts,
        seconds=round((WALL.elapsed() - begun) / NANOS, 1),
    )


def _in_force(config: DetectorConfig, policy: Policy | None) -> ActiveModels:
    """The shipped models, that configuration and policy; TapewatchError where no K-means model is shipped."""
    shelf, models = ModelStore(), ActiveModels.default(ModelStore()).models
    if policy:
        models = models | {DDQN: shelf.put(policy.encoded())}
    force = ActiveModels(shelf, models, config)
    if not force.detectors.kmeans.centres.size:
        raise TapewatchError(
            "no K-means model is shipped with this build", "Run `tapewatch train kmeans`, then try again."
        )
    return force


def _size(settings: Settings, shape: Shape, runs: int, say: Say, decided: bool, is_first: bool) -> Size:
    """All runs with one number of instruments, each by a new consumer group over the same topic, which then goes.

    decided : a policy decides on every row
    is_first : a run that does not count goes before, since a broker that has just started compiles its code as it goes
    """
    feed = f"bench-{shape.instruments}"
    size = fill_market(settings, feed, shape)
    say(f"{shape.instruments:,} instruments: {shape.rows:,} quotes in {size / 1e6:,.0f} MB of frames")
    if is_first:
        run_engine(settings, shape, f"bench-{shape.instruments}-first")
        say("  a first run, not counted")
    done: list[EngineRun] = []
    for number in range(runs):
        run = run_engine(settings, shape, f"bench-{shape.instruments}-{number}")
        say(f"  run {number + 1}: {run.quotes_per_s:,.0f} quotes/s, {run.cpu_ns_per_quote:,.0f} ns of CPU a quote")
        if decided and run.decisions != shape.rows:
            raise TapewatchError(f"{run.decisions:,} decisions on {shape.rows:,} rows", "Run `make test`.")
        done.append(run)
    drop_topic(kafka.admin(settings), topics.market(feed))
    described = {name: getattr(shape, name) for name in ("instruments", "seconds", "rows", "frame_rows", "partitions")}
    return Size(
        input={**described, "bytes": size},
        quotes_per_s=Figure.of((run.quotes_per_s for run in done), 0),
        cpu_ns_per_quote=Figure.of(run.cpu_ns_per_quote for run in done),
        engine_rss_mib=Figure.of(run.rss_bytes / 2**20 for run in done),
        rows_read_back={"features": shape.rows, "scores": shape.rows},
        decisions=done[-1].decisions,
        signals=done[-1].signals,
        scored_share=round(done[-1].scored / shape.rows, 4),
    )


def drop_topic(client: AdminClient, topic: str) -> None:
    """Delete a topic, so that the next consumer group does not read it."""
    for future in client.delete_topics([topic], operation_timeout=15).values():
        future.result()
    deadline = WALL.elapsed() + 15 * NANOS
    while topic in kafka.existing_topics(client) and WALL.elapsed() < deadline:
        WALL.sleep(0.05)


def _ratio(measured: dict[str, Size]) -> float | None:
    """Median CPU a quote with the most instruments over that with the fewest."""
    counts = sorted(int(name) for name in measured)
    if len(counts) < 2:
        return None
    few, many = measured[str(counts[0])], measured[str(counts[-1])]
    return round(many.cpu_ns_per_quote.median / few.cpu_ns_per_quote.median, 3)


def say(text: str) -> None:
    """Progress on stderr."""
    print(text, file=sys.stderr, flush=True)
