"""A seeded market that knows the true books: what a simulated venue sells, and what a client's book must equal."""

import random
from array import array
from collections.abc import Sequence
from typing import NamedTuple

KEPT_TRADES = 2_000_000
"""Trades that a market keeps to be asked for, over all its symbols; 24 bytes each."""
NEAR = 12
"""Levels next to the touch whose quantities change."""

Ticks = list[tuple[int, int]]
"""Price in ticks and absolute quantity in lots; 0 removes the level."""


class MarketTrade(NamedTuple):
    """A trade. id : rising by one; price : ticks; quantity : lots; seller : the aggressor sells"""

    id: int
    price: int
    quantity: int
    seller: bool


class MarketChange(NamedTuple):
    """Changed levels of one book. first_id, last_id : ids of its first and last update; no id is left out"""

    first_id: int
    last_id: int
    bids: Ticks
    asks: Ticks


class MarketBook:
    """One symbol: a book without holes around a price that walks, its trades, and their ids.

    tick, lot : decimals of a price and of a quantity: a price of `ticks` is ticks / 10**tick
    last_id, trade_id : of the last change and of the last trade; listed : still traded
    kept : how many of the latest trades can be fetched
    """

    __slots__ = (
        "_random",
        "_trades",
        "asks",
        "best_ask",
        "best_bid",
        "bids",
        "depth",
        "first_trade_id",
        "kept",
        "last_id",
        "listed",
        "lot",
        "symbol",
        "tick",
        "trade_id",
        "volume",
    )

    def __init__(
        self, symbol: str, source: random.Random, *, depth: int = 50, tick: int = 2, lot: int = 3, kept: int = 10_000
    ) -> None:
        self.symbol = symbol
        if depth < NEAR:
            raise ValueError(f"a book has at least {NEAR} levels a side")
        self._random = source.random
        self.depth, self.tick, self.lot = depth, tick, lot
        self.best_bid = 10_000 + source.randrange(8_000)
        self.best_ask = self.best_bid + 1
        self.bids = {self.best_bid - step: 1 + source.randrange(2_000) for step in range(depth)}
        self.asks = {self.best_ask + step: 1 + source.randrange(2_000) for step in range(depth)}
        self.last_id = source.randrange(1_000_000, 9_000_000)
        self.first_trade_id = source.randrange(1_000_000, 9_000_000)
        self.trade_id = self.first_trade_id - 1
        self.volume = 0
        self.listed = True
        self.kept = kept
        # Price, quantity (negative where the aggressor sells) and time side by side: one cache line a trade.
        self._trades = array("q", bytes(24 * kept))

    def trade(self, now: int = 0) -> MarketTrade:
        """A trade at the best price of a side. now : its time, kept with it"""
        draw = self._random()
        seller = draw < 0.5
        self.trade_id += 1
        quantity = 1 + int(draw * 2_000)
        self.volume += quantity
        price = self.best_bid if seller else self.best_ask
        place = self.trade_id % self.kept * 3
        trades = self._trades
        trades[place], trades[place + 1], trades[place + 2] = price, -quantity if seller else quantity, now
        return MarketTrade(self.trade_id, price, quantity, seller)

    def fetch(self, start: int, limit: int) -> list[tuple[MarketTrade, int]]:
        """Trades from an id on (the latest ones where it is negative) and their times, as far as they are kept."""
        oldest = max(self.first_trade_id, self.trade_id - self.kept + 1)
        start = max(oldest, start if start >= 0 else self.trade_id - limit + 1)
        found = []
        for number in range(start, min(start + limit, self.trade_id + 1)):
            place = number % self.kept * 3
            price, size, now = self._trades[place : place + 3]
            found.append((MarketTrade(number, price, abs(size), size < 0), now))
        return found

    def change(self) -> MarketChange:
        """New quantities near the touch; one time in eight the price moves by a tick."""
        first = self.last_id + 1
        bids: dict[int, int] = {}
        asks: dict[int, int] = {}
        self.move(bids, asks)
        return MarketChange(first, self.last_id, list(bids.items()), list(asks.items()))

    def move(self, bids: dict[int, int], asks: dict[int, int]) -> None:
        """As `change`, into what was changed before: new quantity by price, 0 where a level is gone."""
        draw = self._random()
        quantity = 1 + int(draw * 99_991) % 2_000
        if draw < 0.4375:
            price = self.best_bid - int(draw * 27.4)
            self.bids[price] = bids[price] = quantity
            self.last_id += 1
        elif draw < 0.875:
            price = self.best_ask + int((draw - 0.4375) * 27.4)
            self.asks[price] = asks[price] = quantity
            self.last_id += 1
        else:
            self._step(draw < 0.9375 or self.best_bid <= self.depth + 1, quantity, bids, asks)
            self.last_id += 4

    def levels(self, limit: int = 0) -> tuple[Ticks, Ticks]:
        """Bids and asks, best first. limit : levels a side, 0 for all"""
        bids = sorted(self.bids.items(), reverse=True)
        asks = sorted(self.asks.items())
        return (bids[:limit], asks[:limit]) if limit else (bids, asks)

    def price(self, ticks: int) -> float:
        """A price as the number its decimal text stands for."""
        return float(self.price_text(ticks))

    def quantity(self, lots: int) -> float:
        """A quantity as the number its decimal text stands for."""
        return float(self.quantity_text(lots))

    def price_text(self, ticks: int) -> str:
        """A price as decimal text."""
        return _decimal(ticks, self.tick)

    def quantity_text(self, lots: int) -> str:
        """A quantity as decimal text."""
        return _decimal(lots, self.lot)

    def floats(self, limit: int = 0) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
        """Bids and asks, best first, as prices and quantities: what a client's book has to equal."""
        bids, asks = self.levels(limit)
        return (
            [(self.price(ticks), self.quantity(lots)) for ticks, lots in bids],
            [(self.price(ticks), self.quantity(lots)) for ticks, lots in asks],
        )

    def _step(self, up: bool, quantity: int, told_bids: dict[int, int], told_asks: dict[int, int]) -> None:
        """Move the touch by a tick: one side's best level is eaten, the other's steps up to it."""
        depth = self.depth
        if up:
            eaten, from_, told_from = self.best_ask, self.asks, told_asks
            stepped, to, told_to = self.best_bid + 1, self.bids, told_bids
            reached, left = eaten + depth, stepped - depth
            self.best_bid += 1
            self.best_ask += 1
        else:
            eaten, from_, told_from = self.best_bid, self.bids, told_bids
            stepped, to, told_to = self.best_ask - 1, self.asks, told_asks
            reached, left = eaten - depth, stepped + depth
            self.best_bid -= 1
            self.best_ask -= 1
        del from_[eaten], to[left]
        from_[reached] = to[stepped] = told_from[reached] = told_to[stepped] = quantity
        told_from[eaten] = told_to[left] = 0


