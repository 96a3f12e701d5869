"""`make soak ARGS=fuzz`: ten million mutated inputs over all targets, each in a process of its own."""

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from benchmarks.fuzz.targets import TARGETS
from benchmarks.fuzz.worker import AtWork
from tapewatch.settings import Settings

INPUTS = 10_000_000
"""In all; a target's part is by its share."""
PROCESSES = 2 * (os.cpu_count() or 1)
STUCK_S = 300.0
"""A worker that says nothing for so long hangs, s: many times what a batch takes on a busy machine."""
USUAL_MINUTES = 45.0
SEED = 9
FOUND = "tapewatch-fuzz-found"
"""Folder, among the temporary files, of inputs that broke a promise."""


class Found(msgspec.Struct, frozen=True):
    """A promise that was broken. where : what was raised and where; input : file of it in the folder of findings"""

    target: str
    where: str
    detail: str


class Tried(msgspec.Struct, frozen=True):
    """One target. inputs_per_s : of processor time; slowest_ms : processor time of the dearest input"""

    target: str
    promise: str
    inputs: int
    cpu_s: float
    inputs_per_s: float
    slowest_ms: float
    rss_mib: int
    findings: int


class Fuzzed(msgspec.Struct, frozen=True):
    """What a soak gave. passed : all inputs were taken, without a finding"""

    passed: bool
    inputs: int
    seconds: float
    inputs_per_s: float
    crashes: int
    hangs: int
    seed: int
    targets: list[Tried]
    found: list[Found]


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


def run(_settings: Settings, minutes: float) -> Fuzzed:
    """All targets; what is not done when the time is over is left."""
    whole, begun = sum(target.share for target in TARGETS.values()), time.monotonic()
    tried = {name: Progress(INPUTS * target.share // whole) for name, target in TARGETS.items()}
    first = next(iter(tried.values()))
    first.wanted += INPUTS - sum(each.wanted for each in tried.values())
    todo: queue.SimpleQueue[str] = queue.SimpleQueue()
    for name in tried:
        todo.put(name)
    crashes = {"crash": 0, "hang": 0}
    with tempfile.TemporaryDirectory(prefix="tapewatch-fuzz-") as folder:
        kept = Path(tempfile.gettempdir()) / FOUND
        kept.mkdir(exist_ok=True)
        deadline = begun + minutes * 60

        def work(number: int) -> None:
            while not todo.empty():
                try:
                    name = todo.get_nowait()
                except queue.Empty:
                    return
                at_work = Path(folder) / f"at-work-{number}"
                while tried[name].done < tried[name].wanted and time.monotonic() < deadline:
                    ended = _worker(name, tried[name], at_work, kept, deadline)
                    if ended:
                        crashes[ended] += 1
                print(f"{name}: {tried[name].done:,} inputs, {len(tried[name].findings)} findings", file=sys.stderr)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(PROCESSES)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return _result(tried, crashes, time.monotonic() - begun)


def _worker(name: str, progress: Progress, at_work: Path, found: Path, deadline: float) -> str:
    """One process over what is left of a target; "crash" or "hang" where it did not end by itself."""
    before, left = replace(progress), progress.wanted - progress.done
    words = ["--seed", str(progress.seed), "--inputs", str(left), "--at-work", str(at_work), "--found", str(found)]
    command = [sys.executable, "-P", "-m", "benchmarks.fuzz.worker", name, *words]
    progress.seed += 1
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own module
        said = [time.monotonic()]
        stuck = threading.Event()

        def watch() -> None:
            while process.poll() is None:
                now = time.monotonic()
                if now - said[0] > STUCK_S:
                    stuck.set()
                if stuck.is_set() or now > deadline:
                    process.kill()
                    return
                time.sleep(1.0)

        guard = threading.Thread(target=watch)
        guard.start()
        for line in process.stdout or ():
            said[0] = time.monotonic()
            told = json.loads(line)
            progress.add(before, told)
            progress.findings |= told["findings"]
        process.wait()
        guard.join()
    if process.returncode == 0 or (time.monotonic() > deadline and not stuck.is_set()):
        return ""
    data = AtWork.read(at_work)
    (found / f"{name}-died").write_bytes(data)
    ended = "hang" if stuck.is_set() else "crash"
    number = -process.returncode if process.returncode < 0 else 0
    progress.findings[f"{ended}: {signal.Signals(number).name if number else process.returncode}"] = repr(data[:100])
    progress.done += 1
    return ended


def _result(tried: dict[str, Progress], crashes: dict[str, int], seconds: float) -> Fuzzed:
    targets = [
        Tried(
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
    found = [Found(name, where, text) for name, each in tried.items() for where, text in each.findings.items()]
    inputs = sum(each.done for each in tried.values())
    return Fuzzed(
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


def markdown(result: Fuzzed) -> str:
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
