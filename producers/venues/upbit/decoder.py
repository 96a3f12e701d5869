"""Upbit's frames to rows: every orderbook frame is a whole book, trades are told apart by id, tickers make quotes.

Trade ids that are unique but neither consecutive nor strictly in order.
"""

from collections import Counter, deque
from collections.abc import Collection, Iterable
from math import nan

import msgspec

from producers.base.collector import Collector
from producers.base.decoder import DecoderRequest
from producers.base.ladder import Levels, padded, row_violation
from producers.venues.coin import LATE, REGULAR, Coin, number, settled_time
from producers.venues.upbit.messages import (
    FRAMES,
    NOTICES,
    PAST_TRADES,
    Orderbook,
    PastTrade,
    Ticker,
    Trade,
    Unit,
)
from tapewatch.contract.checks import MAX_SKEW_NS
from tapewatch.contract.rows import BOOK_LEVELS

REMEMBERED = 1_024


class UniqueIds:
    """Remembers the newest ids, so that a repeated one is known.

    newest : highest id seen, -1 before the first; floor : ids up to it count as known, whether remembered or not
    """

    __slots__ = ("_known", "_order", "floor", "newest")

    def __init__(self) -> None:
        self.newest = -1
        self.floor = -1
        self._order: deque[int] = deque()
        self._known: set[int] = set()

    def take(self, number: int) -> bool:
        """Take an id; False where it was seen before."""
        if number <= self.floor or number in self._known:
            return False
        self._known.add(number)
        self._order.append(number)
        if len(self._order) > REMEMBERED:
            self._known.discard(self._order.popleft())
        self.newest = max(self.newest, number)
        return True


MILLI = 1_000_000
TICKS_A_PAGE = 500
"""Trades that one request for past trades gives at most."""
PAGES = 10
TYPES = ("orderbook", "trade", "ticker")
SIDES = {"ASK": -1, "BID": 1}


class Market(Coin):
    """A coin with what Upbit's frames need beside: ids of trades, time of the newest book and ticker."""

    def __init__(self, collector: Collector, symbol: str) -> None:
        super().__init__(collector, symbol, f"{symbol}.UPBIT", volume=nan)
        self.ids = UniqueIds()
        self.book_ms = 0
        self.book_frame = 0
        self.ticker_ms = 0
        self.asked_upto = -1
        """UTC nanoseconds until which missing trades have been asked for, -1 where they have not."""
        self.pages = 0


