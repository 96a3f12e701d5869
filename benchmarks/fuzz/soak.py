"""`make soak ARGS=fuzz`: ten million mutated inputs over all targets, each in a process of its own.

One target under mutated inputs, in a process of its own. The input at work lies in a file that outlives a crash.
"""

import hashlib
import mmap
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import FrameType
from typing import Any, cast

import msgspec
import psutil

from benchmarks.fuzz.targets import LONGEST, TARGETS, Mutator, Take, corpus
from tapewatch.settings import Settings

HANG_S = 10.0
"""Processor time of one input from which on it counts as a hang, s."""
BATCH = 500
HERE = Path(__file__).resolve().parents[2]


class HangError(Exception):
    """An input took too long."""


def _hang(_number: int, _frame: FrameType | None) -> None:
    raise HangError(f"more than {HANG_S:.0f} s of processor time")


class AtWork:
    """The input at work, in a mapped file: length, then bytes."""

    def __init__(self, path: Path) -> None:
        path.write_bytes(bytes(8 + LONGEST + 64))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)

    def put(self, data: bytes) -> None:
        """Remember an input."""
        self._map[8 : 8 + len(data)] = data
        self._map[:8] = len(data).to_bytes(8, "little")

    @staticmethod
    def read(path: Path) -> bytes:
        """The input that a dead worker was at."""
        data = path.read_bytes()
        return data[8 : 8 + int.from_bytes(data[:8], "little")]


def where(error: BaseException) -> str:
    """What was raised and where, without what depends on the input."""
    calls = traceback.extract_tb(error.__traceback__)
    ours = [call for call in calls if Path(call.filename).is_relative_to(HERE)] or calls
    place = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else "nowhere"
    return f"{type(error).__name__} at {place}"


