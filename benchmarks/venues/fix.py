"""A simulated broker: a FIX 4.4 acceptor on QuickFIX with the books of `Account`, and mishaps on demand.

One account at a simulated venue, the gateway's side of it, and orders for it: as tests and fault runs use them.
"""

import random
import socket
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import quickfix
from aiohttp import web

from benchmarks.venues.account import Account, DuplicateError, VenueOrder
from benchmarks.venues.binance import BinanceSimulator, Faults
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


SENDER, TARGET = FIX_SESSION
_SIDES = {"1": "buy", "2": "sell"}
_CODES = {"buy": "1", "sell": "2"}
_STATES = {"filled": "2", "cancelled": "4"}


class Broker(quickfix.Application):  # type: ignore[misc]
    """The acceptor.

    mishaps : for the next new orders, one each: "", "ignored", "accepted silently"; drawn after that, at `rate`
    """

    def __init__(
        self, folder: Path, account: Account, tick: Decimal = Decimal("0.01"), rate: float = 0.0, seed: int = 0
    ) -> None:
        super().__init__()
        self.account, self._tick, self._lock = account, tick, threading.RLock()
        self._rate, self._rng = rate, random.Random(seed)  # noqa: S311 - no secret is drawn
        self.mishaps: list[str] = []
        self.happened: Counter[str] = Counter()
        self.logons: list[tuple[str, str]] = []
        self.orders_received = 0
        self._executions = 0
        self._session = quickfix.SessionID("FIX.4.4", TARGET, SENDER)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "acceptor.cfg"
        path.write_text(
            "[DEFAULT]\nConnectionType=acceptor\nStartTime=00:00:00\nEndTime=00:00:00\nUseDataDictionary=N\n"
            f"FileStorePath={folder / 'sequence'}\nSocketAcceptPort={self._port}\nSocketReuseAddress=Y\n"
            f"[SESSION]\nBeginString=FIX.4.4\nSenderCompID={TARGET}\nTargetCompID={SENDER}\n"
        )
        self._settings = quickfix.SessionSettings(str(path))
        self._acceptor: Any = None

    @property
    def address(self) -> str:
        """host:port."""
        return f"127.0.0.1:{self._port}"

    def start(self) -> None:
        """Listen."""
        store = quickfix.FileStoreFactory(self._settings)
        self._acceptor = quickfix.SocketAcceptor(self, store, self._settings)
        self._acceptor.start()

    def stop(self) -> None:
        """Hang up."""
        if self._acceptor is not None:
            self._acceptor.stop()
            self._acceptor = None

    def fill(self, client_id: str, qty: Decimal) -> None:
        """Trade a part of an order, and report it."""
        with self._lock:
            order = self.account.find(client_id)
            if order is None:
                raise KeyError(client_id)
            self.account.trade(order, qty)
            self._tell_trade(order)

    def trade_at_random(self) -> None:
        """Let the market take a part of one open order, and report it."""
        with self._lock:
            order = self.account.trade_at_random()
            if order is not None:
                self._tell_trade(order)

    def _tell_trade(self, order: VenueOrder) -> None:
        trade = order.trades[-1]
        more = {31: str(trade.price), 32: str(trade.qty), 12: str(trade.fee), 13: "3", 15: "USD"}
        self._report(order, {150: "F", **more})

    def _mishap(self) -> str:
        """What happens to the next new order."""
        if self.mishaps:
            found = self.mishaps.pop(0)
        else:
            found = self._rng.choice(("ignored", "accepted silently")) if self._rng.random() < self._rate else ""
        self.happened.update([found] if found else [])
        return found

    def onCreate(self, session: object) -> None:  # noqa: N802
        """Nothing is to be done."""

    def onLogon(self, session: object) -> None:  # noqa: N802
        """Nothing is to be done."""

    def onLogout(self, session: object) -> None:  # noqa: N802
        """Nothing is to be done."""

    def toAdmin(self, message: object, session: object) -> None:  # noqa: N802
        """Nothing is to be done."""

    def toApp(self, message: object, session: object) -> None:  # noqa: N802
        """Nothing is to be done."""

    def fromAdmin(self, message: object, session: object) -> None:  # noqa: N802
        """Note user name and password."""
        if _text(message.getHeader(), 35) == "A":  # type: ignore[attr-defined]
            self.logons.append((_text(message, 553), _text(message, 554)))

    def fromApp(self, message: object, session: object) -> None:  # noqa: N802
        """New orders, cancels and status requests."""
        acts: dict[str, Callable[[object], None]] = {"D": self._place, "F": self._cancel, "H": self._tell}
        with self._lock:
            acts[_text(message.getHeader(), 35)](message)  # type: ignore[attr-defined]

    def _place(self, message: object) -> None:
        self.orders_received += 1
        mishap = self._mishap()
        if mishap == "ignored":
            return
        client_id, price, qty = _text(message, 11), Decimal(_text(message, 44)), Decimal(_text(message, 38))
        if price % self._tick:
            self._refuse(message, "99", "price off the tick")
            return
        try:
            order = self.account.place(client_id, _text(message, 55), _SIDES[_text(message, 54)], price, qty)
        except DuplicateError:
            self._refuse(message, "6", "duplicate order")
            return
        if mishap != "accepted silently":
            self._report(order, {150: "0"})

    def _cancel(self, message: object) -> None:
        order = self.account.cancel(_text(message, 41))
        if order is None:
            self._send("9", {11: _text(message, 11), 41: _text(message, 41), 37: "NONE", 39: "8", 434: "1", 102: "1"})
        else:
            self._report(order, {150: "4", 41: order.client_id}, client_id=_text(message, 11))

    def _tell(self, message: object) -> None:
        order = self.account.find(_text(message, 11))
        if order is None:
            self._refuse(message, "5", "unknown order", kind="I")
        else:
            self._report(order, {150: "I", 17: "0"})

    def _refuse(self, message: object, reason: str, text: str, kind: str = "8") -> None:
        self._executions += 1
        names = {tag: _text(message, tag) for tag in (11, 54, 55, 207)}
        zeros = dict.fromkeys((6, 14, 151), "0")
        self._send(
            "8", {**names, **zeros, 17: f"e{self._executions}", 37: "NONE", 39: "8", 150: kind, 103: reason, 58: text}
        )

    def _report(self, order: VenueOrder, more: dict[int, str], client_id: str = "") -> None:
        self._executions += 1
        partly = "1" if order.trades else "0"
        fields = {
            11: client_id or order.client_id, 14: str(order.filled), 17: f"e{self._executions}", 6: "0",
            37: str(order.number), 39: _STATES.get(order.state, partly), 54: _CODES[order.side], 55: order.symbol,
            151: str(order.qty - order.filled), 207: "XNAS",
        }  # fmt: skip
        self._send("8", {**fields, **more})

    def _send(self, kind: str, fields: dict[int, str]) -> None:
        message = quickfix.Message()
        message.getHeader().setField(quickfix.StringField(35, kind))
        for tag, text in fields.items():
            message.setField(quickfix.StringField(tag, text))
        quickfix.Session.sendToTarget(message, self._session)


def _text(part: object, tag: int) -> str:
    """A field's text; empty where it is not set."""
    if not part.isSetField(tag):  # type: ignore[attr-defined]
        return ""
    field = quickfix.StringField(tag)
    part.getField(field)  # type: ignore[attr-defined]
    return str(field.getString())