class UpbitDecoder:
    """Frames of the quotation websocket and pages of past trades.

    Every item counts in `collector.messages` and ends in `given`, `collector.dropped` or `collector.refused`.
    """

    def __init__(self, collector: Collector, symbols: Iterable[str] = ()) -> None:
        self.collector = collector
        self.wants: deque[DecoderRequest] = deque()
        self.given: Counter[str] = Counter()
        self._markets: dict[str, Market] = {}
        self.follow(symbols)

    def follow(self, symbols: Iterable[str]) -> None:
        """Take frames of these markets, such as KRW-BTC, and of no others; what is known of those kept stays."""
        known = self._markets
        self._markets = {symbol: known.get(symbol) or Market(self.collector, symbol) for symbol in symbols}

    def message(self, data: bytes | str, received: int) -> None:
        """Take a frame, binary or text."""
        try:
            frame = FRAMES.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self._notice(data, received)
            return
        kind = type(frame).__name__.lower()
        self.collector.messages[kind] += 1
        market = self._markets.get(frame.code)
        if market is None:
            self.collector.refuse("other_symbol", kind, data, received)
            return
        try:
            if isinstance(frame, Orderbook):
                self._orderbook(market, frame, data, received)
            elif isinstance(frame, Trade):
                self._trade(market, frame, data, received)
            else:
                self._ticker(market, frame, data, received)
        except ValueError:
            self.collector.refuse("malformed_record", kind, data, received)

    def answer(self, want: DecoderRequest, data: bytes, received: int) -> None:
        """Take a page of past trades, newest first; an empty body says that none could be had."""
        market = self._markets.get(want.symbol)
        if market is None:
            return
        trades = self._past_trades(data, received)
        for trade in reversed(trades):
            self._past_trade(market, trade, received)
        if market.asked_upto < 0 or want.upto not in (market.asked_upto, -1):
            return  # the connection broke again meanwhile, and its trades are asked for anew
        market.pages += 1
        oldest = trades[-1].sequential_id if trades else -1
        if len(trades) == TICKS_A_PAGE and oldest > market.ids.floor and market.pages < PAGES:
            self.wants.append(DecoderRequest("trades", want.symbol, oldest, want.upto))
            return
        market.uncertain |= not trades or oldest > market.ids.floor
        market.trades_due = False
        market.ids.floor = -1
        market.settle(received)

    def lost(self, symbols: Collection[str], reason: str, received: int) -> None:
        """A connection broke: the next frames bring the books again, the trades between are asked for."""
        for symbol in sorted(symbols):
            market = self._markets.get(symbol)
            if market is None:
                continue
            trades = market.ids.newest >= 0
            if trades and not market.trades_due:
                market.ids.floor = market.ids.newest
            market.asked_upto = -1
            market.gap(reason, received, book=True, trades=trades)
            # A frame of the new connection may repeat the last one of the old: it is news that the book still stands.
            market.book_ms = market.book_frame = 0

    def out_of_step(self) -> set[str]:
        """Markets whose book has to come anew."""
        return {symbol for symbol, market in self._markets.items() if market.book_due}

    def _orderbook(self, market: Market, frame: Orderbook, data: bytes | str, received: int) -> None:
        fingerprint = hash(data)
        if frame.timestamp < market.book_ms:
            self.collector.dropped["stale_book"] += 1
            return
        if frame.timestamp == market.book_ms and fingerprint == market.book_frame:
            self.collector.dropped["repeated"] += 1
            return
        row, exact = _row(frame.orderbook_units)
        held = (sum(price == price for price in row[0]), sum(price == price for price in row[2]))
        reason = row_violation(row, *held) if exact else "not_exact_float"
        if reason:
            self.collector.violations[reason] += 1
            self.collector.refuse(reason, "orderbook", data, received)
            market.gap(f"book {reason}", received, book=True, trades=False)
            return
        market.book_ms, market.book_frame = frame.timestamp, fingerprint
        event = frame.timestamp * MILLI
        if frame.stream_type == "SNAPSHOT" or market.book_due:
            event = settled_time(event, received)
        if market.show_book(frame.timestamp, event, received, row):
            self.given["orderbook"] += 1
        else:
            self.collector.dropped["unchanged_book"] += 1
        if market.missing:
            self._book_again(market, received)

    def _book_again(self, market: Market, received: int) -> None:
        """The book is there again: ask for the trades between, or say that all is well."""
        if market.trades_due and market.asked_upto < 0:
            market.asked_upto, market.pages = received, 0
            self.wants.append(DecoderRequest("trades", market.symbol, upto=received))
        market.settle(received)

    def _trade(self, market: Market, frame: Trade, data: bytes | str, received: int) -> None:
        event = frame.trade_timestamp * MILLI
        if frame.stream_type == "SNAPSHOT":
            self._last_trade(market, frame, received)
            return
        if not market.ids.take(frame.sequential_id):
            self.collector.dropped["repeated"] += 1
            return
        # Ids do not tell the order of trades: one that is not the highest is as regular as the others.
        self._show(market, frame, event, received, REGULAR, data)

    def _last_trade(self, market: Market, frame: Trade, received: int) -> None:
        """The last trade before the subscription: known, or one of a hole that is asked for, or before the start."""
        if market.ids.newest < 0:
            market.ids.take(frame.sequential_id)
            price = number(frame.trade_price)
            market.last_price = price if price > 0.0 else nan
        self.collector.dropped["snapshot_trade"] += 1

    def _past_trades(self, data: bytes, received: int) -> list[PastTrade]:
        """The trades of a page; none where there is no page, or one that cannot be read."""
        try:
            return PAST_TRADES.decode(data) if data else []
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self.collector.messages["past_trades"] += 1
            self.collector.refuse("malformed_record", "trades", data, received)
            return []

    def _past_trade(self, market: Market, trade: PastTrade, received: int) -> None:
        self.collector.messages["past_trade"] += 1
        event = trade.timestamp * MILLI
        try:
            self._take_past(market, trade, event, received)
        except ValueError:
            self.collector.refuse("malformed_record", "trades", b"", received)

    def _take_past(self, market: Market, trade: PastTrade, event: int, received: int) -> None:
        if not market.ids.take(trade.sequential_id):
            self.collector.dropped["repeated"] += 1
        elif received - event > MAX_SKEW_NS:
            self.collector.dropped["too_old"] += 1
            market.given_up += 1
        else:
            self._show(market, trade, event, received, LATE, b"")

    def _show(
        self, market: Market, trade: Trade | PastTrade, event: int, received: int, condition: int, data: bytes | str
    ) -> None:
        price, qty = number(trade.trade_price), number(trade.trade_volume)
        side = SIDES.get(trade.ask_bid)
        if price != price or qty != qty:
            self.collector.refuse("not_exact_float", "trade", data, received)
        elif side is None or not price > 0.0 or not qty > 0.0:
            self.collector.refuse("malformed_record", "trade", data, received)
        else:
            market.show_trade(event, received, price, qty, side, str(trade.sequential_id), condition)
            self.given["trade"] += 1

    def _ticker(self, market: Market, frame: Ticker, data: bytes | str, received: int) -> None:
        if frame.timestamp < market.ticker_ms:
            self.collector.dropped["stale_ticker"] += 1
            return
        price, volume = number(frame.trade_price), number(frame.acc_trade_volume)
        if price != price or volume != volume:
            self.collector.refuse("not_exact_float", "ticker", data, received)
            return
        if not price > 0.0 or volume < 0.0:
            self.collector.refuse("malformed_record", "ticker", data, received)
            return
        market.ticker_ms = frame.timestamp
        market.last_price, market.volume = price, volume
        market.trading(frame.market_state, halted=frame.market_state != "ACTIVE", received=received)
        if market.show_quote(settled_time(frame.timestamp * MILLI, received), received):
            self.given["ticker"] += 1
        else:
            self.collector.dropped["no_book_yet"] += 1

    def _notice(self, data: bytes | str, received: int) -> None:
        """A frame that is none of the three: an answer to a ping, an error, or one that does not fit its type."""
        self.collector.messages["notice"] += 1
        try:
            notice = NOTICES.decode(data)
        except msgspec.ValidationError:
            self.collector.refuse("malformed_record", "frame", data, received)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self.collector.refuse("malformed_json", "frame", data, received)
        else:
            if notice.status:
                self.collector.dropped["control"] += 1
            elif notice.error is not None:
                self.collector.refuse("venue_error", "error", data, received)
            else:
                reason = "malformed_record" if notice.type in TYPES else "unsupported_record"
                self.collector.refuse(reason, "frame", data, received)


def _row(units: list[Unit]) -> tuple[Levels, bool]:
    """Ten levels a side, best first, without the empty ones of a thin book; and whether every number is exact."""
    units = units[:BOOK_LEVELS]
    sides = (
        [(unit.bid_price, unit.bid_size) for unit in units if unit.bid_price or unit.bid_size],
        [(unit.ask_price, unit.ask_size) for unit in units if unit.ask_price or unit.ask_size],
    )
    total = 0.0
    for levels in sides:
        for price, size in levels:
            total += (
                number(price) + number(size) if type(price) is not float or type(size) is not float else price + size
            )
    return (*padded(sides[0]), *padded(sides[1])), total - total == 0.0
