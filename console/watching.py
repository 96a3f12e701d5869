"""What the console shows of itself: requests, how long they take, open streams, whether the database answers."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import sqlalchemy as sa
from aiohttp import web

from console.database import Database
from console.limits import Streams
from tapewatch.runtime.monitoring import Monitor, counter, gauge, histogram

REQUESTS = counter("tapewatch_console_requests_total", "Requests answered, by route and status.", "route", "status")
SECONDS = histogram("tapewatch_console_request_seconds", "Time to the answer's end; event streams not among them.")
STREAMS = gauge("tapewatch_console_streams", "Event streams that are open.")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_EVENTS = "text/event-stream"
_BEAT_S = 1.0
_LOOK_S = 5.0


def counting(monitor: Monitor, streams: Streams) -> Any:
    """The middleware that counts every request; it comes before all others."""
    takes = monitor.distribution(SECONDS)
    monitor.show(STREAMS, lambda: {(): streams.count})

    @web.middleware
    async def count(request: web.Request, handler: Handler) -> web.StreamResponse:
        begun, status, is_stream = time.monotonic(), 500, False
        try:
            answer = await handler(request)
            status = answer.status
            is_stream = isinstance(answer, web.WebSocketResponse) or answer.content_type == _EVENTS
            return answer
        except web.HTTPException as error:
            status = error.status
            raise
        finally:
            # The route as it is written, not the path: what callers may choose is no label.
            resource = request.match_info.route.resource
            monitor.add(REQUESTS, 1, resource.canonical if resource is not None else "", str(status))
            if not is_stream:
                takes.observe(time.monotonic() - begun)

    return count


async def watch(monitor: Monitor, database: Database) -> None:
    """Beat, and look every few seconds whether the database answers, until cancelled."""
    look = asyncio.create_task(_look(monitor, database))
    try:
        while True:
            monitor.beat()
            await asyncio.wait({look}, timeout=_BEAT_S)
            if look.done():
                look = asyncio.create_task(_look(monitor, database, _LOOK_S))
    finally:
        look.cancel()


async def _look(monitor: Monitor, database: Database, after_s: float = 0.0) -> None:
    """Ask the database for nothing; it counts as lost while it does not answer."""
    await asyncio.sleep(after_s)
    try:
        async with asyncio.timeout(_LOOK_S):
            await database.run(_answers)
        monitor.has("database")
    except (sa.exc.SQLAlchemyError, TimeoutError) as error:
        monitor.waits_for("database", " ".join(str(error).split())[:200] or "it does not answer")


def _answers(session: sa.Connection) -> None:
    session.execute(sa.text("SELECT 1"))
