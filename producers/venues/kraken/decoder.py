"""Kraken's messages to rows: books that match the venue's checksum, trades by consecutive ids, quotes, halts."""

from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Sequence
from math import nan
from typing import Any

import msgspec

from producers.base.collector import Collector
from producers.base.decoder import DecoderRequest
from producers.columns import decimal_float
from producers.venues.coin import LATE, REPEATED, number, settled_time, utc_ns
from producers.venues.kraken import messages
from producers.venues.kraken.pair import TRADES, UNKNOWN, Pair
from tapewatch.clock import NANOS

SIDES = {"buy": 1, "sell": -1, "b": 1, "s": -1}
PAGE = 1_000
"""Trades of one REST answer at most."""
CHANNELS = ("book", "trade", "ticker", "instrument", "status")


class KrakenDecoder:
    """Messages of the public websocket, and pages of past trades.

    depth : levels of the book subscribed to (10, 25, 100, 500 or 1000)
    given : items that gave rows, by kind. Every item counts in `collector.messages` and ends there, in
    `collector.dropped` or in `collector.refused`.
    """

    def __init__(self, collector: Collector, symbols: Iterable[str] = (), *, depth: int = 10) -> None:
        self.collector = collector
        self.wants: deque[DecoderRequest] = deque()
        self.given: Counter[str] = Counter()
        self._depth = depth
        self._system = "online"
        self._pairs: dict[str, Pair] = {}
        self.follow(symbols)

    def follow(self, symbols: Iterable[str]) -> None:
        """Take messages of these pairs, such as BTC/USD, and of no others; what is known of those kept stays."""
        known = self._pairs
        self._pairs = {symbol: known.get(symbol) or Pair(self.collector, symbol, self._depth) for symbol in symbols}

    def precision(self, symbol: str, price_decimals: int, qty_decimals: int) -> None:
        """Tell at which precision the checksum of a pair's book writes numbers."""
        pair = self._pairs.get(symbol)
        if pair is not None:
            pair.price_decimals, pair.qty_decimals = price_decimals, qty_decimals

    def message(self, data: bytes | str, received: int) -> None:
        """Take a message of the websocket."""
        try:
            message = messages.MESSAGES.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self._notice(data, received)
            return
        if isinstance(message, messages.BookMessage):
            whole = message.type == "snapshot"
            self._each("book", message.data, self._book_snapshot if whole else self._book_update, data, received)
        elif isinstance(message, messages.TradeMessage):
            past = message.type == "snapshot"
            trades = sorted(message.data, key=lambda trade: trade.trade_id)
            if past:
                self._start(reversed(trades))
            self._each("trade", trades, self._trade_before if past else self._trade, data, received)
            for symbol in dict.fromkeys(trade.symbol for trade in trades):
                if symbol in self._pairs:
                    self._pairs[symbol].after_trades(self.wants, received)
        elif isinstance(message, messages.TickerMessage):
            self._each("ticker", message.data, self._ticker, data, received)
        else:
            self._control(message, received)

    def answer(self, want: DecoderRequest, data: bytes, received: int) -> None:
        """Take a page of past trades, oldest first; an empty body says that none could be had."""
        pair = self._pairs.get(want.symbol)
        if pair is None or want.kind != "trades":
            return
        trades, last = self._page(data, received)
        found = sum([self._fetched(pair, trade, received) for trade in trades])
        if pair.asked_upto >= 0 and pair.ids.missing and found and len(trades) >= PAGE:
            self.wants.append(DecoderRequest("trades", want.symbol, last, want.upto))
            return
        pair.conclude(want, received)

    def lost(self, symbols: Collection[str], reason: str, received: int) -> None:
        """A connection broke: books come again with the subscription, trades with its snapshot or by a question."""
        # The next connection brings what was asked of this one.
        self.wants = deque(want for want in self.wants if want.kind == "trades" or want.symbol not in symbols)
        for symbol in sorted(symbols):
            pair = self._pairs.get(symbol)
            if pair is not None:
                pair.lose(reason, received)

    def out_of_step(self) -> set[str]:
        """Pairs whose book has to come anew."""
        return {symbol for symbol, pair in self._pairs.items() if pair.book_due}

    def _each(
        self,
        kind: str,
        items: Iterable[Any],
        take: Callable[[Pair, Any, bytes | str, int], None],
        data: bytes | str,
        received: int,
    ) -> None:
        """Give each item of a message to its pair's taker."""
        for item in items:
            self.collector.messages[kind] += 1
            pair = self._pairs.get(item.symbol)
            if pair is None:
                self.collector.refuse("other_symbol", kind, data, received)
                continue
            try:
                take(pair, item, data, received)
            except ValueError:
                self.collector.refuse("malformed_record", kind, data, received)

    def _book_snapshot(self, pair: Pair, book: messages.Book, data: bytes | str, received: int) -> None:
        event = utc_ns(book.timestamp) if book.timestamp else received
        if not pair.book_due and event < pair.newest_ns:
            self.collector.dropped["stale_snapshot"] += 1
            return
        if pair.price_decimals == UNKNOWN:
            pair.learn(next(text for text in messages.TEXTS.decode(data).data if text.symbol == book.symbol))
        pair.snapshot(book)
        pair.snapshot_ns = pair.newest_ns = event
        self._check(pair, book, settled_time(event, received), data, received)

    def _book_update(self, pair: Pair, book: messages.Book, data: bytes | str, received: int) -> None:
        event = utc_ns(book.timestamp) if book.timestamp else received
        reason = ""
        if pair.book_due:
            reason = "before_snapshot"
        elif pair.repeated(event, hash(data)):
            reason = "repeated"
        elif event < pair.snapshot_ns:
            reason = "stale_update"
        if reason:
            self.collector.dropped[reason] += 1
            return
        pair.update(book)
        pair.newest_ns = max(event, pair.newest_ns)
        self._check(pair, book, event, data, received)

    def _check(self, pair: Pair, book: messages.Book, event: int, data: bytes | str, received: int) -> None:
        """Show the book if it is the venue's; otherwise say so, and ask for it anew."""
        fault = pair.fault(book.checksum)
        if fault:
            self.collector.violations[fault] += 1
            self.collector.refuse(fault, "book", data, received)
            pair.gap(f"book {fault}", received, book=True, trades=False)
            self.wants.append(DecoderRequest("subscribe", pair.symbol))
            return
        pair.sequence += 1
        if pair.show_book(pair.sequence, event, received, pair.row):
            self.given["book"] += 1
        else:
            self.collector.dropped["unchanged_book"] += 1
        pair.settle(received)

    def _trade(self, pair: Pair, trade: messages.Trade, data: bytes | str, received: int) -> None:
        self._show(pair, trade, utc_ns(trade.timestamp), pair.live(trade.trade_id, received), data, received)

    def _trade_before(self, pair: Pair, trade: messages.Trade, data: bytes | str, received: int) -> None:
        self._show(pair, trade, utc_ns(trade.timestamp), pair.past(trade.trade_id, received), data, received)

    def _start(self, trades: Iterable[messages.Trade]) -> None:
        """Begin a pair's ids at its newest trade of a first snapshot. trades : newest first"""
        for trade in trades:
            pair = self._pairs.get(trade.symbol)
            if pair is not None:
                pair.begin(trade.trade_id, trade.price if type(trade.price) is float else nan)

    def _show(
        self, pair: Pair, trade: messages.Trade, event: int, condition: int, data: bytes | str, received: int
    ) -> None:
        if condition == REPEATED:
            self.collector.dropped["repeated"] += 1
            return
        price, qty, side = number(trade.price), number(trade.qty), SIDES.get(trade.side)
        if price != price or qty != qty:
            self.collector.refuse("not_exact_float", "trade", data, received)
        elif side is None or not price > 0.0 or not qty > 0.0:
            self.collector.refuse("malformed_record", "trade", data, received)
        elif reason := pair.show(event, received, price, qty, side, trade.trade_id, condition):
            self.collector.dropped[reason] += 1
        else:
            self.given["trade"] += 1

    def _fetched(self, pair: Pair, trade: messages.Trade, received: int) -> bool:
        """Take a trade of a page; whether it was one of the missing."""
        self.collector.messages["past_trade"] += 1
        if not pair.ids.fill(trade.trade_id):
            self.collector.dropped["repeated"] += 1
            return False
        self._show(pair, trade, int(trade.timestamp), LATE, b"", received)
        return True

    def _page(self, data: bytes, received: int) -> tuple[list[messages.Trade], int]:
        """The trades of a REST answer and where the next page starts; none of an answer that cannot be read."""
        if not data:
            return [], 0
        try:
            answer = messages.TRADES_ANSWERS.decode(data)
            last = int(answer.result.pop("last", 0))
            return [past_trade(row) for rows in answer.result.values() for row in rows], last
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError, TypeError, LookupError):
            self.collector.messages["past_trades"] += 1
            self.collector.refuse("malformed_record", "trades", data, received)
            return [], 0

    def _ticker(self, pair: Pair, ticker: messages.Ticker, data: bytes | str, received: int) -> None:
        event = utc_ns(ticker.timestamp) if ticker.timestamp else received
        bid, bid_qty, ask, ask_qty = (
            number(ticker.bid),
            number(ticker.bid_qty),
            number(ticker.ask),
            number(ticker.ask_qty),
        )
        last = number(ticker.last)
        total = bid + bid_qty + ask + ask_qty + last
        if total != total:
            self.collector.refuse("not_exact_float", "ticker", data, received)
        elif not 0.0 < bid <= ask or not last > 0.0 or bid_qty < 0.0 or ask_qty < 0.0:
            self.collector.refuse("malformed_record", "ticker", data, received)
        else:
            pair.show_ticker(settled_time(event, received), received, (bid, bid_qty, ask, ask_qty), last)
            self.given["ticker"] += 1

    def _control(self, message: messages.Message, received: int) -> None:
        """Heartbeats, and the venue's word on what trades and at which precision numbers are written."""
        self.collector.messages["control"] += 1
        self.collector.dropped["control"] += 1
        if isinstance(message, messages.StatusMessage) and message.data:
            self._system = message.data[-1].system
        elif isinstance(message, messages.InstrumentMessage):
            for told in message.data.pairs:
                pair = self._pairs.get(told.symbol)
                if pair is not None:
                    pair.price_decimals, pair.qty_decimals = told.price_precision, told.qty_precision
                    pair.state = told.status
        else:
            return
        for pair in self._pairs.values():
            halted = self._system != "online" or pair.state not in TRADES
            pair.trading(pair.state if self._system == "online" else self._system, halted=halted, received=received)

    def _notice(self, data: bytes | str, received: int) -> None:
        """A message that gives no rows: the answer to a request, or one that does not fit its channel."""
        self.collector.messages["notice"] += 1
        try:
            notice = messages.NOTICES.decode(data)
        except msgspec.ValidationError:
            self.collector.refuse("malformed_record", "message", data, received)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self.collector.refuse("malformed_json", "message", data, received)
        else:
            if notice.error or not notice.success:
                self.collector.refuse("venue_error", notice.method or "message", data, received)
            elif notice.method:
                self.collector.dropped["control"] += 1
            else:
                reason = "malformed_record" if notice.channel in CHANNELS else "unsupported_record"
                self.collector.refuse(reason, "message", data, received)


def past_trade(row: Sequence[Any]) -> messages.Trade:
    """A trade of a REST answer: [price, qty, seconds, side, order type, extra, trade id]; its time as ns in digits."""
    price, qty, stamp, side, _, _, trade_id = row
    seconds, _, fraction = str(stamp).partition(".")
    event = int(seconds) * NANOS + int(fraction.ljust(9, "0")[:9])
    return messages.Trade("", side, decimal_float(price), decimal_float(qty), int(trade_id), str(event))
