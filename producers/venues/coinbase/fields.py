"""What stands in the text fields of Coinbase's messages."""

from collections.abc import Iterable

from producers.base.ladder import Level
from producers.columns import decimal_float

SIDES = {"bid": 0, "offer": 1, "buy": 0, "sell": 1}


def trade_number(text: str) -> int:
    """A trade's id as a number, -1 where it is none."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else -1


def sides_of(updates: Iterable[tuple[str, str, str]]) -> tuple[list[Level], list[Level]]:
    """Bid and ask levels in ascending order of prices, from side, price and quantity.

    ValueError where a number is not exact; KeyError where a side is neither.
    """
    sides: tuple[list[Level], list[Level]] = ([], [])
    for side, price, qty in updates:
        sides[SIDES[side]].append((decimal_float(price), decimal_float(qty)))
    # A ladder grows at its end for free and elsewhere by moving what is above: snapshots have many thousand levels.
    for levels in sides:
        levels.sort(key=_price)
    return sides


def _price(level: Level) -> float:
    return level[0]
