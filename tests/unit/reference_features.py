"""The features of docs/features.md, slowly and plainly: every window is summed anew from a list of seconds.

Written from the formulas alone, to hold the engine's kernels against.
"""

import math
from dataclasses import dataclass, field

import numpy as np

from tapewatch.clock import NANOS
from tapewatch.contract.rows import EVERY_INSTRUMENT, RowType, StatusKind
from tests.unit.engine_market import Event

NAN = float("nan")
NEAR = 5
SILENCE_S = 5


@dataclass
class Second:
    """What happened in one second of one instrument."""

    volume: float = 0.0
    trades: float = 0.0
    signed: float = 0.0
    value: float = 0.0
    buy_milliseconds: set[int] = field(default_factory=set)
    flow: float = 0.0
    quotes: float = 0.0
    added: float = 0.0
    removed: float = 0.0
    price: float = NAN
    spread: float = NAN


class ExponentialMoments:
    """Exponentially weighted mean and variance of the values given so far."""

    def __init__(self, half_life: float) -> None:
        self.weight = 1.0 - 2.0 ** (-1.0 / half_life)
        self.mean = NAN
        self.variance = 0.0

    def add(self, value: float) -> None:
        if math.isnan(self.mean):
            self.mean = value
            return
        change = value - self.mean
        self.mean += self.weight * change
        self.variance = (1.0 - self.weight) * (self.variance + self.weight * change**2)

    def score(self, value: float) -> float:
        return (value - self.mean) / math.sqrt(self.variance) if self.variance > 0 else 0.0