def work(name: str, seed: int, inputs: int, at_work: Path, found: Path, tell: Callable[[dict[str, Any]], None]) -> None:
    """Give a target that many inputs; those that break its promise are kept in `found`, one a place.

    tell : hears that the target is compiled, then every second or so how far it is
    """
    take, mutator = TARGETS[name].make(), Mutator(corpus(name), seed)
    kept, findings = AtWork(at_work), dict[str, str]()
    done, slowest, said = 0, 0.0, 0.0
    signal.signal(signal.SIGVTALRM, _hang)
    for data in corpus(name):
        take(data)  # compile and warm, unmeasured
    tell({"done": 0, "cpu_s": 0.0, "slowest_s": 0.0, "findings": findings, "rss_mib": 0})
    begun = ended = time.process_time()
    while done < inputs:
        for _ in range(min(BATCH, inputs - done)):
            data = mutator.draw()
            kept.put(data)
            error = one(take, data)
            started, ended = ended, time.process_time()
            slowest = max(slowest, ended - started)
            if error is not None:
                place = where(error)
                if place not in findings:
                    findings[place] = str(error)[:200]
                    digest = hashlib.sha256(data).hexdigest()[:12]
                    (found / f"{name}-{digest}").write_bytes(data)
                take = TARGETS[name].make()
            done += 1
        now = time.monotonic()
        if now - said > 1.0 or done == inputs:
            said = now
            told = {"done": done, "cpu_s": time.process_time() - begun, "slowest_s": slowest, "findings": findings}
            told["rss_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            tell(told)


def one(take: Take, data: bytes) -> BaseException | None:
    """What one input raised."""
    signal.setitimer(signal.ITIMER_VIRTUAL, HANG_S)
    try:
        take(data)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        return error
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    return None


INPUTS = 10_000_000
"""In all; a target's part is by its share."""
PROCESSES = 2 * (os.cpu_count() or 1)
STUCK_S, COMPILE_S = 120.0, 900.0
"""A worker that takes so much processor time without a word hangs, s."""
DEATHS = 20
"""Crashes or hangs after which targets are given up."""
USUAL_MINUTES = 45.0
SEED = 9
_FORK = multiprocessing.get_context("fork")
FOUND = "tapewatch-fuzz-found"
"""Folder, among the temporary files, of inputs that broke a promise."""


class Finding(msgspec.Struct, frozen=True):
    """A promise that was broken. where : what was raised and where; input : file of it in the folder of findings"""

    target: str
    where: str
    detail: str


class TargetResult(msgspec.Struct, frozen=True):
    """One target. inputs_per_s : of processor time; slowest_ms : processor time of the dearest input"""

    target: str
    promise: str
    inputs: int
    cpu_s: float
    inputs_per_s: float
    slowest_ms: float
    rss_mib: int
    findings: int


class FuzzResult(msgspec.Struct, frozen=True):
    """What a soak gave. passed : all inputs were taken, without a finding"""

    passed: bool
    inputs: int
    seconds: float
    inputs_per_s: float
    crashes: int
    hangs: int
    seed: int
    targets: list[TargetResult]
    found: list[Finding]


@dataclass(slots=True)
class Progress:
    """A target's way through its inputs."""

    wanted: int
    done: int = 0
    cpu_s: float = 0.0
    slowest_s: float = 0.0
    rss_mib: int = 0
    seed: int = SEED
    findings: dict[str, str] = field(default_factory=dict)

    def add(self, before: "Progress", told: dict[str, float]) -> None:
        """Take what a worker said. before : as it was when that worker began"""
        self.done, self.cpu_s = before.done + int(told["done"]), before.cpu_s + told["cpu_s"]
        self.slowest_s = max(before.slowest_s, told["slowest_s"])
        self.rss_mib = max(before.rss_mib, int(told["rss_mib"]))


@dataclass(slots=True)
class Worker:
    """A process at a target. before : the target's progress when it began; at_work : its input at work
    said_s : processor time that it had taken when it last spoke; patience_s : how much more it may take in silence
    hangs : whether it took more
    """

    name: str
    process: Any
    before: Progress
    at_work: Path
    said_s: float = 0.0
    patience_s: float = COMPILE_S
    hangs: bool = False

    @property
    def cpu_s(self) -> float:
        """Processor time so far; of one that is gone, as when it last spoke."""
        try:
            used = psutil.Process(self.process.pid).cpu_times()
            return float(used.user + used.system)
        except psutil.Error:
            return self.said_s


class Soak:
    """Targets at work. Workers are forked, so that nothing is imported twice."""

    def __init__(self, inputs: int, folder: Path, found: Path, deadline: float) -> None:
        whole = sum(target.share for target in TARGETS.values())
        self.tried = {name: Progress(inputs * target.share // whole) for name, target in TARGETS.items()}
        self.tried[next(iter(TARGETS))].wanted += inputs - sum(each.wanted for each in self.tried.values())
        self.ended = {"crash": 0, "hang": 0}
        self._todo = list(TARGETS)
        self._folder, self._found, self._deadline = folder, found, deadline
        self._workers: dict[Connection, Worker] = {}

    def run(self) -> None:
        """Until all inputs are taken, or the time is over."""
        while self._workers or (self._todo and time.monotonic() < self._deadline):
            while self._todo and len(self._workers) < PROCESSES and time.monotonic() < self._deadline:
                self._start(self._todo.pop(0))
            for one in wait(list(self._workers), timeout=1.0):
                self._hear(cast(Connection, one))
            for worker in self._workers.values():
                worker.hangs = worker.cpu_s - worker.said_s > worker.patience_s
                if worker.hangs or time.monotonic() > self._deadline:
                    worker.process.kill()

    def _start(self, name: str) -> None:
        progress, at_work = self.tried[name], self._folder / f"at-work-{name}"
        ours, theirs = _FORK.Pipe(duplex=False)
        left = progress.wanted - progress.done
        words = (name, progress.seed, left, at_work, self._found, theirs.send)
        process = _FORK.Process(target=work, args=words)
        process.start()
        theirs.close()
        progress.seed += 1
        self._workers[ours] = Worker(name, process, replace(progress), at_work)

    def _hear(self, one: Connection) -> None:
        """What a worker says, or that it has ended."""
        worker = self._workers[one]
        progress = self.tried[worker.name]
        try:
            told = one.recv()
        except EOFError:
            del self._workers[one]
            self._end(worker, progress)
            return
        worker.said_s, worker.patience_s = worker.cpu_s, STUCK_S
        progress.add(worker.before, told)
        progress.findings |= told["findings"]

    def _end(self, worker: Worker, progress: Progress) -> None:
        worker.process.join()
        code = worker.process.exitcode
        if code and time.monotonic() < self._deadline:
            ended = "hang" if worker.hangs else "crash"
            data = AtWork.read(worker.at_work) if worker.at_work.exists() else b""
            (self._found / f"{worker.name}-died").write_bytes(data)
            said = signal.Signals(-code).name if code < 0 else f"exit {code}"
            progress.findings[f"{ended}: {said}"] = repr(data[:100])
            progress.done += 1
            self.ended[ended] += 1
            if self.ended[ended] < DEATHS:
                self._todo.insert(0, worker.name)
            return
        print(
            f"{worker.name}: {progress.done:,} inputs, {len(progress.findings)} findings", file=sys.stderr, flush=True
        )


def run(_settings: Settings, minutes: float) -> FuzzResult:
    """All targets; what is not done when the time is over is left."""
    begun = time.monotonic()
    found = Path(tempfile.gettempdir()) / FOUND
    found.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="tapewatch-fuzz-") as folder:
        soak = Soak(INPUTS, Path(folder), found, begun + minutes * 60)
        soak.run()
    return _result(soak.tried, soak.ended, time.monotonic() - begun)


def _result(tried: dict[str, Progress], crashes: dict[str, int], seconds: float) -> FuzzResult:
    targets = [
        TargetResult(
            name,
            TARGETS[name].promise,
            each.done,
            round(each.cpu_s, 1),
            round(each.done / each.cpu_s if each.cpu_s else 0.0),
            round(each.slowest_s * 1000, 1),
            each.rss_mib,
            len(each.findings),
        )
        for name, each in tried.items()
    ]
    found = [Finding(name, where, text) for name, each in tried.items() for where, text in each.findings.items()]
    inputs = sum(each.done for each in tried.values())
    return FuzzResult(
        passed=inputs >= INPUTS and not found and not any(crashes.values()),
        inputs=inputs,
        seconds=round(seconds, 1),
        inputs_per_s=round(inputs / seconds),
        crashes=crashes["crash"],
        hangs=crashes["hang"],
        seed=SEED,
        targets=targets,
        found=found,
    )


def markdown(result: FuzzResult) -> str:
    """A line a target."""
    lines = [
        f"{result.inputs:,} inputs in {result.seconds:,.0f} s: {result.crashes} crashes, {result.hangs} hangs, "
        f"{len(result.found)} broken promises (seed {result.seed}).",
        "",
        "| target | promise | inputs | inputs/s of CPU | dearest, ms | memory, MiB | broken |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {each.target} | {each.promise} | {each.inputs:,} | {each.inputs_per_s:,.0f} | {each.slowest_ms:g} "
        f"| {each.rss_mib} | {each.findings} |"
        for each in result.targets
    ]
    lines += ["", *(f"- {each.target}: {each.where}: {each.detail}" for each in result.found)]
    return "\n".join(lines).rstrip()
