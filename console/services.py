"""What the handlers work with: settings, database, audit log, clock; parts that must be started and ended."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from console.database import Database
from console.limits import Rates, Streams
from tapewatch.clock import WALL, Clock
from tapewatch.runtime.monitoring import Monitor
from tapewatch.settings import Settings

Part = Callable[["Services"], AbstractAsyncContextManager[Any]]
"""A part that lives as long as the app: what it yields lies in `Services.parts` under the name it is given."""


HASHED_AT_ONCE = 2
"""Passwords looked at side by side: each takes 64 MiB."""


@runtime_checkable
class StreamingPart(Protocol):
    """A part that holds streams open, which the server would wait for when it stops."""

    def hang_up(self) -> None:
        """End them."""
        ...


@dataclass(slots=True)
class Services:
    """Everything a handler may need.

    parts : by name, such as `live` (the tape's hub) or `events` (the event streams)
    monitor : what the process shows of itself
    rates, streams : how much callers ask for; hashing : held while a password is looked at
    """

    settings: Settings
    database: Database
    clock: Clock = WALL
    parts: dict[str, Any] = field(default_factory=dict)
    rates: Rates = field(default_factory=Rates)
    streams: Streams = field(default_factory=Streams)
    hashing: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(HASHED_AT_ONCE))
    monitor: Monitor = field(init=False)

    def __post_init__(self) -> None:
        self.monitor = Monitor("console", self.settings)

    @asynccontextmanager
    async def running(self, wanted: Mapping[str, Part]) -> AsyncIterator["Services"]:
        """Start the parts, and end them in the opposite order."""
        async with AsyncExitStack() as stack:
            for name, part in wanted.items():
                self.parts[name] = await stack.enter_async_context(part(self))
            try:
                yield self
            finally:
                self.parts.clear()
