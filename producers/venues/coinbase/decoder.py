"""Coinbase's messages to rows: books from snapshot and updates, trades by consecutive ids, quotes, gaps by number.

What stands in the text fields of Coinbase's messages.
"""

from collections import Counter, deque
from collections.abc import Collection, Iterable, Sequence

import msgspec

from producers.base.collector import Collector
from producers.base.decoder import DecoderRequest
from producers.base.ladder import Book, Level
from producers.columns import decimal_float
from producers.venues.coin import LATE, REPEATED, CountedCoin, exact_or_nan, settled_time, utc_ns
from producers.venues.coinbase import messages
from producers.venues.coinbase.messages import REPEATED as SEEN
from producers.venues.coinbase.messages import Sequences

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


AGGRESSORS = {"BUY": -1, "SELL": 1}
"""Coinbase names the side of the order that rested; the aggressor is on the other."""


class Product(CountedCoin):
    """A counted coin with its whole ladder. stream : connection whose snapshot the book began with"""

    def __init__(self, collector: Collector, symbol: str) -> None:
        super().__init__(collector, symbol, f"{symbol}.COINBASE")
        self.book = Book()
        self.stream = 0
        self.status = "online"


class CoinbaseDecoder:
    """Messages of one websocket connection at a time (two while it is renewed), and pages of past trades.

    given : items that gave rows, by kind. Every item counts in `collector.messages` and ends there, in
    `collector.dropped` or in `collector.refused`.
    """

    def __init__(self, collector: Collector, symbols: Iterable[str] = ()) -> None:
        self.collector = collector
        self.wants: deque[DecoderRequest] = deque()
        self.given: Counter[str] = Counter()
        self._sequences = Sequences()
        self._products: dict[str, Product] = {}
        self.follow(symbols)

    def follow(self, symbols: Iterable[str]) -> None:
        """Take messages of these products, such as BTC-USD, and of no others; what is known of those kept stays."""
        known = self._products
        self._products = {symbol: known.get(symbol) or Product(self.collector, symbol) for symbol in symbols}

    def message(self, data: bytes | str, received: int) -> None:
        """Take a message of the websocket."""
        try:
            message = messages.MESSAGES.decode(data)
            event = utc_ns(message.timestamp)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self._legacy(data, received)
            return
        except ValueError:
            self.collector.messages["message"] += 1
            self.collector.refuse("malformed_record", "message", data, received)
            return
        stream, missing = self._sequences.take(message.sequence_num)
        if stream == SEEN:
            self.collector.messages["message"] += 1
            self.collector.dropped["repeated"] += 1
            return
        if missing:
            self._missed(stream, missing, received)
        if isinstance(message, messages.BookMessage):
            for each in message.events:
                self._book(each, stream, message.sequence_num, event, data, received)
        elif isinstance(message, messages.TradesMessage):
            for trades in message.events:
                self._trades(trades, data, received)
        elif isinstance(message, messages.TickerMessage):
            for tickers in message.events:
                for ticker in tickers.tickers:
                    self._ticker(ticker, event, data, received)
        else:
            self._control(message, received)

    def answer(self, want: DecoderRequest, data: bytes, received: int) -> None:
        """Take the latest trades of a product; an empty body says that none could be had."""
        product = self._products.get(want.symbol)
        if product is None or want.kind != "trades":
            return
        for trade in self._page(data, received):
            self.collector.messages["past_trade"] += 1
            number = trade_number(trade.trade_id)
            condition = LATE if product.ids.fill(number) else REPEATED
            self._show(product, trade, number, condition, data, received)
        product.conclude(want, received)

    def lost(self, symbols: Collection[str], reason: str, received: int) -> None:
        """The connection broke: books and the latest trades come again with the subscription."""
        self._sequences.forget()
        # The next connection brings what was asked of this one.
        self.wants = deque(want for want in self.wants if want.kind == "trades")
        for symbol in sorted(symbols):
            product = self._products.get(symbol)
            if product is not None:
                product.lose(reason, received)

    def one_left(self, newer: bool, received: int) -> None:
        """Of two connections one is no more. newer : the one that is left is the newer

        Without being told, a number that the newer one left out would pass for the next of the older.
        """
        if self._sequences.one_left(newer=newer):
            for product in self._products.values():
                if product.stream < self._sequences.newest and not product.book_due:
                    # Its snapshot is still on the way, and what it had gets no updates any more.
                    product.gap("the connection that its book came from ended", received, book=True, trades=False)
            return
        self._renew(self._products.values(), "a connection ended while books were taken from it", received)

    def out_of_step(self) -> set[str]:
        """Products whose book has to come anew."""
        return {symbol for symbol, product in self._products.items() if product.book_due}

    def _missed(self, stream: int, missing: int, received: int) -> None:
        """Messages of a connection are missing, of whichever product: all is built anew by a new connection."""
        hit = [product for product in self._products.values() if product.stream == stream or product.book_due]
        self._renew(hit, f"{missing} messages missing", received)

    def _renew(self, products: Iterable[Product], reason: str, received: int) -> None:
        """Lose these products' books and trades, and have everything come again on a new connection."""
        for product in products:
            product.lose(reason, received)
        self.wants.append(DecoderRequest("reconnect", "*"))

    def _book(
        self, each: messages.BookEvent, stream: int, sequence: int, event: int, data: bytes | str, received: int
    ) -> None:
        self.collector.messages["book"] += 1
        product = self._products.get(each.product_id)
        whole = each.type == "snapshot"
        reason = self._left_out(product, stream, whole=whole)
        if product is None or reason:
            self.collector.dropped[reason] += 1
            return
        try:
            sides = sides_of([(update.side, update.price_level, update.new_quantity) for update in each.updates])
        except (ValueError, KeyError) as error:
            self._broken(
                product, "malformed_record" if isinstance(error, KeyError) else "not_exact_float", data, received
            )
            return
        product.stream = stream if whole else product.stream
        self._apply(product, *sides, sequence, event, data, received, whole=whole)

    def _left_out(self, product: Product | None, stream: int, *, whole: bool) -> str:
        """Why levels are not taken: of a product not followed, of an older connection, or before a snapshot."""
        if product is None:
            return "other_symbol"
        if stream < product.stream:
            return "older_connection"
        return "before_snapshot" if product.book_due and not whole else ""

    def _apply(
        self,
        product: Product,
        bids: list[Level],
        asks: list[Level],
        sequence: int,
        event: int,
        data: bytes | str,
        received: int,
        *,
        whole: bool,
    ) -> None:
        """Put levels into the book and show it, or build it anew where it is not sound."""
        book = product.book
        if whole:
            book.clear()
            event = settled_time(event, received)
        book.bids.update(bids)
        book.asks.update(asks)
        row = book.row()
        violation = book.violation(row)
        if violation:
            self.collector.violations[violation] += 1
            self._broken(product, violation, data, received)
        elif product.show_book(sequence, event, received, row):
            self.given["book"] += 1
        else:
            self.collector.dropped["unchanged_book"] += 1
        product.settle(received)

    def _broken(self, product: Product, reason: str, data: bytes | str, received: int) -> None:
        """A book that cannot be kept any further."""
        self.collector.refuse(reason, "book", data, received)
        product.gap(f"book {reason}", received, book=True, trades=False)
        self.wants.append(DecoderRequest("subscribe", product.symbol))

    def _trades(self, event: messages.TradesEvent, data: bytes | str, received: int) -> None:
        numbered = sorted(((trade_number(trade.trade_id), trade) for trade in event.trades), key=lambda pair: pair[0])
        past = event.type == "snapshot"
        if past:
            self._start(numbered)
        for number, trade in numbered:
            self.collector.messages["trade"] += 1
            product = self._products.get(trade.product_id)
            if product is None:
                self.collector.refuse("other_symbol", "trade", data, received)
            elif number < 0:
                self.collector.refuse("malformed_record", "trade", data, received)
            else:
                condition = product.past(number, received) if past else product.live(number, received)
                self._show(product, trade, number, condition, data, received)
        for symbol in dict.fromkeys(trade.product_id for _, trade in numbered):
            if symbol in self._products:
                self._products[symbol].after_trades(self.wants, received)

    def _start(self, numbered: Sequence[tuple[int, messages.Trade]]) -> None:
        """Begin the ids of products that have none at the newest trade of their first snapshot."""
        for number, trade in reversed(numbered):
            product = self._products.get(trade.product_id)
            if product is not None and number >= 0:
                product.begin(number, exact_or_nan(trade.price))

    def _show(
        self,
        product: Product,
        trade: messages.Trade,
        number: int,
        condition: int,
        data: bytes | str,
        received: int,
    ) -> None:
        if condition == REPEATED:
            self.collector.dropped["repeated"] += 1
            return
        try:
            event = utc_ns(trade.time)
            side = AGGRESSORS[trade.side]
        except (ValueError, KeyError):
            self.collector.refuse("malformed_record", "trade", data, received)
            return
        try:
            price, qty = decimal_float(trade.price), decimal_float(trade.size)
        except ValueError:
            self.collector.refuse("not_exact_float", "trade", data, received)
            return
        if not price > 0.0 or not qty > 0.0:
            self.collector.refuse("malformed_record", "trade", data, received)
        elif reason := product.show(event, received, price, qty, side, number, condition):
            self.collector.dropped[reason] += 1
        else:
            self.given["trade"] += 1

    def _page(self, data: bytes, received: int) -> list[messages.Trade]:
        """The trades of an answer, oldest first; none of one that cannot be read."""
        try:
            trades = messages.PAST_TRADES.decode(data).trades if data else []
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self.collector.messages["past_trades"] += 1
            self.collector.refuse("malformed_record", "trades", data, received)
            return []
        return sorted(trades, key=lambda trade: trade_number(trade.trade_id))

    def _ticker(self, ticker: messages.Ticker, event: int, data: bytes | str, received: int) -> None:
        self.collector.messages["ticker"] += 1
        product = self._products.get(ticker.product_id)
        if product is None:
            self.collector.refuse("other_symbol", "ticker", data, received)
            return
        touch = (
            exact_or_nan(ticker.best_bid),
            exact_or_nan(ticker.best_bid_quantity),
            exact_or_nan(ticker.best_ask),
            exact_or_nan(ticker.best_ask_quantity),
        )
        last = exact_or_nan(ticker.price)
        total = sum(touch) + last
        if total != total or not 0.0 < touch[0] <= touch[2] or not last > 0.0 or touch[1] < 0.0 or touch[3] < 0.0:
            self.collector.refuse("malformed_record", "ticker", data, received)
        else:
            product.show_ticker(settled_time(event, received), received, touch, last)
            self.given["ticker"] += 1

    def _control(self, message: messages.Message, received: int) -> None:
        """Heartbeats, the answer to a subscription, and the venue's word on what trades."""
        self.collector.messages["control"] += 1
        self.collector.dropped["control"] += 1
        if isinstance(message, messages.StatusMessage):
            for told in (product for event in message.events for product in event.products):
                product = self._products.get(told.id)
                if product is not None:
                    product.trading(told.status, halted=told.status != "online", received=received)

    def _legacy(self, data: bytes | str, received: int) -> None:
        """A message without channel: of the older level2 channel, an error, or one that fits nothing."""
        try:
            message = messages.LEGACY.decode(data)
            event = utc_ns(message.time) if isinstance(message, messages.LegacyUpdate) else received
        except (ValueError, RecursionError):
            self._unread(data, received)
            return
        if isinstance(message, messages.LegacySnapshot | messages.LegacyUpdate):
            self._book(message.event(), 0, 0, event, data, received)
        else:
            self.collector.messages["notice"] += 1
            if isinstance(message, messages.LegacyError):
                self.collector.refuse("venue_error", "message", data, received)
            else:
                self.collector.dropped["control"] += 1

    def _unread(self, data: bytes | str, received: int) -> None:
        """Refuse a message that fits nothing."""
        self.collector.messages["message"] += 1
        try:
            notice = messages.NOTICES.decode(data)
        except msgspec.ValidationError:
            reason = "malformed_record"
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            reason = "malformed_json"
        else:
            known = notice.channel in messages.CHANNELS or (not notice.channel and notice.type in messages.TYPES)
            reason = "malformed_record" if known else "unsupported_record"
        self.collector.refuse(reason, "message", data, received)
