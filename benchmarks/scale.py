"""`bench scale`: several engine processes of one group over one log: rows a second together, and what bounds them."""

from collections.abc import Sequence

import msgspec

from benchmarks.engine import ALL, STAGES, Say, drop_topic
from benchmarks.engine_run import Shape, own_stack
from benchmarks.figures import Figure, Machine, machine, versions
from benchmarks.scale_run import GroupRun, run_group
from streams.engine import control
from streams.engine.detector_config import DetectorConfig
from streams.engine.policy import PolicySettings
from streams.engine.warm import warm_up
from tapewatch.clock import NANOS, WALL
from tapewatch.contract import topics
from tapewatch.runtime import kafka
from tapewatch.settings import Settings

INSTRUMENTS, ROWS, PARTITIONS = 2_000, 8_000_000, 8
PROCESSES = (1, 2, 4)

FULL, ONE_THREAD = 0.93, 0.9
"""Shares from which on cores, or one thread, are taken for what bounds a run."""


class Point(msgspec.Struct, frozen=True):
    """With one number of processes.

    speedup : medians, over the first number of processes
    engine_ns, main_ns, broker_ns : processor time a row: all engine processes', their main threads' alone, the broker's
    cores_busy : of the machine, everything that ran; stolen : cores' worth taken by other guests
    busiest_main : share of the wall time that the busiest process's main thread worked
    widest : rows of the process that had the most over the mean; transactions : of all processes
    profile : processor seconds by process, of the run with the median rate; bound : in words
    """

    processes: int
    rows_per_s: Figure
    speedup: float
    engine_ns: Figure
    main_ns: Figure
    broker_ns: Figure
    cores_busy: Figure
    stolen: Figure
    busiest_main: Figure
    widest: float
    transactions: int
    profile: dict[str, float]
    bound: str


class ScaleResult(msgspec.Struct, frozen=True):
    """The JSON document of `bench scale`.

    input : shape of the log and its bytes before compression; log_bytes, written_bytes : a row, on the broker's disk
    """

    bench: str
    stages: str
    runs: int
    input: dict[str, int]
    log_bytes: float
    written_bytes: float
    points: list[Point]
    seed: int
    versions: dict[str, str]
    machine: Machine
    seconds: float

    def text(self) -> str:
        """For people."""
        lines = [f"{self.stages}, {self.input['partitions']} partitions, {self.runs} runs: median (least to most)"]
        for point in self.points:
            rate = point.rows_per_s
            lines.append(
                f"{point.processes} engines  {rate.median:>10,.0f} rows/s ({rate.min:,.0f} to {rate.max:,.0f})  "
                f"{point.speedup:.2f} times  {point.engine_ns.median:,.0f} + {point.broker_ns.median:,.0f} ns of CPU a "
                f"row (engines + broker)  bound by {point.bound}"
            )
            lines += [f"    {name:<24}{seconds:>8.2f} s" for name, seconds in point.profile.items()]
        return "\n".join(lines)


def bench(
    settings: Settings, processes: Sequence[int], runs: int, seed: int, share: float, stages: str, say: Say
) -> ScaleResult:
    """Measure with each number of processes, in turn, each run over the same log in a feed of its own.

    share : of the usual number of rows; stages : one of benchmarks.engine.STAGES, without the policy's alone
    TapewatchError where a row is missing among the outputs.
    """
    begun, facts = WALL.elapsed(), machine()
    config = DetectorConfig(watch=stages == ALL, policy=PolicySettings(on=stages == ALL))
    shape = Shape.of(INSTRUMENTS, int(ROWS * share), PARTITIONS, seed)
    done: dict[int, list[GroupRun]] = {count: [] for count in processes}
    warm_up()
    with own_stack(settings) as own:
        if config != DetectorConfig():
            control.apply_config(own, config, f"bench scale --stages {stages}", "bench")
        say("a first run, not counted: a broker that has just started compiles its code as it goes")
        _run(own, "scale-first", shape, processes[0])
        for number in range(runs):
            for count in processes:
                run = _run(own, f"scale-{count}-{number}", shape, count)
                say(f"  {count} engines, run {number + 1}: {run.rows_per_s:,.0f} rows/s")
                done[count].append(run)
    first = Figure.of((run.rows_per_s for run in done[processes[0]]), 0).median
    described = {name: getattr(shape, name) for name in ("instruments", "seconds", "rows", "frame_rows", "partitions")}
    return ScaleResult(
        bench="scale",
        stages=STAGES[stages],
        runs=runs,
        input={**described, "bytes": done[processes[0]][0].bytes_in},
        log_bytes=round(done[processes[0]][0].log_bytes / shape.rows, 1),
        written_bytes=round(done[processes[0]][0].written_bytes / shape.rows, 1),
        points=[_point(count, of_count, first, facts.cores) for count, of_count in done.items()],
        seed=seed,
        versions=versions(),
        machine=facts,
        seconds=round((WALL.elapsed() - begun) / NANOS, 1),
    )


