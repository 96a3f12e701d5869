"""A gateway's life: find out what is known, then take orders, work on them and publish, round after round."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import msgspec

from sinks.orders.gateway import Gateway
from sinks.orders.intake import OrderReceiver
from sinks.orders.journal import Journal
from sinks.orders.order_log import OrderLog
from sinks.orders.venue import RefusedError, Venue, VenueError
from tapewatch import logs
from tapewatch.clock import NANOS, WALL
from tapewatch.errors import TapewatchError
from tapewatch.runtime.monitoring import Monitor, counter, gauge

TAKEN = counter("tapewatch_orders_taken_total", "Records of orders read.")
PUBLISHED = counter("tapewatch_orders_published_total", "Orders' revisions and fills written.")
ACTIVE = gauge("tapewatch_orders_active", "Orders that are not done.")
UNPUBLISHED = gauge("tapewatch_orders_unpublished", "1 while records wait in the journal for Kafka.")

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
    intake: OrderReceiver,
    journal: Journal,
    venue: Venue,
    log: OrderLog,
    stop: asyncio.Event,
    monitor: Monitor,
    until_idle: float | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Progress:
    """Work until `stop` is set, or until every order was read and is done and none came for `until_idle` seconds.

    on_progress : called about every two seconds. TapewatchError where the venue refuses the keys.
    """
    taken = 0
    await _connect(venue, stop, monitor)
    out = _Publisher(journal, log, monitor)
    try:
        if journal.fresh:
            intake.adopt(log.backlog())
        log.start(journal.offsets())
        await gateway.reconcile()
        moved = told = WALL.elapsed()
        monitor.ready()
        while not stop.is_set():
            monitor.beat()
            arrived = await log.read(_WAIT_S)
            intake.take(arrived)
            await gateway.step()
            out.check()
            taken += len(arrived)
            monitor.add(TAKEN, len(arrived))
            monitor.set(ACTIVE, len(gateway.active))
            monitor.set(UNPUBLISHED, out.waits)
            now = WALL.elapsed()
            moved = now if arrived or gateway.active or out.waits or not log.at_end else moved
            if on_progress and now - told > 2 * NANOS:
                told = now
                on_progress(Progress(venue.name, taken, len(gateway.active), out.published))
            if until_idle is not None and now - moved > until_idle * NANOS:
                break
    finally:
        await gateway.end(_PATIENCE_S)
        await venue.close()
        await out.end()
    return Progress(venue.name, taken, len(gateway.active), out.published)


class _Publisher:
    """Writes what the journal has to say beside the work on orders, which does not wait for it."""

    def __init__(self, journal: Journal, log: OrderLog, monitor: Monitor) -> None:
        self._journal, self._log, self._monitor = journal, log, monitor
        self.published = 0
        self._task = asyncio.ensure_future(self._run())

    @property
    def waits(self) -> bool:
        """Whether something is left to write."""
        return bool(self._journal.outbox(1))

    def check(self) -> None:
        """Raise what has ended the work, if anything."""
        if self._task.done():
            self._task.result()

    async def _run(self) -> None:
        """Write on and on; a broker that does not take it is tried again."""
        while True:
            try:
                await self._write()
                self._monitor.has("broker")
                await asyncio.sleep(_WAIT_S)
            except TapewatchError as error:
                self._monitor.waits_for("broker", error.message)
                _log.warning("records wait in the journal", reason=error.message)
                await asyncio.sleep(1.0)

    async def _write(self) -> None:
        while records := self._journal.outbox():
            await self._log.publish(records)
            self._journal.published(records[-1].seq)
            self.published += len(records)
            self._monitor.add(PUBLISHED, len(records))

    async def end(self) -> None:
        """Write the rest. TapewatchError where that is not taken: it stays in the journal."""
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        await self._write()


async def _connect(venue: Venue, stop: asyncio.Event, monitor: Monitor) -> None:
    """Reach the venue, and see that it knows the keys; a venue that does not answer is waited for."""
    wait = 0.2
    while not stop.is_set():
        try:
            await venue.open()
            held = await venue.balances()
            monitor.has("venue")
            _log.info("connected", venue=venue.name, currencies=len(held))
            return
        except RefusedError as error:
            await venue.close()
            raise TapewatchError(
                f"the venue refuses the keys: {error.reason}", "Check them and their rights."
            ) from None
        except VenueError as error:
            await venue.close()
            monitor.beat()
            monitor.waits_for("venue", error.reason)
            _log.warning("waiting for the venue", venue=venue.name, reason=error.reason)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), wait)
            wait = min(wait * 2, 10.0)
