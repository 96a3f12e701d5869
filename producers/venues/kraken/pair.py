"""One Kraken pair: its book down to the depth subscribed to, the checksum of it, and its trades by id.

Kraken's book checksum: CRC-32 of the ten best asks and bids, written as digits.

Source: Kraken, "Book checksum (WebSocket v2)": prices and quantities at the instrument's precision, without decimal
point and leading zeros; asks from the lowest price up, then bids from the highest down.
"""

from collections import deque
from decimal import Decimal
from zlib import crc32

from producers.base.collector import Collector
from producers.base.ladder import Book, Ladder, Level, Levels
from producers.venues.coin import CountedCoin, number
from producers.venues.kraken import messages

EXACT = 2.0**52


def checksum(row: Levels, price_decimals: int, qty_decimals: int) -> int:
    """The checksum of a book's ten levels a side; absent ones are NaN."""
    price_scale, qty_scale = 10.0**price_decimals, 10.0**qty_decimals
    texts: list[str] = []
    for prices, quantities in (row[2:], row[:2]):
        for price, qty in zip(prices, quantities, strict=True):
            if price != price:
                break
            units = price * price_scale
            texts.append(str(round(units)) if units < EXACT else _digits(price, price_decimals))
            units = qty * qty_scale
            texts.append(str(round(units)) if units < EXACT else _digits(qty, qty_decimals))
    return crc32("".join(texts).encode())


def _digits(value: float, decimals: int) -> str:
    """The digits of a number that is too large for a product of floats to be exact."""
    return str(int((Decimal(repr(value)) * 10**decimals).to_integral_value()))


REMEMBERED = 256
"""Book updates remembered, so that one that a second connection repeats is known."""
TRADES = frozenset({"online", "limit_only"})
"""States in which orders of a pair meet; in post_only nobody may take."""
GONE = frozenset({"delisted", "work_in_progress"})
"""States of pairs that trade no more, or not yet."""
UNKNOWN = -1


class Pair(CountedCoin):
    """A counted coin with its ladder and decimals.

    price_decimals, qty_decimals : precision at which the checksum writes numbers, UNKNOWN until it is told
    state : the venue's word on trading; row : the newest sound book's ten levels
    """

    def __init__(self, collector: Collector, symbol: str, depth: int) -> None:
        super().__init__(collector, symbol, instrument_id(symbol))
        self.price_decimals = self.qty_decimals = UNKNOWN
        self.state = "online"
        self.snapshot_ns = self.newest_ns = 0
        self.sequence = 0
        self._book = Book()
        self.row = self._book.row()
        self._inexact = False
        self._depth = depth
        self._recent: deque[tuple[int, int]] = deque(maxlen=REMEMBERED)
        self._known: set[tuple[int, int]] = set()

    def learn(self, texts: messages.Book) -> None:
        """Take the precision from a snapshot's texts: Kraken writes numbers in full."""
        levels = texts.bids + texts.asks
        self.price_decimals = max((_decimals(level.price) for level in levels), default=0)
        self.qty_decimals = max((_decimals(level.qty) for level in levels), default=0)

    def repeated(self, event: int, fingerprint: int) -> bool:
        """Whether this very update has been taken; remembers it."""
        key = (event, fingerprint)
        if key in self._known:
            return True
        if len(self._recent) == REMEMBERED:
            self._known.discard(self._recent[0])
        self._recent.append(key)
        self._known.add(key)
        return False

    def snapshot(self, book: messages.Book) -> None:
        """Start the book anew. ValueError where a level holds no number"""
        self._inexact = False
        self._book.clear()
        self._recent.clear()
        self._known.clear()
        self.update(book)

    def update(self, book: messages.Book) -> None:
        """Set, add and remove levels, then cut the book to its depth. ValueError where a level holds no number"""
        bids, asks = _levels(book.bids), _levels(book.asks)
        self._inexact |= any(price != price or qty != qty for price, qty in bids + asks)
        self._book.bids.update(bids)
        self._book.asks.update(asks)
        _cut(self._book.bids, slice(None, -self._depth))
        _cut(self._book.asks, slice(self._depth, None))

    def fault(self, expected: int) -> str:
        """What is wrong with the book, empty where its checksum is the venue's; fills `row`."""
        if self._inexact:
            return "not_exact_float"
        self.row = self._book.row()
        violation = self._book.violation(self.row)
        if violation:
            return violation
        found = checksum(self.row, self.price_decimals, self.qty_decimals)
        return "" if found == expected else "checksum"


def instrument_id(symbol: str) -> str:
    """The id of a pair: BTC/USD is BTC-USD.KRAKEN."""
    return f"{symbol.replace('/', '-').upper()}.KRAKEN"


def _levels(levels: list[messages.Level]) -> list[Level]:
    return [(number(level.price), number(level.qty)) for level in levels]


def _cut(ladder: Ladder, beyond: slice) -> None:
    """Remove the levels that lie beyond the depth: the venue tells no more of them."""
    worst = ladder.prices[beyond]
    if worst:
        for price in worst:
            del ladder.quantity[price]
        del ladder.prices[beyond]


def _decimals(text: object) -> int:
    """Digits behind the decimal point of a number's text."""
    digits, _, exponent = str(text).lower().partition("e")
    fraction = len(digits.partition(".")[2])
    return max(0, fraction - int(exponent)) if exponent.lstrip("+-").isdecimal() else fraction
