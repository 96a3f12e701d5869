"""The one clock. Nothing else in the project reads the wall clock, so that tests and replays can set it."""

import time
from collections.abc import Callable
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


class SteadyClock:
    """A clock that never goes back and never stands still: where the clock under it is set back, or the log that is
    written holds later times already, it goes on at half speed until that clock has caught up.

    elapsed : nanoseconds since any moment, never set
    """

    def __init__(self, clock: Clock, elapsed: Callable[[], int] = time.monotonic_ns) -> None:
        self._clock, self._elapsed = clock, elapsed
        self._newest, self._seen = clock.now(), elapsed()

    def now(self) -> int:
        """UTC nanoseconds since the epoch, never less than before."""
        wall, elapsed = self._clock.now(), self._elapsed()
        if wall >= self._newest:
            self._newest, self._seen = wall, elapsed
        else:
            # Whole steps of two, so that asking often loses nothing.
            slow = (elapsed - self._seen) // 2
            self._newest, self._seen = self._newest + slow, self._seen + 2 * slow
        return self._newest

    def not_before(self, newest: int) -> None:
        """Go on from `newest`, UTC nanoseconds, where that lies ahead."""
        if newest > self.now():
            self._newest, self._seen = newest, self._elapsed()

    def sleep(self, seconds: float) -> None:
        """Wait that long."""
        self._clock.sleep(seconds)


WALL = WallClock()
