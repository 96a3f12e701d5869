"""The one clock. Nothing else in the project reads the wall clock, so that tests and replays can set it."""

import time
from typing import Protocol

NANOS = 1_000_000_000

LATEST_NS = 7_258_118_400 * NANOS
"""The year 2200: no time of a row or a message lies after it."""


class Clock(Protocol):
    """Where the time comes from."""

    def now(self) -> int:
        """UTC nanoseconds since the epoch."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait that long."""
        ...


class WallClock:
    """The machine's clock."""

    def now(self) -> int:
        """UTC nanoseconds since the epoch."""
        return time.time_ns()

    def sleep(self, seconds: float) -> None:
        """Wait that long."""
        time.sleep(max(0.0, seconds))


class ManualClock:
    """A clock that moves only when told to, for tests."""

    def __init__(self, start: int = 0) -> None:
        self._now = start

    def now(self) -> int:
        """UTC nanoseconds since the epoch."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Move the clock on without waiting."""
        self._now += int(seconds * NANOS)


WALL = WallClock()
