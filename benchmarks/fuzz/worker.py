"""One target under mutated inputs, in a process of its own. The input at work lies in a file that outlives a crash."""

import hashlib
import mmap
import resource
import signal
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from benchmarks.fuzz.mutate import LONGEST, Mutator
from benchmarks.fuzz.targets import TARGETS, Take, corpus

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
