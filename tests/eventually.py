"""The one way in which tests wait for what another thread, process or server does in its own time.

TAPEWATCH_TEST_PATIENCE multiplies how long, for machines that have much else to do.
"""

import asyncio
import inspect
import os
import subprocess
import time
from collections.abc import Callable
from typing import Any, TypeVar

PATIENCE = float(os.environ.get("TAPEWATCH_TEST_PATIENCE", "1"))

T = TypeVar("T")


class EndedError(Exception):
    """What is awaited can come no more: a wait ends with it at once."""


def runs(process: "subprocess.Popen[Any]", told: Callable[[], str] = str) -> bool:
    """True while a process runs; EndedError once it has ended. told : what to say of it then"""
    if process.poll() is not None:
        raise EndedError(f"the process ended with {process.returncode}: {told()}")
    return True


class _Wait:
    """Tries until a time."""

    def __init__(self, what: str, seconds: float, pause: float, told: Callable[[], object]) -> None:
        self._what, self._seconds, self._pause, self._told = what, seconds * PATIENCE, pause, told
        self._since = time.monotonic()

    def pause(self, last: object) -> float:
        """Seconds to the next try: a tenth of the wait so far, so that a long one does not keep a processor busy.

        last : the value or assertion of the last try. AssertionError once the time is over.
        """
        waited = time.monotonic() - self._since
        if waited >= self._seconds:
            cause = last if isinstance(last, AssertionError) else None
            said = f"{self._what}: not within {self._seconds:g} s; last {last!r}; {self._told()}"
            raise AssertionError(said.removesuffix("; ")) from cause
        return max(self._pause, min(0.1 * waited, 0.5))


def eventually(
    check: Callable[[], T | None],
    *,
    what: str,
    seconds: float = 60.0,
    pause: float = 0.05,
    told: Callable[[], object] = str,
) -> T:
    """The first true value of `check`, asked again while it is not true or asserts in vain.

    what : is awaited; pause : seconds between the first tries; told : more to say of a wait in vain.
    AssertionError, with the last value or assertion, when it took too long; any other error of `check` goes through.
    """
    wait = _Wait(what, seconds, pause, told)
    while True:
        last: object
        try:
            if found := check():
                return found
            last = found
        except AssertionError as error:
            last = error
        time.sleep(wait.pause(last))


async def eventually_async(
    check: Callable[[], Any],
    *,
    what: str,
    seconds: float = 60.0,
    pause: float = 0.01,
    told: Callable[[], object] = str,
) -> Any:
    """`eventually` for what happens in this event loop; `check` may be a coroutine function."""
    wait = _Wait(what, seconds, pause, told)
    while True:
        last: object
        try:
            found = check()
            last = await found if inspect.isawaitable(found) else found
            if last:
                return last
        except AssertionError as error:
            last = error
        await asyncio.sleep(wait.pause(last))
