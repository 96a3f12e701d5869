"""A seeded Taiwanese market: books of five levels in whole ticks, lots, price limits, and the days before.

What MIS and Yahoo answer of a simulated stock.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from producers.venues.twse.instruments import FUND_TICKS, SHARE_TICKS
from tapewatch.clock import NANOS

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


UNKNOWN = {"tv": "-", "s": "-", "c": "", "z": "-"}


def mis_row(stock: TaiwanStock, shown: StockSnapshot) -> dict[str, str]:
    """A row of msgArray: every value a text, `-` for none, levels joined by `_` with one at the end."""
    at = taipei(shown.at)
    time = f"{at:%H:%M:%S}"
    last = price_text(shown.last) if shown.last else "-"
    row = {
        "@": f"{stock.code}.tw",
        "tv": str(shown.lots) if shown.lots else "-",
        "s": str(shown.lots) if shown.lots else "-",
        "key": f"{stock.market}_{stock.code}.tw_{at:%Y%m%d}",
        "a": _joined([price_text(price) for price, _ in shown.asks]),
        "f": _joined([str(lots) for _, lots in shown.asks]),
        "b": _joined([price_text(price) for price, _ in shown.bids]),
        "g": _joined([str(lots) for _, lots in shown.bids]),
        "c": stock.code,
        "ch": f"{stock.code}.tw",
        "ex": stock.market,
        "d": f"{at:%Y%m%d}",
        "t": time,
        "%": time,
        "tlong": str(shown.at // 1_000_000),
        "ip": "4" if stock.trial else "0",
        "ts": "1" if stock.trial else "0",
        "mt": "000000",
        "i": "24",
        "it": "12",
        "p": "0",
        "n": f"模擬{stock.code}",
        "nf": f"模擬{stock.code}股份有限公司",
        "y": price_text(stock.close),
        "u": price_text(stock.highest),
        "w": price_text(stock.lowest),
        "z": last,
        "v": str(shown.volume) if shown.volume else "-",
    }
    return row | ({"st": stock.halt[0], "rt": stock.halt[1]} if stock.halt[0] else {})


def mis_document(rows: list[dict[str, str]], now: int, code: str = "0000", text: str = "OK") -> dict[str, Any]:
    """The envelope of an answer."""
    at = taipei(now)
    query = {"sysDate": f"{at:%Y%m%d}", "sysTime": f"{at:%H:%M:%S}", "sessionStr": "UserSession", "showChart": False}
    return {"msgArray": rows, "referer": "", "userDelay": 5000, "rtcode": code, "queryTime": query, "rtmessage": text}


def yahoo_quote(stock: TaiwanStock) -> dict[str, Any]:
    """A symbol of the quote document: one level, no sizes."""
    shown = stock.shown
    quote: dict[str, Any] = {
        "symbol": yahoo_symbol(stock),
        "currency": "TWD",
        "marketState": "REGULAR",
        "exchangeDataDelayedBy": 0,
        "regularMarketTime": shown.at // NANOS,
        "regularMarketVolume": shown.volume * LOT,
        "regularMarketPrice": (stock.last or stock.close) / 100,
        "regularMarketPreviousClose": stock.close / 100,
    }
    sides = {"bid": shown.bids, "ask": shown.asks}
    return quote | {name: levels[0][0] / 100 if levels else 0.0 for name, levels in sides.items()}


def chart(stock: TaiwanStock) -> dict[str, Any]:
    """The chart document, of which the last price counts."""
    quote = yahoo_quote(stock)
    names = ("symbol", "currency", "regularMarketTime", "regularMarketVolume", "regularMarketPrice")
    meta = {name: quote[name] for name in names}
    meta |= {"exchangeTimezoneName": "Asia/Taipei", "dataGranularity": "1m", "instrumentType": "EQUITY"}
    return {"chart": {"result": [{"meta": meta, "indicators": {"quote": [{}]}}], "error": None}}


def yahoo_symbol(stock: TaiwanStock) -> str:
    """How Yahoo calls it."""
    return f"{stock.code}.{'TW' if stock.market == 'tse' else 'TWO'}"


def taipei(ns: int) -> datetime:
    """The time in Taipei."""
    return datetime.fromtimestamp(ns / NANOS, UTC) + timedelta(hours=8)


def _joined(texts: list[str]) -> str:
    return "_".join(texts) + "_" if texts else "-"
