"""A coin whose venue counts trades one by one: holes are seen, asked for, filled with late trades, or given up."""

from collections import deque

from producers.base.collector import Collector
from producers.base.decoder import DecoderRequest
from producers.base.sequence_gaps import Ids
from producers.venues.coin import LATE, REGULAR, Coin
from tapewatch.contract.checks import MAX_SKEW_NS

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
