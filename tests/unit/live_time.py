"""A loop time that moves only by being slept on, for tests of waits."""

import asyncio


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
