"""The one clock. Nothing else in the project reads the wall clock, so that tests and replays can set it.

`now` is data: it stands in records and rows, and is compared with what stands there. It may be set back by an hour, so
what has passed, what is due and how long something took are told by `elapsed` (tests/unit/test_wall_time.py).
"""

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

    def elapsed(self) -> int:
        """Nanoseconds since any moment; nobody sets them."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait that long."""
        ...


class WallClock:
    """The machine's clock."""

    def now(self) -> int:
        """UTC nanoseconds since the epoch."""
        return time.time_ns()

    def elapsed(self) -> int:
        """Nanoseconds since any moment; nobody sets them."""
        return time.monotonic_ns()

    def sleep(self, seconds: float) -> None:
        """Wait that long."""
        time.sleep(max(0.0, seconds))


class ManualClock:
    """A clock that moves only when told to, for tests."""

    def __init__(self, start: int = 0) -> None:
        self._elapsed, self._set = start, 0

    def now(self) -> int:
        """UTC nanoseconds since the epoch."""
        return self._elapsed + self._set

    def elapsed(self) -> int:
        """Nanoseconds since the epoch, had nobody set the clock."""
        return self._elapsed

    def sleep(self, seconds: float) -> None:
        """Move the clock on without waiting."""
        self._elapsed += int(seconds * NANOS)

    def set(self, seconds: float) -> None:
        """Set the clock on, or back where that is negative; no time passes."""
        self._set += int(seconds * NANOS)


class SteadyClock:
    """A clock that never goes back and never stands still: where the clock under it is set back, or the log that is
    written holds later times already, it goes on at half speed until that clock has caught up.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._newest, self._seen = clock.now(), clock.elapsed()

    def now(self) -> int:
        """UTC nanoseconds since the epoch, never less than before."""
        wall, elapsed = self._clock.now(), self._clock.elapsed()
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
            self._newest, self._seen = newest, self._clock.elapsed()

    def elapsed(self) -> int:
        """Nanoseconds since any moment; nobody sets them."""
        return self._clock.elapsed()

    def sleep(self, seconds: float) -> None:
        """Wait that long."""
        self._clock.sleep(seconds)


WALL = WallClock()
