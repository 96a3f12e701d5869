"""A gateway's life: find out what is known, then take orders, work on them and publish, round after round.

`tapewatch sink orders`: the gateway that the settings describe, started by the operator's explicit word.
"""

import asyncio
import signal
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec

import msgspec

from sinks.orders.gateway import Gateway
from sinks.orders.intake import KafkaOrderLog, OrderLog, OrderReceiver
from sinks.orders.journal import Journal
from sinks.orders.limits import Limits
from sinks.orders.secrets import Keys, keys
from sinks.orders.venue import RefusedError, Venue, VenueError
from tapewatch import logs
from tapewatch.clock import NANOS, WALL
from tapewatch.contract.instruments import Instrument
from tapewatch.errors import SettingsError, TapewatchError
from tapewatch.market_log.registry import Registry
from tapewatch.runtime.monitoring import Monitor, counter, gauge
from tapewatch.settings import Settings

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


_EXTRA = {"upbit": ("aiohttp", "orders"), "binance": ("aiohttp", "orders"), "fix": ("quickfix", "fix")}


def run(
    settings: Settings,
    venue_name: str,
    i_mean_it: bool,
    until_idle: float | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Progress:
    """Run a gateway until SIGINT or SIGTERM; orders that are open then stay open at the venue.

    TapewatchError where the word, a limit, a key, the address or an extra is missing: nothing is sent then.
    """
    if not i_mean_it:
        raise TapewatchError(
            "an order gateway sends real orders, with real money", "Add --i-mean-it once the limits are right."
        )
    limits = Limits(settings.orders)
    venue = make_venue(settings, venue_name, keys(settings.orders))
    journal = Journal(settings.data_path / "orders" / f"{venue_name}.sqlite")
    try:
        with Monitor("sink_orders", settings) as monitor:
            return asyncio.run(_serve(settings, venue, journal, limits, monitor, until_idle, on_progress))
    finally:
        journal.close()


def make_venue(settings: Settings, name: str, secret: Keys) -> Venue:
    """The venue of a name; its libraries are loaded only here."""
    package, extra = _EXTRA[name]
    if find_spec(package) is None:
        raise TapewatchError(f"the {name} gateway needs {package}", f"Run pip install 'tapewatch[{extra}]'.")
    orders = settings.orders
    if not orders.address:
        raise SettingsError("orders.address is not set", "Set the venue's base address under [orders].")
    if name == "upbit":
        from sinks.orders.upbit import Upbit

        return Upbit(orders.address, secret, orders.timeout_s)
    if name == "binance":
        from sinks.orders.binance import Binance

        return Binance(orders.address, secret, orders.timeout_s)
    from sinks.orders.fix import Fix

    folder = settings.data_path / "orders" / "fix"
    return Fix(orders.address, orders.sender, orders.target, secret, folder, orders.timeout_s)


async def _serve(
    settings: Settings,
    venue: Venue,
    journal: Journal,
    limits: Limits,
    monitor: Monitor,
    until_idle: float | None,
    on_progress: Callable[[Progress], None] | None,
) -> Progress:
    """Put the parts together and let them work."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    log, registry = KafkaOrderLog(settings, monitor.client("reader")), Registry(settings)
    try:
        gateway = Gateway(venue, journal, limits, settings.orders.poll_s)
        intake = OrderReceiver(journal, limits, Reference(registry), gateway.active)
        return await serve(gateway, intake, journal, venue, log, stop, monitor, until_idle, on_progress)
    finally:
        log.close()
        registry.close()


class Reference:
    """Reference data as it stands in the topic `instruments` when it is asked for."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def get(self, instrument: str) -> Instrument | None:
        """The newest reference data of an id."""
        self._registry.refresh()
        return self._registry.instruments.get(instrument)