class VenueMarket:
    """Several symbols, all drawn from one source: the same events in the same order for the same seed."""

    def __init__(
        self, symbols: Sequence[str], *, seed: int = 0, depth: int = 50, tick: int = 2, lot: int = 3, kept: int = 0
    ) -> None:
        kept = kept or max(1_000, min(100_000, KEPT_TRADES // max(1, len(symbols))))
        # One generator for all: a thousand of them, 2.5 KB each, would push everything else out of the cache.
        self.random = random.Random(seed)  # noqa: S311 - a market is no secret
        self.books = {
            name: MarketBook(name, self.random, depth=depth, tick=tick, lot=lot, kept=kept) for name in symbols
        }

    @property
    def symbols(self) -> list[str]:
        """All symbols, delisted ones too."""
        return list(self.books)

    def delist(self, symbol: str) -> str:
        """Trade it no more; any one that is listed where `symbol` is empty. The symbol, empty if there is none."""
        found = symbol or next((name for name, book in self.books.items() if book.listed), "")
        if found in self.books:
            self.books[found].listed = False
        return found


def coin_pairs(count: int, quote: str = "USDT") -> list[str]:
    """Made-up symbols in the coins' manner: C0000USDT, C0001USDT and so on, after BTC and ETH."""
    known = ["BTC", "ETH"]
    return [f"{name}{quote}" for name in [*known, *(f"C{number:04d}" for number in range(count - 2))][:count]]


def _decimal(value: int, decimals: int) -> str:
    if not decimals:
        return str(value)
    whole, part = divmod(value, 10**decimals)
    return f"{whole}.{part:0{decimals}d}"