def _run(settings: Settings, feed: str, shape: Shape, processes: int) -> GroupRun:
    """One run; its feed goes with it."""
    try:
        return run_group(settings, feed, shape, processes)
    finally:
        drop_topic(kafka.admin(settings), topics.market(feed))


def _point(processes: int, done: list[GroupRun], first: float, cores: int) -> Point:
    """The figures of all runs with one number of processes."""
    rates = Figure.of((run.rows_per_s for run in done), 0)
    middle = min(done, key=lambda run: abs(run.rows_per_s - rates.median))
    return Point(
        processes=processes,
        rows_per_s=rates,
        speedup=round(rates.median / first, 2),
        engine_ns=Figure.of(sum(each.cpu_s for each in run.shares) * 1e9 / run.rows for run in done),
        main_ns=Figure.of(sum(each.main_s for each in run.shares) * 1e9 / run.rows for run in done),
        broker_ns=Figure.of(run.broker_s * 1e9 / run.rows for run in done),
        cores_busy=Figure.of((run.machine.busy / run.seconds for run in done), 2),
        stolen=Figure.of((run.machine.stolen / run.seconds for run in done), 2),
        busiest_main=Figure.of((_busiest(run) for run in done), 2),
        widest=round(max(each.rows for each in middle.shares) * processes / middle.rows, 3),
        transactions=sum(each.transactions for each in middle.shares),
        profile=_profile(middle),
        bound=bound(middle, cores),
    )


def _busiest(run: GroupRun) -> float:
    return max(each.main_s for each in run.shares) / run.seconds


def _profile(run: GroupRun) -> dict[str, float]:
    """Processor seconds of a run by process; what is left over is the machine's other work."""
    found = {}
    for number, each in enumerate(run.shares, 1):
        found[f"engine {number}, main thread"] = each.main_s
        found[f"engine {number}, client"] = round(each.cpu_s - each.main_s, 2)
    for kind, seconds in run.broker_by_thread.items():
        found[f"broker, {kind}"] = seconds
    known = sum(each.cpu_s for each in run.shares) + run.broker_s
    found["others"] = round(max(run.machine.busy - known, 0.0), 2)
    found["idle"] = round(run.machine.idle, 2)
    found["stolen"] = round(run.machine.stolen, 2)
    return found


def bound(run: GroupRun, cores: int) -> str:
    """What bounds a run, by its profile."""
    given = cores - run.machine.stolen / run.seconds
    if run.machine.busy / run.seconds >= FULL * given:
        engines, broker = sum(each.cpu_s for each in run.shares), run.broker_s
        others = max(run.machine.busy - engines - broker, 0.0)
        shares = {"engines": engines, "the broker": broker, "all else": others}
        told = ", ".join(f"{taken / run.seconds:.2f} by {name}" for name, taken in shares.items())
        return f"the cores ({told}, of {cores})"
    if _busiest(run) >= ONE_THREAD:
        return f"one thread of an engine ({_busiest(run):.0%} busy)"
    return f"waiting: the busiest thread worked {_busiest(run):.0%} of the time"
