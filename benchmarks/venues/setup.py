"""One account at a simulated venue, the gateway's side of it, and orders for it: as tests and fault runs use them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from aiohttp import web

from benchmarks.venues.account import Account
from benchmarks.venues.binance import BinanceSimulator
from benchmarks.venues.faults import Faults
from benchmarks.venues.upbit import UpbitSimulator
from sinks.orders.binance import Binance
from sinks.orders.limits import Limits
from sinks.orders.secrets import Keys
from sinks.orders.upbit import Upbit
from sinks.orders.venue import Venue
from tapewatch.clock import WALL
from tapewatch.contract.instruments import Instrument, Tick
from tapewatch.contract.messages import Order, Side, stable_id
from tapewatch.rfc3339 import to_rfc3339
from tapewatch.settings import OrderSettings

Simulator = UpbitSimulator | BinanceSimulator

KEYS = Keys("the-key", "the-secret")
INSTRUMENTS = {"upbit": "KRW-BTC.UPBIT", "binance": "BTCUSDT.BINANCE", "fix": "AAPL.XNAS"}
REFERENCE = {
    "KRW-BTC.UPBIT": Instrument("KRW-BTC.UPBIT", ticks=(Tick(0.0, 1.0), Tick(1_000_000.0, 1000.0)), lot=0.0001),
    "BTCUSDT.BINANCE": Instrument("BTCUSDT.BINANCE", ticks=(Tick(0.0, 0.01),), lot=0.0001),
    "AAPL.XNAS": Instrument("AAPL.XNAS", ticks=(Tick(0.0, 0.01),), lot=0.0001),
}
PRICES = {"upbit": 90_000_000.0, "binance": 64_000.25, "fix": 180.25}
STEP = Decimal("0.0001")
TIMEOUT_S = 0.3
FIX_SESSION = ("TAPEWATCH", "BROKER")
"""SenderCompID and TargetCompID, from the gateway's side."""
WINDOW_MS = 600
"""Binance's recvWindow, short so that what waits for its end does not wait long."""


def limits(**changed: Any) -> Limits:
    """Wide limits, but for what is changed."""
    wide: dict[str, Any] = {
        "instruments": tuple(REFERENCE),
        "max_order_value": 1e12,
        "max_open_orders": 1000,
        "max_position_value": 1e12,
        "max_orders_minute": 100_000,
        "max_age_s": 3600.0,
    }
    return Limits(OrderSettings(**{**wide, **changed}))


def new_order(venue: str, number: int, side: Side = "buy", qty: float = 0.01, **changed: Any) -> Order:
    """A new live order; the number makes its id."""
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


def simulator(name: str, faults: Faults, seed: int = 0) -> Simulator:
    """A venue whose client ids are good once for ever (Upbit), or for one open order at a time (Binance)."""
    account = Account(seed, STEP, once=name == "upbit")
    if name == "upbit":
        return UpbitSimulator(KEYS.access, KEYS.secret, account, faults)
    return BinanceSimulator(KEYS.access, KEYS.secret, account, faults)


def client(name: str, address: str, keys: Keys = KEYS, folder: Path | None = None) -> Venue:
    """The gateway's side of a venue. folder : of the session's files, for FIX"""
    if name == "upbit":
        return Upbit(address, keys, TIMEOUT_S)
    if name == "fix" and folder is not None:
        from sinks.orders.fix import Fix

        return Fix(address, *FIX_SESSION, keys, folder, TIMEOUT_S)
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
