"""A gateway beside a simulated venue on the loopback, with the topics replaced by lists."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from aiohttp import web

from benchmarks.venues.account import Account
from benchmarks.venues.binance import BinanceSimulator
from benchmarks.venues.faults import Faults
from benchmarks.venues.upbit import UpbitSimulator
from sinks.orders import Arrived, Gateway, Journal, Limits
from sinks.orders.binance import Binance
from sinks.orders.secrets import Keys
from sinks.orders.upbit import Upbit
from sinks.orders.venue import Venue
from tapewatch import topics
from tapewatch.clock import NANOS, WALL
from tapewatch.instruments import Instrument, Tick
from tapewatch.messages import Fill, Order, decode, encode, stable_id
from tapewatch.rfc3339 import to_rfc3339
from tapewatch.settings import OrderSettings

KEYS = Keys("the-key", "the-secret")
LOG = (topics.ORDERS, 0)
INSTRUMENTS = {"upbit": "KRW-BTC.UPBIT", "binance": "BTCUSDT.BINANCE"}
REFERENCE = {
    "KRW-BTC.UPBIT": Instrument("KRW-BTC.UPBIT", ticks=(Tick(0.0, 1.0), Tick(1_000_000.0, 1000.0)), lot=0.0001),
    "BTCUSDT.BINANCE": Instrument("BTCUSDT.BINANCE", ticks=(Tick(0.0, 0.01),), lot=0.0001),
}
PRICES = {"upbit": 90_000_000.0, "binance": 64_000.25}
STEP = Decimal("0.0001")
TIMEOUT_S = 0.3
WINDOW_MS = 600


def limits(**changed: Any) -> Limits:
    """Wide limits, but for what is changed."""
    wide: dict[str, Any] = {
        "instruments": tuple(REFERENCE),
        "max_order_value": 1e12,
        "max_open_orders": 1000,
        "max_position_value": 1e12,
        "max_orders_minute": 100_000,
        "max_age_s": 600.0,
    }
    return Limits(OrderSettings(**{**wide, **changed}))


def order(venue: str, number: int, side: str = "buy", qty: float = 0.01, **changed: Any) -> Order:
    """A new live order."""
    now = to_rfc3339(WALL.now())
    fields: dict[str, Any] = {
        "id": stable_id("order", venue, number),
        "revision": 0,
        "mode": "live",
        "instrument": INSTRUMENTS[venue],
        "side": side,
        "kind": "limit",
        "price": PRICES[venue],
        "qty": qty,
        "state": "pending",
        "created": now,
        "updated": now,
    }
    return Order(**{**fields, **changed})


def simulator(name: str, faults: Faults, seed: int = 0) -> UpbitSimulator | BinanceSimulator:
    """A venue whose client ids are good once for ever (Upbit), or once at a time (Binance)."""
    account = Account(seed, STEP, once=name == "upbit")
    make = UpbitSimulator if name == "upbit" else BinanceSimulator
    return make(KEYS.access, KEYS.secret, account, faults)


def client(name: str, address: str, keys: Keys = KEYS) -> Venue:
    """The gateway's side of a venue."""
    if name == "upbit":
        return Upbit(address, keys, TIMEOUT_S)
    return Binance(address, keys, TIMEOUT_S, WINDOW_MS)


@asynccontextmanager
async def served(app: web.Application) -> AsyncIterator[str]:
    """A server on a free port of the loopback; its address."""
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


class Desk:
    """One gateway at work; `restart` is a death and a new start over the same journal."""

    def __init__(self, path: Path, venue: Venue, bounds: Limits, reference: Mapping[str, Instrument]) -> None:
        self._path, self.venue, self._bounds, self._reference = path, venue, bounds, reference
        self._next = 0
        self.journal = Journal(path)
        self._begin()

    def _begin(self) -> None:
        self.gateway = Gateway(self.venue, self.journal, self._bounds, self._reference, poll_s=0.01)

    def restart(self) -> None:
        """Forget all that is in memory."""
        self.journal.close()
        self.journal = Journal(self._path)
        self._begin()

    def take(self, *orders: Order) -> None:
        """Orders arrive."""
        arrived = [Arrived(LOG, self._next + each + 1, encode(made)) for each, made in enumerate(orders)]
        self._next += len(orders)
        self.gateway.take(arrived)

    async def work(self, until: Callable[[], bool] | None = None, seconds: float = 30.0) -> None:
        """Rounds until the condition holds; by default, until no order is active."""
        deadline = WALL.now() + int(seconds * NANOS)
        while not (until() if until else not self.gateway.active):
            assert WALL.now() < deadline, f"stuck: {self.gateway.active}"
            await self.gateway.step()
            await asyncio.sleep(0.005)

    def orders(self, order_id: str) -> list[Order]:
        """Revisions of an order, as they were written."""
        found = [decode(Order, each.value) for each in self.journal.outbox(10**6) if each.topic == topics.ORDERS]
        return [each for each in found if each.id == order_id]

    def last(self, order_id: str) -> Order:
        """The newest revision of an order."""
        return self.orders(order_id)[-1]

    def fills(self) -> list[Fill]:
        """Fills, as they were written."""
        return [decode(Fill, each.value) for each in self.journal.outbox(10**6) if each.topic == topics.FILLS]


@asynccontextmanager
async def desk(
    name: str, path: Path, sim: UpbitSimulator | BinanceSimulator, bounds: Limits | None = None, keys: Keys = KEYS
) -> AsyncIterator[Desk]:
    """A gateway connected to a simulator."""
    async with served(sim.app()) as address:
        venue = client(name, address, keys)
        await venue.open()
        made = Desk(path / "journal.sqlite", venue, bounds or limits(instruments=(INSTRUMENTS[name],)), REFERENCE)
        try:
            yield made
        finally:
            await venue.close()
            made.journal.close()
