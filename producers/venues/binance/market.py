"""One market at Binance: its book, its trades, and what was missed of them; rows go into a collector.

Binance's rules for keeping a local order book from one REST snapshot and the stream of differences.

Source: Binance API documentation, "How to manage a local order book correctly", spot and USD-M futures.
"""

from collections import deque
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from producers.base.collector import Collector
from producers.base.decoder import DecoderRequest
from producers.base.ladder import Book, Level
from producers.base.sequence_gaps import Ids
from producers.columns import decimal_float
from producers.venues.binance.records import (
    AggregateTrade,
    BookTicker,
    Depth,
    FetchedAggregate,
    FetchedTrade,
    RecordRefusedError,
    Snapshot,
    Texts,
    Trade,
    nanoseconds,
)
from tapewatch.clock import NANOS
from tapewatch.contract.rows import Condition, StatusKind


@dataclass(frozen=True, slots=True)
class Diff:
    """A depth event: the update ids it spans (U, u), the last id before it (pu, futures only), levels, whence."""

    first_id: int
    last_id: int
    previous_id: int
    bids: list[Level]
    asks: list[Level]
    ts_event: int
    file: str
    line: int
    raw: bytes


class Outcome(Enum):
    """What became of a depth event: taken, already in the book, kept for a snapshot, or kept since some are missing."""

    APPLIED = auto()
    STALE = auto()
    WAITS = auto()
    GAP = auto()


class DepthSync(Book):
    """A local book, in step with the exchange or waiting for a snapshot.

    futures : check each event's `pu` against the last `u` (USD-M); otherwise `U` against the last `u` + 1 (spot)
    waiting : events that came while no snapshot had been seen, or since a gap
    """

    def __init__(self, *, futures: bool) -> None:
        super().__init__()
        self.last_id = -1
        self.in_step = False
        self.waiting: deque[Diff] = deque()
        self._futures = futures
        self._fresh = False

    def diff(self, diff: Diff) -> Outcome:
        """Take a depth event. After a gap the book is empty; this and all later events wait for a snapshot."""
        if not self.in_step:
            self.waiting.append(diff)
            return Outcome.WAITS
        if self._stale(diff):
            return Outcome.STALE
        if not self._follows(diff, self.last_id):
            self.lose()
            self.waiting.append(diff)
            return Outcome.GAP
        self.bids.update(diff.bids)
        self.asks.update(diff.asks)
        self.last_id = diff.last_id
        self._fresh = False
        return Outcome.APPLIED

    def snapshot(self, last_id: int, bids: list[Level], asks: list[Level]) -> list[Diff] | None:
        """Start from a snapshot; returns the waiting events for the caller to feed again, or None if it is too old.

        Too old means: older than the book kept, or events between it and the oldest waiting one are missing.
        """
        if self.in_step and last_id < self.last_id:
            return None
        newer = [diff for diff in self.waiting if diff.last_id > last_id]
        if newer and not self._covers(newer[0], last_id):
            return None
        self.clear()
        self.bids.update(bids)
        self.asks.update(asks)
        self.last_id = last_id
        self.in_step = self._fresh = True
        again = list(self.waiting)
        self.waiting.clear()
        return again

    def lose(self) -> None:
        """Throw the book away; events wait for a snapshot from here on."""
        self.clear()
        self.in_step = False

    def _stale(self, diff: Diff) -> bool:
        # The futures rules keep the event that ends exactly at the snapshot, since the next one's pu names it.
        if self._futures and self._fresh:
            return diff.last_id < self.last_id
        return diff.last_id <= self.last_id

    def _follows(self, diff: Diff, last_id: int) -> bool:
        if self._fresh:
            return self._covers(diff, last_id)
        return diff.previous_id == last_id if self._futures else diff.first_id <= last_id + 1

    def _covers(self, diff: Diff, last_id: int) -> bool:
        """Whether nothing is missing between a snapshot and the first event after it."""
        return diff.previous_id <= last_id if self._futures else diff.first_id <= last_id + 1


WAITING_LIMIT = 10_000
"""Depth events kept while a snapshot is awaited; the oldest is refused beyond it."""
QUANTITY_DECIMALS = 8
"""Decimals of a quantity at Binance: the running volume is rounded to them, so that it does not drift."""
FETCHED_TRADES = 1_000
"""Trades of one answer at most."""

_REGULAR, _LATE = int(Condition.REGULAR), int(Condition.LATE)


