"""Waiting between attempts: exponential, with full jitter and a cap, on a time that tests can set."""

import asyncio
import random
from typing import Protocol


class Timer(Protocol):
    """Where waits come from."""

    def time(self) -> float:
        """Seconds of a clock that only goes forward."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait that long."""
        ...


class LoopTimer:
    """The running event loop's time."""

    def time(self) -> float:
        """Seconds of the loop's clock."""
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        """Wait that long."""
        await asyncio.sleep(seconds)


LOOP = LoopTimer()


class Backoff:
    """Waits before the next attempt, drawn evenly from nothing up to first_s, 2 first_s, 4 first_s, ... cap_s.

    Full jitter keeps many clients that lost the same server from coming back at the same moment.
    """

    def __init__(self, first_s: float = 0.5, cap_s: float = 60.0, rng: random.Random | None = None) -> None:
        self._first_s = first_s
        self._cap_s = cap_s
        self._rng = rng or random.SystemRandom()
        self._longest_s = first_s

    def next(self) -> float:
        """Seconds to wait now; the next wait may be twice as long."""
        longest_s = min(self._longest_s, self._cap_s)
        self._longest_s = min(2.0 * longest_s, self._cap_s)
        return self._rng.uniform(0.0, longest_s)

    def reset(self) -> None:
        """An attempt went well: begin anew."""
        self._longest_s = self._first_s
