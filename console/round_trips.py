"""Round trips of our own trading: from flat to flat again, each with its result. The win rate is made of them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

FLAT = 1e-9
"""A quantity below this share of the largest one held is nothing: what float sums leave."""


class Execution(NamedTuple):
    """A fill. side : buy or sell; cost : fee and tax together; at_ns : UTC nanoseconds"""

    instrument: str
    side: str
    price: float
    qty: float
    cost: float
    currency: str
    at_ns: int


class RoundTrip(NamedTuple):
    """A position from its first fill to the one that closed it.

    result : what was received less what was paid, fees and taxes taken off, in the currency
    """

    instrument: str
    currency: str
    opened_ns: int
    closed_ns: int
    result: float


@dataclass(slots=True)
class _OpenPosition:
    opened_ns: int = 0
    held: float = 0.0
    largest: float = 0.0
    cash: float = 0.0


def round_trips(fills: Iterable[Execution]) -> Iterator[RoundTrip]:
    """Every closed round trip, in the order in which they closed. fills : in the order of time

    A fill that turns a position around closes one and opens the next; its costs are shared by quantity.
    """
    books: dict[str, _OpenPosition] = {}
    for fill in fills:
        book = books.setdefault(fill.instrument, _OpenPosition(fill.at_ns))
        signed = fill.qty if fill.side == "buy" else -fill.qty
        closing = min(abs(signed), abs(book.held)) if book.held * signed < 0 else abs(signed)
        share = closing / fill.qty
        _add(book, signed * share, fill, share)
        if abs(book.held) <= FLAT * book.largest:
            yield RoundTrip(fill.instrument, fill.currency, book.opened_ns, fill.at_ns, book.cash)
            books[fill.instrument] = book = _OpenPosition(fill.at_ns)
            if share < 1.0:
                _add(book, signed * (1.0 - share), fill, 1.0 - share)


def _add(book: _OpenPosition, signed: float, fill: Execution, share: float) -> None:
    if book.largest == 0.0:
        book.opened_ns = fill.at_ns
    book.held += signed
    book.largest = max(book.largest, abs(book.held))
    book.cash -= signed * fill.price + fill.cost * share
