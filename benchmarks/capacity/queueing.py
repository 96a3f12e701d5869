"""The queueing simulations: engine processes and a broker that share cores, and one process under live load."""

import heapq
import math
from dataclasses import dataclass, field

import numpy as np

from benchmarks.capacity.service import ServiceTimes


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
