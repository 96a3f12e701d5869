"""A gateway's life: find out what is known, then take orders, work on them and publish, round after round."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import msgspec

from sinks.orders.gateway import Gateway
from sinks.orders.journal import Journal
from sinks.orders.order_log import OrderLog
from sinks.orders.venue import RefusedError, Venue, VenueError
from tapewatch import logs
from tapewatch.clock import NANOS, WALL
from tapewatch.errors import TapewatchError

_WAIT_S = 0.02
_PATIENCE_S = 2.0
_log = logs.get("sink.orders")


class Progress(msgspec.Struct, frozen=True):
    """What a gateway has done since its start. active : orders that are not done; published : records written"""

    venue: str
    taken: int
    active: int
    published: int


async def serve(
    gateway: Gateway,
    journal: Journal,
    venue: Venue,
    log: OrderLog,
    stop: asyncio.Event,
    until_idle: float | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Progress:
    """Work until `stop` is set, or until every order is done and none came for `until_idle` seconds.

    on_progress : called about every two seconds. TapewatchError where the venue refuses the keys.
    """
    taken = published = 0
    await _connect(venue, stop)
    try:
        if journal.fresh:
            gateway.adopt(log.backlog())
        log.start(journal.offsets())
        await gateway.reconcile()
        moved = told = WALL.now()
        while not stop.is_set():
            # An order under way is looked at again soon; with none, there is nothing to do but to wait for one.
            arrived = await log.read(_WAIT_S)
            gateway.take(arrived)
            await gateway.step()
            sent = await _publish(journal, log)
            taken, published = taken + len(arrived), published + sent
            now = WALL.now()
            moved = now if arrived or sent or gateway.active else moved
            if on_progress and now - told > 2 * NANOS:
                told = now
                on_progress(Progress(venue.name, taken, len(gateway.active), published))
            if until_idle is not None and now - moved > until_idle * NANOS:
                break
    finally:
        await gateway.end(_PATIENCE_S)
        await venue.close()
    return Progress(venue.name, taken, len(gateway.active), published)


async def _connect(venue: Venue, stop: asyncio.Event) -> None:
    """Reach the venue, and see that it knows the keys; a venue that does not answer is waited for."""
    wait = 0.2
    while not stop.is_set():
        try:
            await venue.open()
            held = await venue.balances()
            _log.info("connected", venue=venue.name, currencies=len(held))
            return
        except RefusedError as error:
            await venue.close()
            raise TapewatchError(
                f"the venue refuses the keys: {error.reason}", "Check them and their rights."
            ) from None
        except VenueError as error:
            await venue.close()
            _log.warning("waiting for the venue", venue=venue.name, reason=error.reason)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), wait)
            wait = min(wait * 2, 10.0)


async def _publish(journal: Journal, log: OrderLog) -> int:
    """Write what the journal has to say; returns how many records."""
    count = 0
    while records := journal.outbox():
        await log.publish(records)
        journal.published(records[-1].seq)
        count += len(records)
    return count
