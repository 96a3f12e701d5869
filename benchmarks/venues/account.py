"""A simulated venue's own books, in decimals: one account, its orders, what they traded, what it holds."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from tapewatch.clock import WALL

FEE = Decimal("0.0005")


@dataclass(slots=True)
class Trade:
    """One execution. at : UTC ns; fee : in the quote currency"""

    number: int
    price: Decimal
    qty: Decimal
    fee: Decimal
    at: int


@dataclass(slots=True)
class VenueOrder:
    """An order as the venue keeps it."""

    number: int
    client_id: str
    symbol: str
    side: str
    price: Decimal
    qty: Decimal
    at: int
    state: str = "open"
    trades: list[Trade] = field(default_factory=list)

    @property
    def filled(self) -> Decimal:
        """Executed quantity."""
        return sum((trade.qty for trade in self.trades), Decimal(0))


class DuplicateError(Exception):
    """A client order id that may not be used again."""


class Account:
    """The books of one account, and the other side of its trades.

    step : quantity step of every fill; once : whether a client order id is good for one order for ever (else for one
    open order at a time)
    """

    def __init__(self, seed: int, step: Decimal, once: bool) -> None:
        self._rng, self._step, self._once = random.Random(seed), step, once  # noqa: S311 - no secret is drawn
        self.orders: dict[int, VenueOrder] = {}
        self._newest: dict[str, VenueOrder] = {}
        self._used: set[str] = set()
        self._trades = 0
        self.held: dict[str, Decimal] = {}

    def place(self, client_id: str, symbol: str, side: str, price: Decimal, qty: Decimal) -> VenueOrder:
        """Accept a limit order; DuplicateError where its client id is taken."""
        known = self._newest.get(client_id)
        if client_id in self._used or (known is not None and known.state == "open"):
            raise DuplicateError(client_id)
        self.use_up(client_id)
        order = VenueOrder(len(self.orders) + 1, client_id, symbol, side, price, qty, WALL.now())
        self.orders[order.number] = self._newest[client_id] = order
        return order

    def use_up(self, client_id: str) -> None:
        """Take note of a client order id that may not be used again, also where no order came of it."""
        if self._once:
            self._used.add(client_id)

    def find(self, client_id: str) -> VenueOrder | None:
        """The newest order of a client id."""
        return self._newest.get(client_id)

    def cancel(self, client_id: str) -> VenueOrder | None:
        """Cancel an open order; None where there is none."""
        order = self._newest.get(client_id)
        if order is None or order.state != "open":
            return None
        order.state = "cancelled"
        return order

    def open(self, symbol: str) -> Iterator[VenueOrder]:
        """Open orders of a symbol."""
        return (order for order in self.orders.values() if order.state == "open" and order.symbol == symbol)

    def trade(self, order: VenueOrder, qty: Decimal) -> None:
        """Execute part of an order at its price."""
        self._trades += 1
        fee = (order.price * qty * FEE).quantize(Decimal("1e-8"))
        order.trades.append(Trade(self._trades, order.price, qty, fee, WALL.now()))
        signed = qty if order.side == "buy" else -qty
        self.held[order.symbol] = self.held.get(order.symbol, Decimal(0)) + signed
        if order.filled == order.qty:
            order.state = "filled"

    def trade_at_random(self) -> VenueOrder | None:
        """Let the market take a part of one open order, now and then all that is left of it; the order it was."""
        waiting = [order for order in self.orders.values() if order.state == "open"]
        if not waiting:
            return None
        order = self._rng.choice(waiting)
        steps = max(1, int((order.qty - order.filled) / self._step))
        qty = self._step * (steps if self._rng.random() < 0.3 else self._rng.randint(1, steps))
        self.trade(order, min(qty, order.qty - order.filled))
        return order
