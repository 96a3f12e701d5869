"""One coin while its feed is followed: touch, last price and traded volume, the rows they make, and what was missed.

A coin whose venue counts trades one by one: holes are seen, asked for, filled with late trades, or given up.
"""

from collections import deque
from functools import lru_cache
from math import nan

from producers.base.collector import Collector
from producers.base.decoder import DecoderRequest
from producers.base.ladder import Levels
from producers.base.sequence_gaps import Ids
from producers.columns import LARGEST, SHORT_TEXT, SMALLEST, decimal_float
from tapewatch.clock import NANOS
from tapewatch.contract.checks import MAX_SKEW_NS
from tapewatch.contract.rows import Condition, StatusKind
from tapewatch.rfc3339 import from_rfc3339

QUANTITY_DECIMALS = 10
"""Running volumes are rounded to them, so that they do not drift."""
REGULAR, LATE = int(Condition.REGULAR), int(Condition.LATE)


@lru_cache(maxsize=65_536)
def exact_or_nan(text: str) -> float:
    """The float64 of a JSON number's text, NaN where the text does not survive the round trip."""
    # Whole books say most of their numbers again in every frame: looked up, one costs a fifth.
    try:
        if len(text) <= SHORT_TEXT and SMALLEST < (value := float(text)) < LARGEST:
            return value
        return decimal_float(text)
    except ValueError:
        return nan


def number(value: object) -> float:
    """A decoded JSON number as float64; ValueError for what is no number, NaN for an integer that does not fit."""
    if type(value) is float:
        return value
    if type(value) is not int:
        raise ValueError(f"{value!r} is not a number")
    if abs(value) < LARGEST and int(float(value)) == value:
        return float(value)
    return nan


@lru_cache(maxsize=64)
def _second(text: str) -> int:
    return from_rfc3339(text + "Z")


def utc_ns(text: str) -> int:
    """UTC nanoseconds of an RFC 3339 time in UTC (Z); ValueError for anything else."""
    fraction = text[20:-1]
    if text[19:20] != "." or text[-1:] != "Z" or not fraction.isdecimal():
        return from_rfc3339(text)
    return _second(text[:19]) + int(fraction.ljust(9, "0")[:9])


def settled_time(event: int, received: int) -> int:
    """The venue's time of a state that still holds: the receipt time where nothing has changed for many minutes."""
    return event if abs(received - event) <= MAX_SKEW_NS else received


Touch = tuple[float, float, float, float]
"""Best bid price and quantity, best ask price and quantity."""


class Coin:
    """State and rows of one instrument.

    book_due : whether a book has to come before the feed is in step; trades_due : whether trades are looked for
    last_price, volume : of the newest trade; traded since the venue's or this feed's start
    fetched, given_up, uncertain : trades fetched again since the gap, trades known to be lost, whether more may be
    """

    def __init__(self, collector: Collector, symbol: str, instrument: str, volume: float = 0.0) -> None:
        self.symbol = symbol
        self.code = collector.code(instrument)
        self.last_price = nan
        self.volume = volume
        self.book_due = True
        self.trades_due = False
        self.halted = False
        self.fetched = 0
        self.given_up = 0
        self.uncertain = False
        self._collector = collector
        self._missed_since = 0
        self._reason = ""
        self._touch: Touch = (nan, nan, nan, nan)
        self._shown: Levels | None = None

    @property
    def missing(self) -> bool:
        """Whether something was missed and has not been made good or given up."""
        return self._missed_since > 0

    def show_book(self, sequence: int, event: int, received: int, row: Levels) -> bool:
        """A book row where its levels changed, and a quote row where the touch did. row : as of `Book.row`"""
        self.book_due = False
        # Absent levels are one and the same NaN, so that rows compare equal.
        if row == self._shown:
            return False
        self._shown = row
        self._collector.books.append((self.code, event, received, sequence, *row))
        touch = (row[0][0], row[1][0], row[2][0], row[3][0])
        if touch != self._touch:
            self._touch = touch
            self.show_quote(event, received)
        return True

    def show_quote(self, event: int, received: int) -> bool:
        """A quote row of the newest book's touch; none while there is no book."""
        bid, _, ask, _ = self._touch
        if self.book_due or (bid != bid and ask != ask):
            return False
        self._collector.quotes.append((self.code, event, received, *self._touch, self.last_price, self.volume))
        return True

    def show_ticker(self, event: int, received: int, touch: Touch, last_price: float) -> None:
        """A quote row of the newest book's touch, or of the ticker's own while there is no book."""
        if last_price == last_price and self.last_price != self.last_price:
            self.last_price = last_price
        if not self.book_due:
            touch = self._touch
        self._collector.quotes.append((self.code, event, received, *touch, self.last_price, self.volume))

    def show_trade(
        self, event: int, received: int, price: float, qty: float, side: int, trade_id: str, condition: int
    ) -> None:
        """A trade row; a late trade leaves the last price alone."""
        self._collector.trades.append((self.code, event, received, price, qty, side, condition, trade_id))
        if condition != LATE:
            self.last_price = price
        else:
            self.fetched += 1

    def add_volume(self, qty: float) -> None:
        """Count a trade into the running volume."""
        self.volume = round(self.volume + qty, QUANTITY_DECIMALS)

    def gap(self, reason: str, received: int, *, book: bool, trades: bool) -> None:
        """Something was or may have been missed; one row for all that is missed until the feed is in step again."""
        self.book_due |= book
        self.trades_due |= trades
        if book:
            self._shown = None
            self._touch = (nan, nan, nan, nan)
        if self._missed_since:
            return
        self._missed_since, self._reason = received, reason
        self.fetched = self.given_up = 0
        self.uncertain = False
        self._collector.status(self.code, StatusKind.GAP, reason, received)

    def settle(self, received: int) -> None:
        """A resync row, if something was missed and neither book nor trades are waited for any more."""
        if not self._missed_since or self.book_due or self.trades_due:
            return
        seconds = (received - self._missed_since) / NANOS
        detail = f"{self._reason}; not watched for {seconds:.3f} s, trades fetched again {self.fetched}"
        lost = "unknown" if self.uncertain else str(self.given_up)
        self._missed_since = 0
        self._collector.status(self.code, StatusKind.RESYNC, f"{detail}, lost {lost}", received)

    def trading(self, state: str, *, halted: bool, received: int) -> None:
        """A halt or resume row where the venue's word on the instrument changed."""
        if halted != self.halted:
            self.halted = halted
            self._collector.status(self.code, StatusKind.HALT if halted else StatusKind.RESUME, state, received)


