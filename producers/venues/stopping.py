"""Work that ends when the producer is told to."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class StoppedError(Exception):
    """The producer was told to end before the work had."""


async def unless_stopped(stop: asyncio.Event, work: Coroutine[Any, Any, T]) -> T:
    """What the work gives; StoppedError, and the work is cancelled, where `stop` is set first."""
    task = asyncio.create_task(work)
    over = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({task, over}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise StoppedError
        return task.result()
    finally:
        for each in (task, over):
            each.cancel()
        await asyncio.gather(task, over, return_exceptions=True)


async def stopped_within(stop: asyncio.Event, seconds: float) -> bool:
    """Whether `stop` is set within that time."""
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return False
    return True
