"""A seeded market that knows the true books: what a simulated venue sells, and what a client's book must equal."""

import random
from array import array
from collections.abc import Sequence
from typing import NamedTuple

KEPT_TRADES = 2_000_000
"""Trades that a market keeps to be asked for, over all its symbols; 24 bytes each."""

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
        "_prices",
        "_sizes",
        "_times",
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
        "random",
        "symbol",
        "tick",
        "trade_id",
        "volume",
    )

    def __init__(
        self, symbol: str, seed: int, *, depth: int = 50, tick: int = 2, lot: int = 3, kept: int = 10_000
    ) -> None:
        self.symbol = symbol
        self.random = random.Random(f"{seed} {symbol}")  # noqa: S311 - a market is no secret
        self.depth, self.tick, self.lot = depth, tick, lot
        self.best_bid = 10_000 + self.random.randrange(90_000) + 4 * depth
        self.best_ask = self.best_bid + 1
        self.bids = {self.best_bid - step: self._quantity() for step in range(depth)}
        self.asks = {self.best_ask + step: self._quantity() for step in range(depth)}
        self.last_id = self.random.randrange(1_000_000, 9_000_000)
        self.first_trade_id = self.random.randrange(1_000_000, 9_000_000)
        self.trade_id = self.first_trade_id - 1
        self.volume = 0
        self.listed = True
        self.kept = kept
        self._prices, self._sizes, self._times = (array("q", bytes(8 * kept)) for _ in range(3))

    def trade(self, now: int = 0) -> MarketTrade:
        """A trade at the best price of a side. now : its time, kept with it"""
        draw = self.random.random()
        seller = draw < 0.5
        self.trade_id += 1
        quantity = 1 + int(draw * 9_999)
        self.volume += quantity
        price = self.best_bid if seller else self.best_ask
        place = self.trade_id % self.kept
        self._prices[place] = price
        self._sizes[place] = -quantity if seller else quantity
        self._times[place] = now
        return MarketTrade(self.trade_id, price, quantity, seller)

    def fetch(self, start: int, limit: int) -> list[tuple[MarketTrade, int]]:
        """Trades from an id on (the latest ones where it is negative) and their times, as far as they are kept."""
        oldest = max(self.first_trade_id, self.trade_id - self.kept + 1)
        start = max(oldest, start if start >= 0 else self.trade_id - limit + 1)
        found = []
        for number in range(start, min(start + limit, self.trade_id + 1)):
            place = number % self.kept
            size = self._sizes[place]
            found.append((MarketTrade(number, self._prices[place], abs(size), size < 0), self._times[place]))
        return found

    def change(self) -> MarketChange:
        """New quantities near the touch; one time in eight the price moves by a tick."""
        draw = self.random.random()
        first = self.last_id + 1
        if draw < 0.0625:
            bids, asks = self._step(1)
        elif draw < 0.125 and self.best_bid > self.depth + 1:
            bids, asks = self._step(-1)
        else:
            place = int((draw - 0.125) * 4_000) % min(self.depth, 12)
            quantity = 1 + int(draw * 99_991) % 9_999
            if draw < 0.5625:
                price = self.best_bid - place
                self.bids[price] = quantity
                bids, asks = [(price, quantity)], []
            else:
                price = self.best_ask + place
                self.asks[price] = quantity
                bids, asks = [], [(price, quantity)]
        self.last_id += len(bids) + len(asks)
        return MarketChange(first, self.last_id, bids, asks)

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

    def _quantity(self) -> int:
        return 1 + self.random.randrange(9_999)

    def _step(self, way: int) -> tuple[Ticks, Ticks]:
        """Move the touch by a tick: one side's best level is eaten, the other's steps up to it."""
        depth = self.depth
        new = self._quantity()
        far = self._quantity()
        if way > 0:
            eaten, reached = self.best_ask, self.best_ask + depth
            left = self.best_bid - depth + 1
            self.best_bid += 1
            self.best_ask += 1
            _set(self.asks, asks := [(eaten, 0), (reached, far)])
            _set(self.bids, bids := [(self.best_bid, new), (left, 0)])
        else:
            eaten, reached = self.best_bid, self.best_bid - depth
            left = self.best_ask + depth - 1
            self.best_bid -= 1
            self.best_ask -= 1
            _set(self.bids, bids := [(eaten, 0), (reached, far)])
            _set(self.asks, asks := [(self.best_ask, new), (left, 0)])
        return bids, asks


class VenueMarket:
    """Several symbols, each with its own seed, so that a symbol's events do not depend on the others'."""

    def __init__(self, symbols: Sequence[str], *, seed: int = 0, depth: int = 50, tick: int = 2, lot: int = 3) -> None:
        kept = max(1_000, min(100_000, KEPT_TRADES // max(1, len(symbols))))
        self.books = {name: MarketBook(name, seed, depth=depth, tick=tick, lot=lot, kept=kept) for name in symbols}
        self.random = random.Random(seed)  # noqa: S311 - a market is no secret

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


def _set(side: dict[int, int], levels: Ticks) -> None:
    for price, quantity in levels:
        if quantity:
            side[price] = quantity
        else:
            side.pop(price, None)


def _decimal(value: int, decimals: int) -> str:
    if not decimals:
        return str(value)
    whole, part = divmod(value, 10**decimals)
    return f"{whole}.{part:0{decimals}d}"
