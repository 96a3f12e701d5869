"""How much one caller may ask for: requests a minute, event streams open at a time."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from console.refusal import RefusedError
from tapewatch.clock import NANOS, WALL, Clock

MOST_CALLERS = 10_000


class Rates:
    """Token buckets by caller: a minute's worth at once, then as many a minute."""

    def __init__(self, clock: Clock = WALL) -> None:
        self._clock = clock
        self._buckets: dict[str, tuple[float, int]] = {}

    def take(self, caller: str, per_minute: int) -> None:
        """Count one request; RefusedError 429 where the bucket is empty."""
        elapsed = self._clock.elapsed()
        left, last = self._buckets.pop(caller, (float(per_minute), elapsed))
        left = min(float(per_minute), left + (elapsed - last) / NANOS * per_minute / 60.0)
        if len(self._buckets) >= MOST_CALLERS:
            del self._buckets[next(iter(self._buckets))]
        # Whoever is refused pays nothing: what has come together stays, however often he asks.
        self._buckets[caller] = (left - 1.0 if left >= 1.0 else left, elapsed)
        if left < 1.0:
            raise RefusedError(429, "too many requests", "Wait a moment.")


class Streams:
    """Event streams that are open, by account; they end with the app."""

    def __init__(self) -> None:
        self._open: dict[str, set[asyncio.Task[object]]] = {}

    @contextmanager
    def one(self, account: str, most: int) -> Iterator[None]:
        """Count the current task as a stream while it runs; RefusedError 429 where the account has enough."""
        mine = self._open.setdefault(account, set())
        task: asyncio.Task[object] | None = asyncio.current_task()
        if len(mine) >= most:
            raise RefusedError(429, f"{most} event streams are open already", "Close one.")
        if task is not None:
            mine.add(task)
        try:
            yield
        finally:
            mine -= {task}
            if not mine:
                self._open.pop(account, None)

    @property
    def count(self) -> int:
        """How many are open."""
        return sum(map(len, list(self._open.values())))

    def end(self) -> None:
        """Cancel every stream."""
        for tasks in list(self._open.values()):
            for task in list(tasks):
                task.cancel()
