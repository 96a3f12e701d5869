"""The soak job `market`: producer, engine and sink over a synthetic market, the memory of each process sampled.

How much processor time a process, its threads and the whole machine have taken so far.
"""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import psutil

from benchmarks.engine_run import command, environment
from benchmarks.figures import Machine, machine, versions
from infra.chaos.server import resident_bytes
from tapewatch.clock import NANOS, WALL
from tapewatch.errors import TapewatchError
from tapewatch.settings import Settings
from tapewatch.settings.stack import Addresses

_TICKS = float(os.sysconf("SC_CLK_TCK"))


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, s (clock ticks are hundredths on Linux)."""
    return _taken(Path(f"/proc/{pid}/stat"))


def tree_seconds(pid: int) -> float:
    """The same of a process and all that it has started: a JVM and its Python workers."""
    below = psutil.Process(pid).children(recursive=True)
    return cpu_seconds(pid) + sum(cpu_seconds(each.pid) for each in below if each.is_running())


def thread_seconds(pid: int) -> dict[int, tuple[str, float]]:
    """Name and processor time (s) of each thread that lives now, by thread id; the first one's id is the process's."""
    found = {}
    for folder in Path(f"/proc/{pid}/task").iterdir():
        # A thread may end while it is looked at.
        with suppress(FileNotFoundError, ProcessLookupError):
            name = (folder / "comm").read_text().strip()
            found[int(folder.name)] = (name, _taken(folder / "stat"))
    return found


class MachineTime(msgspec.Struct, frozen=True):
    """Processor time of all cores since boot, s. stolen : taken by other guests of the same host"""

    busy: float
    idle: float
    stolen: float

    @classmethod
    def now(cls) -> "MachineTime":
        """As the kernel counts it."""
        fields = [int(word) / _TICKS for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
        user, nice, system, idle, waiting, irq, soft, stolen = fields
        return cls(user + nice + system + irq + soft, idle + waiting, stolen)

    def since(self, earlier: "MachineTime") -> "MachineTime":
        """What came after `earlier`."""
        return MachineTime(self.busy - earlier.busy, self.idle - earlier.idle, self.stolen - earlier.stolen)


def _taken(path: Path) -> float:
    fields = path.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


ROWS_PER_SECOND = 20_000
INSTRUMENTS = 500
SAMPLE_S = 10.0
WARM_S = 960.0
"""From here on memory must be flat: the longest window (900 s) is full and a first snapshot round has passed."""
MOST_GROWTH = 0.05
LEAST_MIB = 16.0
"""A process is flat when the median of its last third is at most 5 % or 16 MiB above that of the third before."""
DRAIN_S = 120.0
OURS = ("producer", "engine", "sink")
_SAID = {True: "yes", False: "no", None: "too short to tell"}


class Memory(msgspec.Struct, frozen=True):
    """Resident memory of a process, MiB.

    growth_mib : last third over the third before; slope : least squares, once warm
    flat : None where the run was too short to tell
    """

    first: float
    median: float
    last: float
    most: float
    growth_mib: float
    slope_mib_per_hour: float
    flat: bool | None


class MarketResult(msgspec.Struct, frozen=True):
    """The JSON document of the job. samples : seconds since the start, then MiB by process."""

    job: str
    minutes: float
    rows_per_second: int
    instruments: int
    passed: bool
    rows_sent: int
    rows_in_engine: int
    rows_refused: int
    rows_sent_per_s: float
    memory: dict[str, Memory]
    samples: dict[str, list[float]]
    versions: dict[str, str]
    machine: Machine


@dataclass(slots=True)
class MemorySampler:
    """The processes of the job, and their memory so far, MiB."""

    processes: "dict[str, subprocess.Popen[bytes]]" = field(default_factory=dict)
    times: list[float] = field(default_factory=list)
    samples: dict[str, list[float]] = field(default_factory=dict)

    def sample(self, seconds: float, others: dict[str, int]) -> None:
        """Read every process's memory. others : further process ids by name"""
        pids = {**{name: process.pid for name, process in self.processes.items()}, **others}
        self.times.append(seconds)
        for name, pid in pids.items():
            self.samples.setdefault(name, []).append(round(resident_bytes(pid) / 2**20, 1))


def run(settings: Settings, minutes: float) -> MarketResult:
    """Send the market for that long; TapewatchError where a process ends before its time."""
    facts, watched = machine(), MemorySampler()
    folder = Path(settings.data)
    words = {
        "engine": ["run", "engine", "--instance", "soak", "--quiet", "--json"],
        "sink": ["sink", "postgres"],
        "producer": [
            *("produce", "synthetic", "--instruments", str(INSTRUMENTS), "--rows-per-second", str(ROWS_PER_SECOND)),
            *("--seconds", str(round(minutes * 60)), "--back-date", "0", "--json"),
        ],
    }
    migrated = _started(settings, folder, "migration", ["db", "migrate"]).wait(120)
    if migrated != 0:
        raise TapewatchError("the database could not be migrated", _tail(folder, "migration"))
    try:
        for name, line in words.items():
            watched.processes[name] = _started(settings, folder, name, line)
        _watch(settings, folder, watched, minutes)
        sent = _document(folder, "producer")
        _await_idle(watched)
        totals = _stopped(folder, watched)
    finally:
        for process in watched.processes.values():
            process.kill()
            process.wait()
    return result(minutes, watched, sent, totals, facts)


