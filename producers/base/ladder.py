"""A price ladder, and the two that make a book, with the check that every rebuilt book has to pass."""

from bisect import bisect_left, insort

from producers.columns import ABSENT_LEVELS
from tapewatch.contract.rows import BOOK_LEVELS

Level = tuple[float, float]
"""Price and absolute quantity; 0 removes the level."""
Side = tuple[list[float], list[float]]
"""Prices and quantities, best first."""
Levels = tuple[list[float], list[float], list[float], list[float]]
"""Bid prices and quantities, ask prices and quantities."""


class Ladder:
    """One side of a book: prices in ascending order and the quantity at each."""

    def __init__(self) -> None:
        self.prices: list[float] = []
        self.quantity: dict[float, float] = {}

    def update(self, levels: list[Level]) -> None:
        """Set, add and remove levels."""
        # A sorted list moves a few kilobytes a change; with some thousand levels that is faster than a tree of lists.
        quantity = self.quantity
        prices = self.prices
        for price, qty in levels:
            if qty == 0.0:
                if quantity.pop(price, None) is not None:
                    del prices[bisect_left(prices, price)]
            else:
                if price not in quantity:
                    insort(prices, price)
                quantity[price] = qty

    def highest(self, count: int = BOOK_LEVELS) -> list[Level]:
        """Levels from the highest price down."""
        return [(price, self.quantity[price]) for price in self.prices[: -count - 1 : -1]]

    def lowest(self, count: int = BOOK_LEVELS) -> list[Level]:
        """Levels from the lowest price up."""
        return [(price, self.quantity[price]) for price in self.prices[:count]]

    def from_top(self) -> Side:
        """Ten prices from the highest down and their quantities; absent ones NaN."""
        return self._filled(self.prices[: -BOOK_LEVELS - 1 : -1])

    def from_bottom(self) -> Side:
        """Ten prices from the lowest up and their quantities; absent ones NaN."""
        return self._filled(self.prices[:BOOK_LEVELS])

    def _filled(self, prices: list[float]) -> Side:
        quantity = self.quantity
        quantities = [quantity[price] for price in prices]
        if len(prices) == BOOK_LEVELS:
            return prices, quantities
        absent = ABSENT_LEVELS[len(prices) :]
        return prices + absent, quantities + absent


class Book:
    """Both sides of a book that differences keep up to date."""

    def __init__(self) -> None:
        self.bids = Ladder()
        self.asks = Ladder()

    def clear(self) -> None:
        """Forget every level."""
        self.bids, self.asks = Ladder(), Ladder()

    def row(self) -> Levels:
        """Bid prices and quantities, ask prices and quantities: ten levels each, absent ones NaN."""
        return (*self.bids.from_top(), *self.asks.from_bottom())

    def violation(self, row: Levels) -> str:
        """What is wrong with the book: crossed, bad_quantity or unsorted; empty where it is sound. row : of `row()`"""
        return row_violation(row, len(self.bids.prices), len(self.asks.prices))


def padded(levels: list[Level]) -> Side:
    """Prices and quantities of ten levels, best first; absent ones NaN."""
    absent = ABSENT_LEVELS[len(levels) : BOOK_LEVELS]
    return [price for price, _ in levels] + absent, [qty for _, qty in levels] + absent


def row_violation(row: Levels, bids: int, asks: int) -> str:
    """What is wrong with ten levels a side; empty where they are sound. bids, asks : levels that there are"""
    if bids and asks and row[0][0] >= row[2][0]:
        return "crossed"
    for prices, quantities, held, descends in ((*row[:2], bids, True), (*row[2:], asks, False)):
        shown = prices[: min(held, BOOK_LEVELS)]
        if not shown:
            continue
        if not min(quantities[: len(shown)]) > 0.0:
            return "bad_quantity"
        if len(set(shown)) != len(shown) or sorted(shown, reverse=descends) != shown or not min(shown) > 0.0:
            return "unsorted"
    return ""
