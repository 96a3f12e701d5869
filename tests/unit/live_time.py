"""Loop times that move only by being slept on, for tests of waits."""

import asyncio
import random
import selectors
from collections.abc import Coroutine
from typing import Any


class SleptTime:
    """Sleeping moves the time on at once. slept : the waits asked for, s"""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def time(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


class Longest(random.Random):
    """Draws the upper end, so that jitter is no matter of chance."""

    def uniform(self, a: float, b: float) -> float:
        return b


class _Impatient(selectors.DefaultSelector):
    """Waits for nobody: the loop's time moves on by as long as it would have waited."""

    waited = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise AssertionError("everything waits, and for nothing that will ever come")
        self.waited += max(timeout, 0.0)
        return super().select(0)


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop from second 0 on, whose time jumps to the next timer as soon as all has been done."""

    def __init__(self) -> None:
        self._impatient = _Impatient()
        super().__init__(self._impatient)

    def time(self) -> float:
        return self._impatient.waited

    def stand_still(self, seconds: float) -> None:
        """Time goes by, and nothing is done in it."""
        self._impatient.waited += seconds


def jumping(scene: Coroutine[Any, Any, None]) -> None:
    """Run a scene on a JumpingLoop."""
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        runner.run(scene)