def result(
    minutes: float, watched: MemorySampler, sent: dict[str, Any], totals: dict[str, Any], facts: Machine
) -> MarketResult:
    """What the samples and the processes' own summaries say."""
    memory = {name: judged(watched.times, values) for name, values in watched.samples.items()}
    rows = sum(sent["rows"].values())
    # The engine counts heartbeats among its rows, the producer apart.
    complete = totals["rows"] + totals["refused"] == rows + sent["heartbeats"]
    return MarketResult(
        job="market",
        minutes=minutes,
        rows_per_second=ROWS_PER_SECOND,
        instruments=INSTRUMENTS,
        passed=complete and all(memory[name].flat is not False for name in OURS),
        rows_sent=rows,
        rows_in_engine=totals["rows"] - sent["heartbeats"],
        rows_refused=totals["refused"],
        rows_sent_per_s=sent["rows_per_s"],
        memory=memory,
        samples={"seconds": watched.times, **watched.samples},
        versions=versions(),
        machine=facts,
    )


def judged(times: list[float], values: list[float]) -> Memory:
    """What samples tell: flat or not once warm, nothing before that. times : s, values : MiB."""
    at, held = np.array(times[: len(values)]), np.array(values)
    long_enough = bool(at[-1] >= 2 * WARM_S)
    warm = at >= (WARM_S if long_enough else 0.0)
    at, settled = at[warm], held[warm]
    third = max(len(settled) // 3, 1)
    growth = float(
        np.median(settled[-third:]) - np.median(settled[-2 * third : -third] if third < len(settled) else settled)
    )
    slope = float(np.polyfit(at, settled, 1)[0]) * 3600 if len(at) > 2 else 0.0
    return Memory(
        first=float(held[0]),
        median=round(float(np.median(settled)), 1),
        last=float(held[-1]),
        most=float(held.max()),
        growth_mib=round(growth, 1),
        slope_mib_per_hour=round(slope, 1),
        flat=growth <= max(MOST_GROWTH * float(np.median(settled)), LEAST_MIB) if long_enough else None,
    )


def markdown(result: MarketResult) -> str:
    """The result for people."""
    lines = [
        f"{'Passed' if result.passed else 'NOT passed'}: {result.minutes:g} minutes, {result.rows_sent:,} rows sent "
        f"({result.rows_sent_per_s:,.0f}/s), {result.rows_in_engine:,} in the engine, {result.rows_refused:,} refused.",
        "",
        "| process | first, MiB | median once warm | last | most | last third less the one before | slope/h | flat |",
        "|---|--:|--:|--:|--:|--:|--:|---|",
    ]
    for name, held in result.memory.items():
        lines.append(
            f"| {name} | {held.first:,.0f} | {held.median:,.0f} | {held.last:,.0f} | {held.most:,.0f} "
            f"| {held.growth_mib:+,.1f} "
            f"| {held.slope_mib_per_hour:+,.1f} | {_SAID[held.flat]} |"
        )
    return "\n".join(lines)


def _started(settings: Settings, folder: Path, name: str, line: list[str]) -> "subprocess.Popen[bytes]":
    """Start one part with its output and messages in files of the data folder."""
    with (folder / f"{name}.out").open("wb") as out, (folder / f"{name}.log").open("wb") as log:
        return subprocess.Popen(command(*line), env=environment(settings), cwd=folder, stdout=out, stderr=log)  # noqa: S603


def _watch(settings: Settings, folder: Path, watched: MemorySampler, minutes: float) -> None:
    """Sample until the producer has come to its end."""
    servers = {name: pid for name, pid in Addresses.running(folder).pids.items() if name != "supervisor"}
    begun, last = WALL.elapsed(), -SAMPLE_S
    while (code := watched.processes["producer"].poll()) is None:
        seconds = (WALL.elapsed() - begun) / NANOS
        if seconds > minutes * 60 + 300:
            raise TapewatchError("the producer did not come to its end", _tail(folder, "producer"))
        for name in ("engine", "sink"):
            if watched.processes[name].poll() is not None:
                raise TapewatchError(f"the {name} has ended", _tail(folder, name))
        if seconds - last >= SAMPLE_S:
            last = seconds
            watched.sample(round(seconds, 1), servers)
            print(
                f"{seconds:7.0f} s  { ({name: values[-1] for name, values in watched.samples.items()}) } MiB",
                file=sys.stderr,
            )
        WALL.sleep(0.5)
    if code != 0:
        raise TapewatchError(f"the producer ended with {code}", _tail(folder, "producer"))


def _await_idle(watched: MemorySampler) -> None:
    """Give engine and sink the time to take in what lies in the log."""
    before, quiet, deadline = -1.0, 0, WALL.elapsed() + DRAIN_S * NANOS
    while quiet < 3 and WALL.elapsed() < deadline:
        WALL.sleep(1.0)
        now = cpu_seconds(watched.processes["engine"].pid)
        quiet = quiet + 1 if now - before < 0.2 else 0
        before = now


def _stopped(folder: Path, watched: MemorySampler) -> dict[str, Any]:
    """Ask engine and sink to end; the engine's totals."""
    for name in ("engine", "sink"):
        watched.processes[name].send_signal(signal.SIGINT)
    for name in ("engine", "sink"):
        watched.processes[name].wait(60)
    return _document(folder, "engine")


def _document(folder: Path, name: str) -> dict[str, Any]:
    """The JSON document that a process has printed."""
    found: dict[str, Any] = msgspec.json.decode((folder / f"{name}.out").read_bytes())
    return found


def _tail(folder: Path, name: str) -> str:
    return "It said last: " + (folder / f"{name}.log").read_text(errors="replace")[-1500:]