class Market:
    """One instrument."""

    def __init__(self) -> None:
        self.phase = "pre"
        self.bid = self.ask = self.last = NAN
        self.bid_qty = self.ask_qty = 0.0
        self.bids: dict[float, float] = {}
        self.asks: dict[float, float] = {}
        self.has_quote = self.has_book = self.has_trade = False
        self.sold = self.bought = 0.0
        self.new_session()
        self.restart()

    def new_session(self) -> None:
        self.session_value = self.session_volume = 0.0
        self.high, self.low = -math.inf, math.inf

    def restart(self) -> None:
        self.past: list[Second] = []
        self.now = Second()
        self.squares = 0.0
        self.volumes, self.counts, self.sides = (
            ExponentialMoments(600),
            ExponentialMoments(600),
            ExponentialMoments(600),
        )
        self.spreads = ExponentialMoments(300)

    # rows

    def quote(self, v: dict[str, float]) -> None:
        bid, ask = v["bid_price"], v["ask_price"]
        bid_qty, ask_qty = (0.0 if math.isnan(v[f"{s}_price"]) else v[f"{s}_qty"] for s in ("bid", "ask"))
        if not self.has_book:
            if bid == self.bid:
                self.change(bid_qty - self.bid_qty, self.sold)
            if ask == self.ask:
                self.change(ask_qty - self.ask_qty, self.bought)
            self.sold = self.bought = 0.0
        self.touch(bid, bid_qty, ask, ask_qty)
        self.has_quote = True
        self.now.quotes += 1

    def change(self, quantity: float, traded: float) -> None:
        self.now.added += max(quantity, 0.0)
        self.now.removed += max(-quantity - traded, 0.0)

    def touch(self, bid: float, bid_qty: float, ask: float, ask_qty: float) -> None:
        """Cont, Kukanov & Stoikov 2014, eq. 2: e = 1[b >= b'] q - 1[b <= b'] q' - 1[a <= a'] r + 1[a >= a'] r'."""
        if not any(map(math.isnan, (bid, ask, self.bid, self.ask))):
            self.now.flow += (bid >= self.bid) * bid_qty - (bid <= self.bid) * self.bid_qty
            self.now.flow += (ask >= self.ask) * self.ask_qty - (ask <= self.ask) * ask_qty
        self.bid, self.bid_qty, self.ask, self.ask_qty = bid, bid_qty, ask, ask_qty

    def trade(self, v: dict[str, float], ts_event: int) -> None:
        if v["condition"] > 1:
            return
        self.has_trade = True
        price, qty, side = v["price"], v["qty"], v["aggressor_side"]
        if v["condition"] == 1:
            side = 0
        elif side == 0:
            side = 1 if price >= self.ask else -1 if price <= self.bid else 0
        if side > 0:
            self.now.buy_milliseconds.add(ts_event // 1_000_000)
        self.last = price
        self.now.volume += qty
        self.now.trades += 1
        self.now.signed += side * qty
        self.now.value += price * qty
        self.session_value += price * qty
        self.session_volume += qty
        self.bought += qty * (side > 0)
        self.sold += qty * (side < 0)

    def book(self, v: dict[str, list[float]]) -> None:
        bids, asks = (
            {p: q for p, q in zip(v[f"{s}_price"], v[f"{s}_qty"], strict=True) if not math.isnan(p)}
            for s in ("bid", "ask")
        )
        if self.has_book:
            self.depth(self.bids, bids, -1, self.sold)
            self.depth(self.asks, asks, 1, self.bought)
        else:
            self.now.added = self.now.removed = 0.0
        self.sold = self.bought = 0.0
        self.bids, self.asks, self.has_book = bids, asks, True
        self.now.quotes += 1
        if not self.has_quote:
            best_bid, best_ask = max(bids, default=NAN), min(asks, default=NAN)
            self.touch(best_bid, bids.get(best_bid, 0.0), best_ask, asks.get(best_ask, 0.0))

    def depth(self, before: dict[float, float], after: dict[float, float], outwards: int, traded: float) -> None:
        """Changes at the prices that lie within the five best levels of both books."""
        if not before or not after:
            return
        old, new = (sorted(levels, key=lambda p: p * outwards)[:NEAR] for levels in (before, after))
        bound = min(old[-1] * outwards, new[-1] * outwards)
        prices = [p for p in {*old, *new} if p * outwards <= bound]
        changes = [(after[p] if p in new else 0.0) - (before[p] if p in old else 0.0) for p in prices]
        self.now.added += sum(c for c in changes if c > 0)
        self.now.removed += max(0.0, -sum(c for c in changes if c < 0) - traded)

    # seconds

    def price(self) -> float:
        if not math.isnan(self.bid) and not math.isnan(self.ask):
            return (self.bid + self.ask) / 2
        return next((p for p in (self.last, self.bid, self.ask) if not math.isnan(p)), NAN)

    def close(self) -> list[float] | None:
        """The features of the second that ends; None where there is no price yet."""
        price = self.price()
        if math.isnan(price):
            self.restart()
            return None
        now = self.now
        now.price, now.spread = price, self.ask - self.bid
        self.past.append(now)
        self.high, self.low = max(self.high, price), min(self.low, price)
        row = [*self.returns(), *self.trading(), *self.quoting(), self.amihud(), *self.session(price)]
        self.volumes.add(now.volume)
        self.counts.add(now.trades)
        self.sides.add(now.signed)
        if not math.isnan(now.spread):
            self.spreads.add(now.spread)
        self.now = Second()
        return row

    def move(self, back: int) -> float:
        """The log return of the second `back` seconds ago; 0 for the first one."""
        place = len(self.past) - 1 - back
        return math.log(self.past[place].price) - math.log(self.past[place - 1].price) if place else 0.0

    def total(self, name: str, window: int, back: int = 0) -> float:
        end = len(self.past) - back
        return sum(getattr(second, name) for second in self.past[max(end - window, 0) : end])

    def warm(self, seconds: int) -> bool:
        return len(self.past) >= seconds

    def returns(self) -> list[float]:
        self.squares += (1 - 2 ** (-1 / 60)) * (self.move(0) ** 2 - self.squares)
        price = self.past[-1].price
        changes = [
            math.log(price) - math.log(self.past[-1 - w].price) if self.warm(w + 1) else NAN
            for w in (1, 5, 10, 30, 60, 300, 900)
        ]
        deviations = [
            math.sqrt(sum(self.move(back) ** 2 for back in range(w))) if self.warm(w + 1) else NAN for w in (60, 300)
        ]
        return [*changes, *deviations, math.sqrt(self.squares) if self.warm(60) else NAN]

    def trading(self) -> list[float]:
        if not self.has_trade:
            return [NAN] * 11
        now, volume = self.past[-1], self.total("volume", 60)
        minute = [volume, self.total("trades", 60), self.total("signed", 60) / volume if volume else 0.0]
        scores = [
            self.volumes.score(now.volume), self.counts.score(now.trades), self.sides.score(now.signed),
        ]  # fmt: skip
        rush = sum(len(second.buy_milliseconds) for second in self.past[-25:])
        return [
            now.volume, now.trades, now.signed,
            *(minute if self.warm(60) else [NAN] * 3),
            *(scores if self.warm(300) else [NAN] * 3),
            len(now.buy_milliseconds), rush if self.warm(25) else NAN,
        ]  # fmt: skip

    def quoting(self) -> list[float]:
        now = self.past[-1]
        both, mid = self.bid_qty + self.ask_qty, (self.bid + self.ask) / 2
        spread_bps = now.spread / mid * 1e4
        ratio = now.spread / self.spreads.mean if self.warm(60) and self.spreads.mean > 0 else NAN
        micro = imbalance = NAN
        if not math.isnan(mid) and both > 0:
            micro = ((self.ask * self.bid_qty + self.bid * self.ask_qty) / both - mid) / mid * 1e4
            imbalance = (self.bid_qty - self.ask_qty) / both
        row = [spread_bps, ratio, micro, imbalance, self.imbalance(5), self.imbalance(10)]
        if not self.has_quote and not self.has_book:
            return [*row, *[NAN] * 7]
        ten, sixty = self.warm(10), self.warm(60)
        return [
            *row, now.flow,
            self.total("flow", 10) if ten else NAN, self.total("flow", 60) if sixty else NAN,
            self.total("added", 10) if ten else NAN, self.total("removed", 10) if ten else NAN,
            now.quotes, self.total("quotes", 60) / 60 if sixty else NAN,
        ]  # fmt: skip

    def imbalance(self, levels: int) -> float:
        bids = sum(self.bids[p] for p in sorted(self.bids, reverse=True)[:levels])
        asks = sum(self.asks[p] for p in sorted(self.asks)[:levels])
        return (bids - asks) / (bids + asks) if bids + asks else NAN

    def amihud(self) -> float:
        if not self.warm(300):
            return NAN
        last = len(self.past) - 1
        ratios = [
            abs(self.move(back)) / self.past[last - back].value
            for back in range(300)
            if self.past[last - back].value > 0 and last - back > 0
        ]
        return float(np.mean(ratios)) if ratios else NAN

    def session(self, price: float) -> list[float]:
        vwap = self.session_value / self.session_volume if self.session_volume else NAN
        before = self.total("volume", 60, back=60)
        return [
            (price - vwap) / vwap * 1e4, (price / self.high - 1) * 1e4, (price / self.low - 1) * 1e4,
            (price / self.past[-61].price - 1) * 100 if self.warm(61) else NAN,
            (self.total("volume", 60) / before - 1) * 100 if self.warm(120) and before > 0 else NAN,
        ]  # fmt: skip


class Reference:
    """A log through plain Python. rows : features by (instrument, second that was closed)."""

    def __init__(self) -> None:
        self.markets: dict[str, Market] = {}
        self.rows: dict[tuple[str, int], list[float]] = {}
        self.second = -1

    def run(self, events: list[Event]) -> dict[tuple[str, int], list[float]]:
        for event in events:
            self.advance(event.at // NANOS)
            self.take(event)
        return self.rows

    def advance(self, second: int) -> None:
        silent = self.second >= 0 and second - self.second - 1 > SILENCE_S
        while 0 <= self.second < second:
            self.close()
            self.second = second if silent else self.second + 1
        self.second = second
        if silent:
            for market in self.markets.values():
                market.restart()

    def close(self) -> None:
        for name, market in self.markets.items():
            row = market.close() if market.phase in ("open", "auction") else None
            if row is not None:
                self.rows[name, self.second] = row

    def take(self, event: Event) -> None:
        if event.type is RowType.STATUS:
            chosen = [*self.markets] if event.instrument == EVERY_INSTRUMENT else [event.instrument]
            for name in chosen:
                self.status(self.markets.setdefault(name, Market()), StatusKind(event.values["kind"]))
            return
        market = self.markets.setdefault(event.instrument, Market())
        if market.phase == "pre":
            market.phase = "open"
        self.watch_again(market)
        if event.type is RowType.TRADE:
            market.trade(event.values, event.ts_event or event.at)
        elif event.type is RowType.QUOTE:
            market.quote(event.values)
        else:
            market.book(event.values)

    @staticmethod
    def watch_again(market: Market) -> None:
        if market.phase == "unwatched":
            market.restart()
            market.phase = "open"

    @staticmethod
    def status(market: Market, kind: StatusKind) -> None:
        if kind is StatusKind.GAP:
            market.restart()
            market.phase = "unwatched" if market.phase == "open" else market.phase
            return
        if kind is not StatusKind.HEARTBEAT:
            Reference.watch_again(market)
        if kind is StatusKind.HALT:
            market.phase = "halted"
        elif kind is StatusKind.CLOSE:
            market.phase = "closed"
        elif kind in (StatusKind.OPEN, StatusKind.RESUME, StatusKind.AUCTION):
            if market.phase == "closed":
                market.new_session()
            if market.phase in ("closed", "halted"):
                market.restart()
            market.phase = "auction" if kind is StatusKind.AUCTION else "open"
