"""A seeded Taiwanese market: books of five levels in whole ticks, lots, price limits, and the days before."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from producers.venues.twse.instruments import FUND_TICKS, SHARE_TICKS

LEVELS = 5
LOT = 1_000
QUIET, SILENT_TRADE = 0.25, 0.3
"""Shares of refreshes without a change, and of changes without a trade."""


@dataclass(frozen=True, slots=True)
class StockSnapshot:
    """What the market shows of a stock since its last change.

    at : UTC ns; bids, asks : hundredths of a dollar and lots, best first; last, lots : of the interval's match, 0 for
    none; volume : lots so far; bid or ask side is empty at limit down or up
    """

    at: int
    bids: tuple[tuple[int, int], ...]
    asks: tuple[tuple[int, int], ...]
    last: int
    lots: int
    volume: int


class TaiwanStock:
    """One stock or fund.

    code, market : such as 2330 and tse; close : the day before's, hundredths of a dollar; listed : still known
    shown, before : what it shows, and what it showed before that; trial : whether matching is on trial
    """

    def __init__(self, code: str, market: str, seed: int) -> None:
        self.code, self.market = code, market
        self.random = random.Random(f"{seed} {code}")  # noqa: S311 - a market is no secret
        fund = code.startswith("00")
        self._ticks = [
            (round(tick.price * 100), round(tick.size * 100)) for tick in (FUND_TICKS if fund else SHARE_TICKS)
        ]
        self.close = self.on_tick(self.random.randrange(2_000, 120_000))
        self.highest, self.lowest = self.on_tick(self.close * 11 // 10), self.on_tick(-(-self.close * 9 // 10))
        self.listed, self.trial = True, False
        self.halt = ("", "")
        self.price, self.volume, self.last = self.close, 0, 0
        self.shown = self.before = StockSnapshot(0, (), (), 0, 0, 0)

    def tick(self, price: int) -> int:
        """The tick size at a price."""
        return next(size for lower, size in reversed(self._ticks) if price >= lower)

    def on_tick(self, price: int) -> int:
        """The price rounded down to a tick."""
        return price - price % self.tick(price)

    def refresh(self, now: int) -> bool:
        """Five seconds pass; whether anything changed."""
        draw = self.random
        if self.shown.at and draw.random() < QUIET:
            return False
        step = draw.choice((-2, -1, -1, 0, 0, 0, 1, 1, 2)) * self.tick(self.price)
        self.show(min(self.highest, max(self.lowest, self.on_tick(self.price + step))), now)
        return True

    def show(self, price: int, now: int, *, trades: bool | None = None) -> None:
        """Move to a price, with new sizes and perhaps a match."""
        draw = self.random
        self.price = price
        traded = draw.random() >= SILENT_TRADE if trades is None else trades
        lots = draw.randrange(1, 60) if traded and not self.trial else 0
        self.volume += lots
        bids = self._levels(price, -1) if price > self.lowest else ()
        asks = self._levels(price, 1) if price < self.highest else ()
        self.last = price if lots else self.last
        self.before = self.shown
        self.shown = StockSnapshot(now, bids, asks, price if lots else 0, lots, self.volume)

    def _levels(self, price: int, direction: int) -> tuple[tuple[int, int], ...]:
        """Five levels from the price outwards; the best bid is the price itself unless that is the limit up."""
        found: list[tuple[int, int]] = []
        at = price
        while len(found) < LEVELS:
            if direction > 0 or found:
                at = at + self.tick(at) if direction > 0 else at - self.tick(at - 1)
            if not self.lowest <= at <= self.highest:
                break
            found.append((at, self.random.randrange(1, 900)))
        return tuple(found)

    def day(self, day: date, seed: int) -> dict[str, int]:
        """A past day's figures: prices in hundredths of a dollar, shares, lots; the same however often asked for."""
        draw = random.Random(f"{seed} {self.code} {day}")  # noqa: S311 - a market is no secret
        low, high = sorted((draw.randrange(90, 111), draw.randrange(90, 111)))
        open_, close = draw.randrange(low, high + 1), draw.randrange(low, high + 1)
        prices = {
            name: self.on_tick(self.close * factor // 100)
            for name, factor in (("open", open_), ("high", high), ("low", low), ("close", close))
        }
        volume = draw.randrange(1_000, 50_000_000)
        nets = {
            name: draw.randrange(-3_000_000, 3_000_000) for name in ("foreign", "foreign_dealer", "trust", "dealer")
        }
        lots = {
            name: draw.randrange(1, 30_000)
            for name in ("margin_buy", "margin_sell", "margin", "short_buy", "short_sell", "short", "offset")
        }
        return {**prices, "volume": volume, "turnover": volume * close, "trades": 1 + volume // 900, **nets, **lots}


class TaiwanMarket:
    """Stocks by MIS's channel, such as tse_2330.tw. codes : as TaiwanStock knows them, by market"""

    def __init__(self, channels: Sequence[str], seed: int = 0) -> None:
        self.seed = seed
        self.stocks: dict[str, TaiwanStock] = {}
        for channel in channels:
            market, _, rest = channel.partition("_")
            self.stocks[channel] = TaiwanStock(rest.removesuffix(".tw"), market, seed)

    def refresh(self, now: int) -> None:
        """Five seconds pass for every stock."""
        for stock in self.stocks.values():
            stock.refresh(now)

    def of(self, market: str) -> list[TaiwanStock]:
        """The listed stocks of tse or otc."""
        return [stock for stock in self.stocks.values() if stock.market == market and stock.listed]


def channels(count: int) -> list[str]:
    """That many made-up channels: shares of the exchange, every fifth over the counter, and one fund."""
    found = ["tse_0050.tw"] if count else []
    found += [f"{'otc' if number % 5 == 4 else 'tse'}_{1101 + number}.tw" for number in range(count - 1)]
    return found


def price_text(hundredths: int) -> str:
    """A price as MIS writes it."""
    return f"{hundredths // 100}.{hundredths % 100:02d}00"
