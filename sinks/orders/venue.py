"""What a gateway asks of a venue, whatever its protocol, and what the answers mean.

Entries of the journal as messages: an order's next revision, and a fill.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, Protocol

from sinks.orders.journal import Entry, Journal
from tapewatch.contract import topics
from tapewatch.contract.messages import Fill, Order, Side, encode, stable_id
from tapewatch.rfc3339 import to_rfc3339

VenueState = Literal["open", "filled", "cancelled", "rejected"]
Liquidity = Literal["maker", "taker", ""]


class VenueError(Exception):
    """A request that did not succeed; `reason` is fit to be shown."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class RefusedError(VenueError):
    """The venue said no. perhaps_known : it may say so because it has this client order id already"""

    def __init__(self, reason: str, perhaps_known: bool = False) -> None:
        super().__init__(reason)
        self.perhaps_known = perhaps_known


class NotSentError(VenueError):
    """It is certain that the request has had no effect. wait_s : how long to leave the venue alone"""

    def __init__(self, reason: str, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


class UnansweredError(VenueError):
    """Nobody knows whether the request has had an effect: the venue has to be asked."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """A limit order, good till cancelled. client_id : idempotency key; symbol : as the venue spells it"""

    client_id: str
    symbol: str
    side: Side
    price: Decimal
    qty: Decimal


@dataclass(frozen=True, slots=True)
class Execution:
    """One trade of an order. fee : in `currency`, None where the venue tells only the order's total; at : UTC ns"""

    trade_id: str
    price: Decimal
    qty: Decimal
    fee: Decimal | None
    currency: str
    liquidity: Liquidity
    at: int


@dataclass(frozen=True, slots=True)
class OrderStatusReport:
    """An order as the venue has it.

    filled : executed quantity; executions : its trades as far as the venue shows them, complete when their quantities
    add up to `filled`; fees : all fees of the order, where executions do not carry theirs
    """

    client_id: str
    venue_order_id: str
    state: VenueState
    filled: Decimal
    reason: str = ""
    executions: tuple[Execution, ...] = ()
    fees: Decimal | None = None


class Venue(Protocol):
    """One account at one venue.

    name : as in `--venue`
    in_flight_s : an order that the venue does not know this long after it was sent is not going to be accepted any
    more, or the venue is sure to refuse it when it is sent again under the same client order id
    """

    name: str
    in_flight_s: float

    def symbol(self, instrument: str) -> str:
        """The venue's own spelling of an instrument id; ValueError where it has none."""
        ...

    async def open(self) -> None:
        """Connect."""
        ...

    async def close(self) -> None:
        """Disconnect."""
        ...

    async def place(self, ticket: Ticket) -> OrderStatusReport:
        """Send a new order. RefusedError, NotSentError or UnansweredError where it was not acknowledged."""
        ...

    async def cancel(self, ticket: Ticket) -> None:
        """Ask for an order's cancellation; that it was asked for says nothing about when it is done."""
        ...

    async def find(self, ticket: Ticket) -> OrderStatusReport | None:
        """The order of this client order id with its executions; None where the venue knows none."""
        ...

    async def open_orders(self, symbol: str) -> list[OrderStatusReport]:
        """All open orders of the account in a symbol, without their executions."""
        ...

    async def balances(self) -> dict[str, Decimal]:
        """Currency -> what the account holds, locked amounts included."""
        ...


def plain(number: Decimal) -> str:
    """A decimal without exponent and without trailing zeros.

    >>> plain(Decimal("1.500")), plain(Decimal("1E+3"))
    ('1.5', '1000')
    """
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def exact(number: float) -> Decimal:
    """The decimal that a float64 stands for: the shortest one that reads back as the same float."""
    return Decimal(repr(number))


def revise(journal: Journal, entry: Entry, now_ns: int) -> None:
    """Keep an order as it is now, one revision higher, and leave that revision to be published."""
    entry.revision += 1
    journal.put(entry)
    message = Order(
        id=entry.id,
        revision=entry.revision,
        mode="live",
        instrument=entry.instrument,
        side=entry.side,
        kind="limit",
        price=float(entry.price) if entry.price else None,
        qty=float(entry.qty),
        filled=float(entry.filled),
        state=entry.state,
        reason=entry.reason,
        venue_order_id=entry.venue_order_id,
        signal=entry.signal,
        created=entry.created,
        updated=to_rfc3339(now_ns),
    )
    journal.send(topics.ORDERS, entry.id, encode(message))


def book(journal: Journal, entry: Entry, execution: Execution, fee: Decimal) -> None:
    """Book an execution and leave its fill to be published."""
    journal.add_fill(entry, execution.trade_id, execution.price, execution.qty, fee, execution.currency)
    message = Fill(
        id=stable_id(entry.id, execution.trade_id),
        order=entry.id,
        mode="live",
        instrument=entry.instrument,
        side=entry.side,
        price=float(execution.price),
        qty=float(execution.qty),
        liquidity=execution.liquidity,
        fee=float(fee),
        currency=execution.currency,
        at=to_rfc3339(execution.at),
    )
    journal.send(topics.FILLS, entry.id, encode(message))


def shared_out(executions: list[Execution], fees: Decimal | None, booked: Decimal) -> list[Decimal]:
    """The fee of each new execution: its own, or its part by value of what the order's total has grown by.

    executions : not booked yet, at least one; fees : the order's total so far, None where executions carry theirs;
    booked : fees booked so far. The parts add up to the total exactly: the last one takes what rounding leaves.
    """
    if fees is None:
        return [each.fee or Decimal(0) for each in executions]
    rest = fees - booked
    values = [each.price * each.qty for each in executions]
    quantum = Decimal(1).scaleb(-8)
    parts = [(rest * value / sum(values)).quantize(quantum) for value in values[:-1]]
    return [*parts, rest - sum(parts, Decimal(0))]
