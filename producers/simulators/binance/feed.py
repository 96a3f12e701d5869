"""One symbol's events as Binance writes them."""

from producers.simulators.binance.dialect import Dialect
from producers.simulators.binance.streams import Stream
from producers.simulators.market import MarketBook

FLICKER_LOTS = 5_000
LAYERS = 4
_TRUTH = {True: b"true", False: b"false"}


class DecimalTexts(dict[int, bytes]):
    """Texts of whole numbers of ticks or lots, kept once they were written. written : decimals at least"""

    KEPT = 500_000

    def __init__(self, decimals: int, written: int) -> None:
        super().__init__()
        zeros = b"0" * (written - decimals)
        self._scale = 10**decimals
        self._template = b"%%d.%%0%dd%b" % (decimals, zeros) if decimals else b""

    def __missing__(self, value: int) -> bytes:
        if len(self) >= self.KEPT:
            self.clear()
        text = self._template % divmod(value, self._scale) if self._template else b"%d" % value
        self[value] = text
        return text


class SymbolFeed:
    """Its book, the streams it is asked for, and the changes that no depth message has told yet.

    sent_id : last update that a depth message told; old : ids and levels of the book at the start
    """

    __slots__ = (
        "asks",
        "bids",
        "book",
        "depths",
        "dialect",
        "old",
        "prices",
        "quantities",
        "sent_id",
        "tickers",
        "trades",
    )

    def __init__(self, book: MarketBook, dialect: Dialect, prices: DecimalTexts, quantities: DecimalTexts) -> None:
        self.book, self.dialect, self.prices, self.quantities = book, dialect, prices, quantities
        self.trades: list[Stream] = []
        self.tickers: list[Stream] = []
        self.depths: list[Stream] = []
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}
        self.sent_id = book.last_id
        self.old = (book.last_id, *book.levels())

    def add(self, name: str) -> Stream:
        """A new stream. name : such as btcusdt@trade"""
        kind = name.partition("@")[2]
        symbol = self.book.symbol
        terms = {b"s": symbol.encode(), b"p": self.dialect.pair(symbol).encode()}
        if kind == "bookTicker":
            kept, message = self.tickers, self.dialect.ticker
        elif kind.startswith("depth"):
            kept, message = self.depths, self.dialect.depth
        else:
            kept, message = self.trades, self.dialect.trade if kind == "trade" else self.dialect.aggregate
        kept.append(stream := Stream(name, message % terms))
        return stream

    def trade(self, ms: int) -> int:
        """A trade; messages made. An aggregate trade is one trade, and has its id."""
        number, ticks, lots, seller = self.book.trade(ms)
        price, quantity, maker = self.prices[ticks], self.quantities[lots], _TRUTH[seller]
        futures = self.dialect.futures
        for stream in self.trades:
            values: tuple[bytes | int, ...]
            if stream.name.endswith("@aggTrade"):
                values = (ms, number, price, quantity, number, number, ms, maker)
            elif futures:
                values = (ms, ms, number, price, quantity, maker)
            else:
                values = (ms, number, price, quantity, ms, maker)
            stream.out(stream.template % values, number)
        return len(self.trades)

    def ticker(self, ms: int) -> int:
        """A change of the book and the best quotes after it; messages made."""
        self.book.move(self.bids, self.asks)
        return self._best(ms)

    def flicker(self, ms: int) -> int:
        """Quote stuffing: a large bid at the touch, and its withdrawal at once; messages made."""
        book = self.book
        usual = book.bids[book.best_bid]
        made = 0
        for quantity in (usual + FLICKER_LOTS, usual):
            book.bids[book.best_bid] = self.bids[book.best_bid] = quantity
            book.last_id += 1
            made += self._best(ms)
        return made

    def layer(self, ms: int) -> int:
        """Large orders behind the touch, and their withdrawal with the next message of the book; messages made."""
        book = self.book
        levels = [book.best_bid - step for step in range(1, LAYERS + 1)]
        usual = [book.bids[price] for price in levels]
        made = 0
        for more in (FLICKER_LOTS, 0):
            for price, lots in zip(levels, usual, strict=True):
                book.bids[price] = self.bids[price] = lots + more
            book.last_id += LAYERS
            made += self.tell(ms)
        return made

    def _best(self, ms: int) -> int:
        """The best quotes as they are; messages made."""
        book = self.book
        best = (
            book.last_id,
            self.prices[book.best_bid],
            self.quantities[book.bids[book.best_bid]],
            self.prices[book.best_ask],
            self.quantities[book.asks[book.best_ask]],
        )
        for stream in self.tickers:
            stream.out(stream.template % ((*best, ms, ms) if self.dialect.futures else best), book.last_id)
        return len(self.tickers)

    def depth(self, ms: int) -> int:
        """A change of the book, told with all those before it that were not; messages made."""
        self.book.move(self.bids, self.asks)
        return self.tell(ms)

    def tell(self, ms: int) -> int:
        """The changes that were not told; messages made."""
        first, last, prices, quantities = self.sent_id + 1, self.book.last_id, self.prices, self.quantities
        if last < first:
            return 0
        bids = b",".join([b'["%b","%b"]' % (prices[price], quantities[lots]) for price, lots in self.bids.items()])
        asks = b",".join([b'["%b","%b"]' % (prices[price], quantities[lots]) for price, lots in self.asks.items()])
        values = (
            (ms, ms, first, last, self.sent_id, bids, asks) if self.dialect.futures else (ms, first, last, bids, asks)
        )
        for stream in self.depths:
            stream.out(stream.template % values, last)
        self.sent_id = last
        self.bids.clear()
        self.asks.clear()
        return len(self.depths)