class RefusalHandler(Protocol):
    """Takes what gave no row. origin : whence (file or stream), and the line in a file"""

    def __call__(self, reason: str, origin: tuple[str, int], raw: bytes) -> None:
        """Count it and keep the start of its text."""
        ...


class BinanceMarket:
    """Feeds on decoded records.

    code : of its instrument in the collector; futures : book by `pu`, trades that are no market trades are refused
    wants : gets a `snapshot` or `trades` question wherever something is missing
    """

    def __init__(
        self,
        symbol: str,
        code: int,
        collector: Collector,
        wants: deque[DecoderRequest],
        refuse: RefusalHandler,
        *,
        futures: bool,
    ) -> None:
        self.symbol, self.code = symbol, code
        self.book = DepthSync(futures=futures)
        self.ids = Ids()
        self._collector, self._wants, self._refuse, self._futures = collector, wants, refuse, futures
        self._had_snapshot = False
        self._newest_quote = -1
        self._last_price = float("nan")
        self._volume = 0.0
        self._since = 0
        """Receipt time from which on something is out of step; 0 where all is well."""
        self._lost_trades = self._late_trades = 0
        self._kind = "trades"

    def trade(self, trade: Trade, received: int) -> None:
        """A single trade."""
        if self._futures and trade.X != "MARKET":
            self.ids.take(trade.t)
            raise RecordRefusedError("not_market_trade")
        self._print(trade.t, trade.p, trade.q, trade.T, trade.m, received)

    def aggregate(self, trade: AggregateTrade, received: int) -> None:
        """An aggregate trade."""
        self._kind = "aggregates"
        self._print(trade.a, trade.p, trade.q, trade.T, trade.m, received)

    def book_ticker(self, ticker: BookTicker, received: int) -> None:
        """The best quotes."""
        event = nanoseconds(ticker.T or ticker.E) or received
        bid, bid_qty = decimal_float(ticker.b), decimal_float(ticker.B)
        ask, ask_qty = decimal_float(ticker.a), decimal_float(ticker.A)
        if ticker.u <= self._newest_quote:
            raise RecordRefusedError("repeated")
        self._newest_quote = ticker.u
        self._collector.quotes.append(
            (self.code, event, received, bid, bid_qty, ask, ask_qty, self._last_price, self._volume)
        )

    def depth(self, depth: Depth, received: int, origin: tuple[str, int], raw: bytes) -> None:
        """A depth event."""
        if self._futures and depth.pu < 0:
            raise RecordRefusedError("malformed_record")
        event = nanoseconds(depth.T or depth.E)
        bids, asks = levels(depth.b), levels(depth.a)
        self._sync(Diff(depth.U, depth.u, depth.pu, bids, asks, event, *origin, raw), received, "stale_diff")

    def snapshot(self, snapshot: Snapshot, received: int) -> None:
        """The whole book, and behind it the events that came meanwhile."""
        event = nanoseconds(snapshot.T or snapshot.E) or received
        again = self.book.snapshot(snapshot.lastUpdateId, levels(snapshot.bids), levels(snapshot.asks))
        if again is None:
            self._want_snapshot()
            raise RecordRefusedError("stale_snapshot")
        stale = self._waiting_reason()
        self._had_snapshot = True
        sound = self._add_book(event, received)
        if sound:
            self._settle(received, event, f"snapshot {snapshot.lastUpdateId}")
        for diff in again:
            self._sync(diff, received, stale)

    def fetched(self, trades: list[FetchedTrade] | list[FetchedAggregate], want: DecoderRequest, received: int) -> None:
        """The answer to a `trades` question: what falls into a hole becomes late trades, the rest of it is lost."""
        since, upto = (want.start, want.upto) if want.upto >= 0 else (0, self.ids.last)
        for each in trades:
            if isinstance(each, FetchedAggregate):
                number, price, qty, stamp, maker = each.a, each.p, each.q, each.T, each.m
            else:
                number, price, qty, stamp, maker = each.id, each.price, each.qty, each.time, each.isBuyerMaker
            if self.ids.fill(number):
                self._late(number, price, qty, stamp, maker, received)
        left = [max(first, since) for first, last in self.ids.missing if first <= upto and last >= since]
        if len(trades) >= FETCHED_TRADES and left:
            self._wants.append(DecoderRequest(self._kind, self.symbol, left[0], upto))
            return
        # What the venue did not send although it was asked for is gone.
        self._lost_trades += self.ids.give_up(upto, since)
        self._settle(received, received, "trades")

    def lost(self, reason: str, received: int) -> None:
        """The connection broke: nobody knows what was missed."""
        if not self._since:
            self._since = received
            self._collector.status(self.code, StatusKind.GAP, reason, received)
        if self.book.in_step:
            self.book.lose()

    def ask(self) -> None:
        """A connection is open: ask for the book where there is none."""
        if not self.book.in_step:
            self._want_snapshot()

    def finish(self) -> None:
        """Refuse the depth events for which no snapshot came."""
        while self.book.waiting:
            self._refuse_waiting(self.book.waiting.popleft())

    def _print(self, number: int, price: str, qty: str, stamp: int, maker: bool, received: int) -> None:
        event = nanoseconds(stamp)
        paid, size = decimal_float(price), decimal_float(qty)
        before = self.ids.last
        if not self.ids.take(number):
            raise RecordRefusedError("repeated")
        if number < self.ids.last:
            self._late(number, price, qty, stamp, maker, received)
            self._settle(received, event, "trades")
            return
        if number != before + 1 and before >= 0:
            self._missed(before, number, received, event)
        self._last_price = paid
        self._volume = round(self._volume + size, QUANTITY_DECIMALS)
        side = -1 if maker else 1
        self._collector.trades.append((self.code, event, received, paid, size, side, _REGULAR, str(number)))

    def _missed(self, before: int, number: int, received: int, event: int) -> None:
        """Trades are missing: say so, unless a gap is open anyway, and ask for them."""
        if not self._since:
            self._since = received
            detail = f"trades {before + 1} to {number - 1} missing"
            self._collector.status(self.code, StatusKind.GAP, detail, received, event)
        self._wants.append(DecoderRequest(self._kind, self.symbol, before + 1, number - 1))

    def _late(self, number: int, price: str, qty: str, stamp: int, maker: bool, received: int) -> None:
        self._late_trades += 1
        paid, size = decimal_float(price), decimal_float(qty)
        row = (self.code, nanoseconds(stamp), received, paid, size, -1 if maker else 1, _LATE, str(number))
        self._collector.trades.append(row)

    def _settle(self, received: int, event: int, detail: str) -> None:
        """Say that all is in step again, once it is."""
        waits_for_book = self._had_snapshot and not self.book.in_step
        if not self._since or waits_for_book or self.ids.missing:
            return
        seconds = (received - self._since) / NANOS
        words = f"{detail}; {seconds:.3f} s not in step, {self._late_trades} trades late, {self._lost_trades} lost"
        self._collector.status(self.code, StatusKind.RESYNC, words, received, event)
        self._since = self._late_trades = self._lost_trades = 0

    def _sync(self, diff: Diff, received: int, stale: str) -> None:
        """Feed an event to the book: a BOOK row, a STATUS row of a gap, a refusal under `stale`, or nothing yet."""
        before = self.book.last_id
        outcome = self.book.diff(diff)
        if outcome is Outcome.APPLIED:
            self._add_book(diff.ts_event, received)
        elif outcome is Outcome.STALE:
            self._refuse(stale, (diff.file, diff.line), diff.raw)
        elif outcome is Outcome.GAP:
            self._out_of_step(f"update {diff.first_id} after {before}", received, diff.ts_event)
        elif len(self.book.waiting) > WAITING_LIMIT:
            self._refuse_waiting(self.book.waiting.popleft())

    def _out_of_step(self, detail: str, received: int, event: int) -> None:
        self._since = self._since or received
        self._collector.status(self.code, StatusKind.GAP, detail, received, event)
        self._want_snapshot()

    def _want_snapshot(self) -> None:
        self._wants.append(DecoderRequest("snapshot", self.symbol))

    def _waiting_reason(self) -> str:
        return "gap" if self._had_snapshot else "before_snapshot"

    def _refuse_waiting(self, diff: Diff) -> None:
        self._refuse(self._waiting_reason(), (diff.file, diff.line), diff.raw)

    def _add_book(self, event: int, received: int) -> bool:
        """A BOOK row if the book is sound; otherwise it is thrown away and built anew."""
        row = self.book.row()
        violation = self.book.violation(row)
        if violation:
            self._collector.violations[violation] += 1
            self.book.lose()
            self._out_of_step(f"book {violation} at update {self.book.last_id}", received, event)
            return False
        self._collector.books.append((self.code, event, received, self.book.last_id, *row))
        return True


def levels(texts: Texts) -> list[Level]:
    """Levels from decimal texts; ValueError where one is no exact float64."""
    return [(decimal_float(price), decimal_float(qty)) for price, qty in texts]
