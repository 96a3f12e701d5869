"""`tapewatch sink orders`: the gateway that the settings describe, started by the operator's explicit word."""

import asyncio
import signal
from collections.abc import Callable
from importlib.util import find_spec

from sinks.orders.gateway import Gateway
from sinks.orders.intake import OrderReceiver
from sinks.orders.journal import Journal
from sinks.orders.limits import Limits
from sinks.orders.order_log import KafkaOrderLog
from sinks.orders.secrets import Keys, keys
from sinks.orders.service import Progress, serve
from sinks.orders.venue import Venue
from tapewatch.contract.instruments import Instrument
from tapewatch.errors import SettingsError, TapewatchError
from tapewatch.market_log.registry import Registry
from tapewatch.runtime.monitoring import Monitor
from tapewatch.settings import Settings

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
