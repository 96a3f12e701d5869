"""What tests wait with."""

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from tests import eventually as module
from tests.eventually import EndedError, eventually, eventually_async, runs


def waited(check: Callable[[], object], seconds: float = 60.0, told: Callable[[], object] = str) -> list[object]:
    """What both ways of waiting give."""
    return [
        eventually(check, what="it", seconds=seconds, pause=0.0, told=told),
        asyncio.run(eventually_async(check, what="it", seconds=seconds, pause=0.0, told=told)),
    ]


def test_first_true_value_is_given() -> None:
    values: Iterator[object] = iter([0, "", None, "one", [], "two", "three"])
    assert waited(lambda: next(values)) == ["one", "two"]


def test_assertion_means_not_yet() -> None:
    values = iter([1, 2, 3, 4, 5, 6])

    def check() -> int:
        value = next(values)
        assert value % 3 == 0
        return value

    assert waited(check) == [3, 6]


def test_coroutine_functions_are_awaited() -> None:
    values = iter([0, 7])

    async def check() -> int:
        return next(values)

    assert asyncio.run(eventually_async(check, what="it", pause=0.0)) == 7


def test_wait_in_vain_says_what_for_and_what_was_seen_last() -> None:
    with pytest.raises(AssertionError, match=r"^it: not within 0 s; last \[\]; the log says nothing$"):
        waited(list, 0.0, lambda: "the log says nothing")
    with pytest.raises(AssertionError, match=r"^it: not within 0 s; last 0$"):
        asyncio.run(eventually_async(int, what="it", seconds=0.0))


def test_wait_in_vain_is_caused_by_the_last_assertion() -> None:
    def check() -> bool:
        raise AssertionError("two are left")

    with pytest.raises(AssertionError, match="two are left") as raised:
        waited(check, 0.0)
    assert str(raised.value.__cause__) == "two are left"


def test_other_errors_end_the_wait() -> None:
    def check() -> bool:
        raise KeyError("gone")

    with pytest.raises(KeyError):
        waited(check)


def test_patience_multiplies_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.0)
    with pytest.raises(AssertionError, match="not within 0 s"):
        waited(int, 3600.0)


def test_process_that_ended_is_waited_for_no_longer() -> None:
    with subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"], stdin=subprocess.PIPE) as process:
        assert process.wait(60) == 3
    with pytest.raises(EndedError, match="ended with 3: its log"):
        eventually(lambda: runs(process, lambda: "its log") and False, what="it")


def test_process_that_runs_is_waited_for() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert runs(process)
        process.communicate(b"\n", 60)
