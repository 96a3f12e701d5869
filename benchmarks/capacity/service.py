"""Service times: what a row, a second of an instrument and a byte cost, from committed results and one calibration.

The queueing simulations: engine processes and a broker that share cores, and one process under live load.
"""

import heapq
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from producers.feed import LiveWriter
from producers.synthetic import SyntheticConfig, SyntheticMarket
from streams.driver import Driver
from tapewatch.clock import NANOS
from tapewatch.errors import TapewatchError
from tapewatch.market_log.registry import FixedRegistry

Say = Callable[[str], None]

_INSTRUMENTS, _SECONDS = 500, 150
_FEW, _MANY = 1.0, 20.0
"""Rows a second and instrument of the two markets that tell a row's cost from a second's."""
_BATCH_FRAMES = 600
"""Frames of a micro-batch, as the engine takes them."""
_START_NS = 1_750_000_000 * NANOS


class ServiceTimes(msgspec.Struct, frozen=True):
    """What the model rests on.

    row_ns, second_ns : main thread of an engine, a row taken in and an instrument's second closed, judged and written
    bench_main_ns : main thread of an engine a row of `bench scale`, each of which closes a second
    client_ns, broker_ns : the engine's client threads and the broker, a row of `bench scale` (one in, its rows out)
    rows_per_transaction : there
    log_bytes, written_bytes : a row in the log, and what the engine writes of an instrument's second
    message_us : producer, a message, sockets left out; sink_rows_s : PostgreSQL sink, one process with its server
    """

    row_ns: float
    second_ns: float
    bench_main_ns: float
    client_ns: float
    broker_ns: float
    rows_per_transaction: float
    log_bytes: float
    written_bytes: float
    message_us: float
    sink_rows_s: float


def service_times(results: Path, say: Say) -> ServiceTimes:
    """From `bench-scale.json`, `bench-feeds.json` and `bench-sinks.json` in a folder, and a calibration here."""
    scale, feeds, sinks = (_document(results / f"bench-{name}.json") for name in ("scale", "feeds", "sinks"))
    one = next((point for point in scale["points"] if point["processes"] == 1), None)
    if one is None:
        raise TapewatchError(
            "bench-scale.json has no run with one process", "Run `tapewatch bench scale --processes 1 2 4`."
        )
    rows = scale["input"]["rows"]
    row_ns, second_ns = calibrated(say)
    main = one["main_ns"]["median"]
    return ServiceTimes(
        row_ns=round(row_ns, 1),
        second_ns=round(second_ns, 1),
        bench_main_ns=main,
        client_ns=round(one["engine_ns"]["median"] - main, 1),
        broker_ns=one["broker_ns"]["median"],
        rows_per_transaction=round(rows / max(one["transactions"], 1)),
        log_bytes=scale["log_bytes"],
        written_bytes=scale["written_bytes"],
        message_us=feeds["total_us"]["median"],
        sink_rows_s=sinks["postgres_rows_per_s"]["median"],
    )


def _document(path: Path) -> Any:
    if not path.exists():
        raise TapewatchError(
            f"there is no {path.name}", f"Run `tapewatch bench {path.stem.removeprefix('bench-')} --out {path}`."
        )
    return msgspec.json.decode(path.read_bytes())


def calibrated(say: Say) -> tuple[float, float]:
    """Nanoseconds a row and a second of an instrument take in one task, with everything on, by two markets of different
    density: quotes, trades and books as the synthetic market mixes them.
    """
    few, many = _spent(_FEW), _spent(_MANY)
    seconds = _INSTRUMENTS * _SECONDS
    (few_ns, few_rows), (many_ns, many_rows) = few, many
    row = (many_ns - few_ns) / (many_rows - few_rows)
    second = (few_ns - row * few_rows) / seconds
    say(f"calibrated: {row:,.0f} ns a row, {second:,.0f} ns an instrument's second")
    return row, second


def _spent(rows_per_second: float) -> tuple[int, int]:
    """Least CPU time of a task over a market, of three times (ns), and its rows."""
    config = SyntheticConfig(
        instruments=_INSTRUMENTS, rows_per_second=_INSTRUMENTS * rows_per_second, seconds=_SECONDS, warmup_s=0.0
    )
    market = SyntheticMarket(config, 1, _START_NS)
    records = _MockProducer()
    live = LiveWriter(records.writer(market))
    for chunk in market.chunks():
        for rows in chunk.rows:
            live.add(rows)
        live.flush(chunk.end_ns - 1)
    live.close(_START_NS + _SECONDS * NANOS)
    return min(_fed(records, market) for _ in range(3))


def _fed(records: "_MockProducer", market: SyntheticMarket) -> tuple[int, int]:
    driver = Driver(FixedRegistry(market.instruments))
    begun = time.process_time_ns()
    for number, (value, headers) in enumerate(records.kept, 1):
        driver.record(value, headers)
        if number % _BATCH_FRAMES == 0:
            driver.task.take()
    driver.task.take()
    return time.process_time_ns() - begun, sum(driver.task.tally.rows.values())


