"""One market at Binance: its book, its trades, and what was missed of them; rows go into a collector."""

from collections import deque
from typing import Protocol

from producers.base.collector import Collector
from producers.base.decoder import DecoderRequest
from producers.base.ladder import Level
from producers.base.sequence_gaps import Ids
from producers.columns import decimal_float
from producers.venues.binance.depth_sync import DepthSync, Diff, Outcome
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
