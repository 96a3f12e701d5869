"""A process of the fault kit is kept alive, and stays down only while it is held."""

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.chaos.server import SupervisedProcess, resident_bytes
from tapewatch.clock import NANOS, WALL
from tests.eventually import eventually

LONG = [sys.executable, "-c", "import time; time.sleep(600)"]
BAD = [sys.executable, "-c", "import sys; print('no such topic'); sys.exit(3)"]


def _until(kept: SupervisedProcess, wanted: Callable[[], bool]) -> None:
    def is_so() -> bool:
        kept.tend()
        return wanted()

    eventually(is_so, what="it is so", pause=0.01, told=kept.said)


def _words(kept: SupervisedProcess) -> list[str]:
    """What the process was started with, as the kernel has it."""
    return Path(f"/proc/{kept.pid}/cmdline").read_text().split("\0")[:-1] if kept.pid else []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def test_killed_process_is_started_again_and_counts_as_no_failure(folder: Path) -> None:
    kept = SupervisedProcess("a", "engine", lambda: LONG, folder, folder / "a.log")
    _until(kept, lambda: kept.pid > 0)
    first = kept.pid
    kept.kill()
    _until(kept, lambda: kept.pid not in (0, first))
    assert (kept.restarts, kept.failures) == (1, [])
    kept.end(WALL.elapsed())
    assert kept.pid == 0


def test_held_process_stays_down_until_released(folder: Path) -> None:
    kept = SupervisedProcess("a", "engine", lambda: LONG, folder, folder / "a.log")
    _until(kept, lambda: kept.pid > 0)
    kept.hold()
    kept.kill()
    _until(kept, lambda: kept.pid == 0)
    until = WALL.elapsed() + NANOS
    _until(kept, lambda: WALL.elapsed() > until)
    assert kept.starts == 1
    kept.release()
    _until(kept, lambda: kept.pid > 0)
    kept.end(WALL.elapsed())


def test_words_given_at_a_release_are_those_of_every_start_until_the_next_release(folder: Path) -> None:
    kept = SupervisedProcess("a", "engine", lambda: [*LONG, "always"], folder, folder / "a.log")
    kept.hold()
    for more, wanted in ((("--restore", "all"), ["always", "--restore", "all"]), ((), ["always"])):
        kept.release(*more)
        for _ in range(2):
            before = kept.starts
            kept.kill()
            _until(kept, lambda before=before: kept.starts > before)  # type: ignore[misc]
            _until(kept, lambda wanted=wanted: _words(kept)[3:] == wanted)  # type: ignore[misc]
    kept.end(WALL.elapsed())


def test_end_that_nobody_asked_for_is_a_failure_with_its_last_words(folder: Path) -> None:
    kept = SupervisedProcess("a", "engine", lambda: BAD, folder, folder / "a.log")
    _until(kept, lambda: bool(kept.failures))
    assert "status 3" in kept.failures[0]
    assert "no such topic" in kept.failures[0]


def test_frozen_process_ends_with_the_kit_all_the_same(folder: Path) -> None:
    kept = SupervisedProcess("a", "engine", lambda: LONG, folder, folder / "a.log")
    _until(kept, lambda: kept.pid > 0)
    kept.freeze()
    assert kept.frozen
    kept.end(WALL.elapsed() + 10 * NANOS)
    assert kept.pid == 0


def test_the_most_memory_of_a_process_is_what_the_kernel_says_of_it() -> None:
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    assert abs((resident_bytes(os.getpid(), "VmHWM") >> 20) - own) <= 8
    ended = subprocess.Popen(["true"])
    ended.wait()
    assert resident_bytes(ended.pid, "VmHWM") == 0