class _MockProducer:
    """Takes frames where a Kafka producer would."""

    def __init__(self) -> None:
        self.kept: list[tuple[bytes, Any]] = []

    def writer(self, market: SyntheticMarket) -> Any:
        """A feed writer of one partition that sends here."""
        from producers.feed import FeedWriter

        return FeedWriter(self, "capacity", "capacity", 1, 1, [each.id for each in market.instruments])

    def produce(
        self, topic: str, value: bytes, *, partition: int, headers: Any, on_delivery: Callable[[Any, Any], None]
    ) -> None:
        """Keep a frame."""
        self.kept.append((value, headers))
        on_delivery(None, None)

    def poll(self, timeout: float) -> int:
        """Nothing waits."""
        return 0

    def flush(self, timeout: float) -> int:
        """Nothing waits."""
        return 0


@dataclass(slots=True)
class _Job:
    """Work on one core at a time. left : ns; then : what follows, by name of the process that it belongs to"""

    process: int
    kind: str
    left: float


@dataclass(slots=True)
class _Process:
    """An engine: it computes a micro-batch while the one before is being committed.

    left : rows of its log; computed : rows waiting for the commit before them; open : jobs of the commit under way
    """

    left: float
    computed: float = 0.0
    computing: float = 0.0
    open: int = 0
    done: float = 0.0


@dataclass(slots=True)
class Backlog:
    """Engine processes that work off a log as fast as they can, beside the broker, on some cores.

    Threads share the cores evenly (each at most one). A micro-batch is computed by its process's main thread while the
    client's threads and the broker, one thread each, bring out the one before.
    """

    times: ServiceTimes
    processes: int
    cores: float
    rows: float
    shares: list[float] = field(default_factory=list)

    def rate(self) -> float:
        """Rows a second of all processes together, to the end of the last."""
        shares = self.shares or [1.0 / self.processes] * self.processes
        own = [_Process(self.rows * share) for share in shares]
        batch = self.times.rows_per_transaction
        jobs: list[_Job] = []
        for number, process in enumerate(own):
            self._compute(number, process, batch, jobs)
        now = 0.0
        while jobs:
            speed = min(1.0, self.cores / len(jobs))
            step = min(job.left for job in jobs)
            now += step / speed
            for job in jobs:
                job.left -= step
            ended = [job for job in jobs if job.left <= 1e-6]
            jobs = [job for job in jobs if job.left > 1e-6]
            for job in ended:
                self._ended(job, own[job.process], batch, jobs)
        return self.rows * 1e9 / now

    def _compute(self, number: int, process: _Process, batch: float, jobs: list[_Job]) -> None:
        """Begin the next micro-batch, where there is one and the last has left."""
        if process.computing or process.computed or process.left <= 0:
            return
        process.computing = min(batch, process.left)
        process.left -= process.computing
        jobs.append(_Job(number, "compute", process.computing * self.times.bench_main_ns))

    def _ended(self, job: _Job, process: _Process, batch: float, jobs: list[_Job]) -> None:
        if job.kind == "compute":
            process.computed, process.computing = process.computing, 0.0
        else:
            process.open -= 1
        if process.computed and not process.open:
            rows, process.computed = process.computed, 0.0
            for kind, each in (("client", self.times.client_ns), ("broker", self.times.broker_ns)):
                jobs.append(_Job(job.process, kind, rows * each))
                process.open += 1
        self._compute(job.process, process, batch, jobs)


def delay_ms(
    times: ServiceTimes, rows_s: float, instruments: float, seed: int = 1, seconds: int = 30
) -> tuple[float, float]:
    """Median and 99th percentile of what a row waits for its micro-batch to be computed, ms, in one process.

    Frames of 64 rows arrive at random (Poisson); the first of a second closes the second of every instrument. The
    process takes all that waits at once. math.inf where it falls behind.
    """
    draw = np.random.default_rng(seed)
    frame = 64.0
    arrivals = np.cumsum(draw.exponential(frame / rows_s, int(rows_s / frame * seconds)))
    if not len(arrivals):
        return 0.0, 0.0
    sealing = instruments * times.second_ns / 1e9
    now, at, second, waits = 0.0, 0, 0, []
    while at < len(arrivals):
        now = max(now, arrivals[at])
        until = int(np.searchsorted(arrivals, now, side="right"))
        passed = max(int(now) - second, 0)
        second += passed
        end = now + (until - at) * frame * times.row_ns / 1e9 + passed * sealing
        waits.append(end - arrivals[at:until])
        now, at = end, until
    waited = np.concatenate(waits)
    if now > arrivals[-1] + 1.0:
        return math.inf, math.inf
    return float(np.median(waited) * 1e3), float(np.percentile(waited, 99) * 1e3)


def heaviest(weights: np.ndarray, partitions: int, draw: np.random.Generator) -> float:
    """Share of the rows that the heaviest of so many partitions carries. weights : of the instruments, any unit"""
    loads = np.bincount(draw.integers(0, partitions, len(weights)), weights=weights, minlength=partitions)
    return float(loads.max() / weights.sum())


def packed(loads: list[float], processes: int) -> float:
    """The load of the fullest process when partitions are dealt out, heaviest first, to the emptiest process."""
    heap = [0.0] * processes
    for load in sorted(loads, reverse=True):
        heapq.heappush(heap, heapq.heappop(heap) + load)
    return max(heap)
