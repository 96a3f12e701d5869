"""What a gateway lets through: every limit is set by the operator, and an order off its tick or lot goes nowhere."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from sinks.orders.journal import Entry
from sinks.orders.venue import exact
from tapewatch.clock import NANOS
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.messages import Order
from tapewatch.errors import SettingsError
from tapewatch.rfc3339 import from_rfc3339
from tapewatch.settings import OrderSettings

MINUTE_NS = 60 * NANOS
_NUMBERS = ("max_order_value", "max_open_orders", "max_position_value", "max_orders_minute")


@dataclass(frozen=True, slots=True)
class Book:
    """Where a gateway stands in the order's instrument, before the order.

    position : bought less sold; open : orders of every instrument that are not done; minute : orders let through in the
    last 60 s
    """

    position: Decimal
    open: tuple[Entry, ...]
    minute: int


class ReferenceSource(Protocol):
    """Reference data by instrument id; a dict is one."""

    def get(self, instrument: str, /) -> Instrument | None:
        """The newest reference data of an id."""
        ...


class Limits:
    """The operator's limits; SettingsError where one is missing."""

    def __init__(self, settings: OrderSettings) -> None:
        missing = [f"orders.{name}" for name in _NUMBERS if not getattr(settings, name)]
        missing += [] if settings.instruments else ["orders.instruments"]
        if missing:
            raise SettingsError(
                f"an order gateway needs its limits; not set: {', '.join(missing)}",
                "Set each in tapewatch.toml under [orders]; see docs/order-gateways.md.",
            )
        self.instruments = frozenset(settings.instruments)
        self.venues = frozenset(name.rpartition(".")[2] for name in settings.instruments)
        self.max_age_ns = int(settings.max_age_s * NANOS)
        self._order_value, self._position_value = exact(settings.max_order_value), exact(settings.max_position_value)
        self._open, self._minute = settings.max_open_orders, settings.max_orders_minute

    def routes(self, instrument: str) -> bool:
        """Whether an instrument is this gateway's to answer for: one of a venue whose instruments it may trade."""
        return instrument.rpartition(".")[2] in self.venues

    def is_stale(self, created: str, now_ns: int) -> bool:
        """Whether an order is too old to be sent, or from so far ahead that its clock cannot be trusted."""
        return abs(now_ns - from_rfc3339(created)) > self.max_age_ns

    def objection(self, order: Order, reference: ReferenceSource, book: Book, now_ns: int) -> str:
        """Why an order is not let through; empty where it is."""
        if order.instrument not in self.instruments:
            return "instrument not allowed"
        if order.kind != "limit" or order.price is None:
            return "only limit orders are sent"
        if self.is_stale(order.created, now_ns):
            return f"older than {self.max_age_ns / NANOS:g} s"
        price, qty = exact(order.price), exact(order.qty)
        return off_grid(reference.get(order.instrument), price, qty) or self._size(order, price, qty, book)

    def _size(self, order: Order, price: Decimal, qty: Decimal, book: Book) -> str:
        """The limits that depend on what else there is."""
        if price * qty > self._order_value:
            return f"order value {price * qty:f} above {self._order_value:f}"
        if len(book.open) >= self._open:
            return f"{len(book.open)} orders are open, {self._open} are allowed"
        if book.minute >= self._minute:
            return f"{book.minute} orders in the last 60 s, {self._minute} are allowed"
        reach = abs(self._reach(order, qty, book)) * price
        if reach > self._position_value:
            return f"position value {reach:f} above {self._position_value:f}"
        return ""

    @staticmethod
    def _reach(order: Order, qty: Decimal, book: Book) -> Decimal:
        """The position if this order and every open one of its side and instrument were filled, and none else."""
        same = (each for each in book.open if (each.instrument, each.side) == (order.instrument, order.side))
        waiting = sum((each.qty - each.filled for each in same), qty)
        return book.position + (waiting if order.side == "buy" else -waiting)


def off_grid(instrument: Instrument | None, price: Decimal, qty: Decimal) -> str:
    """Why price or quantity cannot be an order of this instrument by its reference data; empty where they can."""
    if instrument is None:
        return "instrument not registered"
    sizes = [each.size for each in sorted(instrument.ticks, key=lambda tick: tick.price) if exact(each.price) <= price]
    if not sizes:
        return "no tick size registered for this price"
    if price <= 0 or price % exact(sizes[-1]):
        return f"price {price:f} off the tick of {exact(sizes[-1]):f}"
    if qty <= 0 or qty % exact(instrument.lot):
        return f"quantity {qty:f} off the lot of {exact(instrument.lot):f}"
    return ""
