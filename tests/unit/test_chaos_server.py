"""A process of the fault kit is kept alive, and stays down only while it is held."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.chaos.server import Kept
from tapewatch.clock import NANOS, WALL

LONG = [sys.executable, "-c", "import time; time.sleep(600)"]
BAD = [sys.executable, "-c", "import sys; print('no such topic'); sys.exit(3)"]


def _until(kept: Kept, wanted: Callable[[], bool]) -> None:
    deadline = WALL.now() + 60 * NANOS
    while not wanted():
        assert WALL.now() < deadline, kept.said()
        kept.tend()
        WALL.sleep(0.01)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def test_killed_process_is_started_again_and_counts_as_no_failure(folder: Path) -> None:
    kept = Kept("a", "engine", lambda: LONG, folder, folder / "a.log")
    _until(kept, lambda: kept.pid > 0)
    first = kept.pid
    kept.kill()
    _until(kept, lambda: kept.pid not in (0, first))
    assert (kept.restarts, kept.failures) == (1, [])
    kept.end(WALL.now())
    assert kept.pid == 0


def test_held_process_stays_down_until_released(folder: Path) -> None:
    kept = Kept("a", "engine", lambda: LONG, folder, folder / "a.log")
    _until(kept, lambda: kept.pid > 0)
    kept.hold()
    kept.kill()
    _until(kept, lambda: kept.pid == 0)
    until = WALL.now() + NANOS
    _until(kept, lambda: WALL.now() > until)
    assert kept.starts == 1
    kept.release()
    _until(kept, lambda: kept.pid > 0)
    kept.end(WALL.now())


def test_end_that_nobody_asked_for_is_a_failure_with_its_last_words(folder: Path) -> None:
    kept = Kept("a", "engine", lambda: BAD, folder, folder / "a.log")
    _until(kept, lambda: bool(kept.failures))
    assert "status 3" in kept.failures[0]
    assert "no such topic" in kept.failures[0]


def test_frozen_process_ends_with_the_kit_all_the_same(folder: Path) -> None:
    kept = Kept("a", "engine", lambda: LONG, folder, folder / "a.log")
    _until(kept, lambda: kept.pid > 0)
    kept.freeze()
    assert kept.frozen
    kept.end(WALL.now() + 10 * NANOS)
    assert kept.pid == 0