REPEATED = -1
"""In place of a condition: the trade was seen before."""


class CountedCoin(Coin):
    """A coin with the ids of its trades.

    ids : taken and missing ones; asked_upto : newest id by which missing trades have been asked for, -1 where none are
    trade_ns, before_hole_ns : venue time of the newest trade, and of the last one before the holes
    """

    def __init__(self, collector: Collector, symbol: str, instrument: str) -> None:
        super().__init__(collector, symbol, instrument)
        self.ids = Ids()
        self.asked_upto = -1
        self.trade_ns = 0
        self.before_hole_ns = 0

    def begin(self, trade_id: int, price: float) -> None:
        """Start the count at the newest trade of a first snapshot: what lies before it is not asked for."""
        if self.ids.last < 0:
            self.ids.take(trade_id)
            self.last_price = price

    def live(self, trade_id: int, received: int) -> int:
        """Condition of a trade that just happened, or REPEATED; opens a gap where ids before it are missing."""
        newest = self.ids.last
        if not self._take(trade_id):
            return REPEATED
        if self.ids.missing and not self.missing:
            self.gap(f"trades {newest + 1} to {trade_id - 1} missing", received, book=False, trades=True)
        return LATE if trade_id < newest else REGULAR

    def past(self, trade_id: int, received: int) -> int:
        """Condition of a trade of a later snapshot, or REPEATED: what was missed is late, the rest is known."""
        if not self.trades_due:
            return self.live(trade_id, received)
        return LATE if self._take(trade_id) else REPEATED

    def show(
        self, event: int, received: int, price: float, qty: float, side: int, trade_id: int, condition: int
    ) -> str:
        """A trade row; a reason where it comes too late for the log, and counts as lost."""
        if condition == LATE and received - event > MAX_SKEW_NS:
            self.given_up += 1
            return "too_old"
        self.trade_ns = max(event, self.trade_ns)
        self.add_volume(qty)
        self.show_trade(event, received, price, qty, side, str(trade_id), condition)
        return ""

    def lose(self, reason: str, received: int) -> None:
        """The connection broke, or messages of it are missing: book and trades have to come again."""
        self.asked_upto = -1
        self.gap(reason, received, book=True, trades=self.ids.last >= 0)

    def after_trades(self, wants: deque[DecoderRequest], received: int) -> None:
        """Ask for the trades that are missing, or say that none is."""
        if not self.missing:
            return
        if not self.ids.missing:
            self._whole(received)
        elif self.ids.missing[-1][1] > self.asked_upto:
            self.asked_upto = self.ids.missing[-1][1]
            wants.append(DecoderRequest("trades", self.symbol, self.before_hole_ns, self.asked_upto))

    def conclude(self, want: DecoderRequest, received: int) -> None:
        """No more trades will be found by this question: what it asked for and is still missing is lost."""
        if self.asked_upto < 0:
            return  # the connection broke again since they were asked for, and they will be asked for anew
        self.given_up += self.ids.give_up(want.upto if want.upto >= 0 else self.ids.last)
        if not self.ids.missing:
            self._whole(received)

    def _whole(self, received: int) -> None:
        """No trade is missing any more."""
        self.trades_due, self.asked_upto = False, -1
        self.settle(received)

    def _take(self, trade_id: int) -> bool:
        whole = not self.ids.missing
        taken = self.ids.take(trade_id)
        if whole and self.ids.missing:
            self.before_hole_ns = self.trade_ns
        return taken
