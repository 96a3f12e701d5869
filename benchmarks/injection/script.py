"""What is injected, before it meets the book: resting orders, prints, and a price offset, with the label of it all."""

from collections.abc import Callable
from dataclasses import dataclass, field

BID, ASK = 0, 1


@dataclass(frozen=True, slots=True)
class RestingOrder:
    """An order that rests at a price from `begin` to `end` (UTC ns); a partial cancel is two of them.

    side : BID or ASK; price, qty : venue units
    """

    side: int
    price: float
    qty: float
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Print:
    """A trade at `ns` (UTC ns). side : 1 when the buyer was the aggressor, -1 when the seller was."""

    ns: int
    price: float
    qty: float
    side: int


@dataclass(frozen=True, slots=True)
class Label:
    """What a script is. manipulation : False for a look-alike, which no detector should name."""

    scenario: str
    begin: int
    end: int
    strength: float
    manipulation: bool


@dataclass(slots=True)
class Script:
    """One injected event.

    drift : UTC ns -> log price offset that it adds from its beginning on, for good where it does not come back
    """

    label: Label
    resting: list[RestingOrder] = field(default_factory=list)
    prints: list[Print] = field(default_factory=list)
    drift: Callable[[int], float] | None = None
