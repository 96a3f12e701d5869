"""Entries of the journal as messages: an order's next revision, and a fill."""

from decimal import Decimal

from sinks.orders.journal import Entry, Journal
from sinks.orders.venue import Execution
from tapewatch.contract import topics
from tapewatch.contract.messages import Fill, Order, encode, stable_id
from tapewatch.rfc3339 import to_rfc3339


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
