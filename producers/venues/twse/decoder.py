"""Taiwan's feed from two upstreams: answers of MIS and of Yahoo become quotes, books and status rows.

No regular trade rows: an upstream tells what was traded since its last answer, in one sum and without an aggressor.
The engine takes the growth of the quotes' volume as trading where a feed has no trades. Only where Yahoo shows no
touch, and so makes no quote, the growth is kept as a late trade, which moves no price or volume in the engine.
"""

from collections import Counter, deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from math import isnan, nan

from producers.base.collector import Collector
from producers.base.decoder import DecoderRequest
from producers.base.ladder import Level, padded
from producers.venues.twse.arbiter import MIS, YAHOO, Arbiter, Rules, Switch
from producers.venues.twse.instruments import mis_channel
from producers.venues.twse.mis import GOOD, UNKNOWN, read_answer, read_row, snapshot
from producers.venues.twse.reports import taipei_day, taipei_seconds
from producers.venues.twse.tables import Snapshot, UnreadableError
from producers.venues.twse.yahoo import read_quotes
from tapewatch.clock import NANOS
from tapewatch.contract.rows import Condition, StatusKind

OLDEST_S = 590
"""Rows whose time lies further back are refused by readers of the feed (they allow 600 s)."""
OPENING_S, CLOSING_S = 9 * 3600, 13 * 3600 + 33 * 60
"""Seconds of Taipei's day between which a book stands; a delayed close is matched at 13:33."""
CLOSE_S = 13 * 3600 + 30 * 60
"""From here on no phase begins: the close has been told, and a later phase would begin another session."""


@dataclass(slots=True)
class _Market:
    """What the feed last gave of one instrument, and from whom."""

    code: int
    event: int = 0
    volume: float = 0.0
    last: float = nan
    shown: tuple[object, ...] = ()
    upstream: str = ""
    trial: str = ""
    halted: str = ""
    broken: bool = False


@dataclass
class TaiwanDecoder:
    """Rows of the instruments that are watched.

    Each row of either upstream is one message, counted in `collector.messages`, and ends in exactly one of `given`
    (quote, quote and book, or late trade), `collector.dropped` or `collector.refused`. An answer that is no good
    counts as one.
    held : rows whose volume was smaller than what the feed had given already, which it then keeps
    """

    collector: Collector
    rules: Rules = field(default_factory=Rules)

    def __post_init__(self) -> None:
        self.wants: deque[DecoderRequest] = deque()
        self.arbiter = Arbiter(self.rules)
        self.given: Counter[str] = Counter()
        self.held = 0
        self._markets: dict[str, _Market] = {}
        self._unknown: set[str] = set()

    def watch(self, instruments: Iterable[str]) -> None:
        """Follow these instruments and no others from now on."""
        known = self._markets
        self._markets = {name: known.get(name) or _Market(self.collector.code(name)) for name in instruments}

    def opened(self, batches: Collection[str], received: int) -> None:
        """MIS is asked by these batches (its channels, joined by |) from now on; none: a session begins."""
        if batches:
            self.arbiter.begin(batches, received)
        else:
            self._say(self.arbiter.reopen(received), received)

    def message(self, data: bytes | str, received: int) -> None:
        """Neither upstream pushes."""
        self.collector.messages["pushed"] += 1
        self.collector.refuse("not_asked", "pushed", data, received)

    def lost(self, symbols: Collection[str], reason: str, received: int) -> None:
        """Questions that got no answer. symbols : batches; reason : `mis: timeout`, or one that begins with yahoo"""
        upstream, _, why = reason.partition(": ")
        for batch in symbols if upstream == MIS else ():
            self.arbiter.mis_failed(batch, why)
        self.tick(received)

    def answer(self, want: DecoderRequest, data: bytes, received: int) -> None:
        """Take an answer. want : kind mis (symbol: the batch) or yahoo"""
        if want.kind == MIS:
            self._mis(want, data, received)
        else:
            self._yahoo(want, data, received)
        self.tick(received)

    def tick(self, received: int) -> None:
        """Let time pass: the switches that are due become status rows of the whole feed."""
        self._say(self.arbiter.decide(received), received)

    def _say(self, switches: list[Switch], received: int) -> None:
        for switch in switches:
            self.collector.status(0, switch.kind, switch.detail, received)

    def _mis(self, want: DecoderRequest, data: bytes, received: int) -> None:
        try:
            answer = read_answer(data)
            if answer.code != GOOD or not answer.rows:
                raise UnreadableError(
                    f"rtcode_{answer.code or 'none'}" if answer.code != GOOD else "no_rows", answer.text
                )
        except UnreadableError as error:
            self._refuse(MIS, error.reason, data, received)
            self.arbiter.mis_failed(want.symbol, error.reason)
            return
        snapshots: list[Snapshot] = []
        unknown: list[bytes] = []
        for raw in answer.rows:
            try:
                snapshots.append(snapshot(read_row(raw), received))
            except UnreadableError as error:
                if error.reason == UNKNOWN:
                    unknown.append(raw)
                else:
                    self._refuse(MIS, error.reason, raw, received)
        self._not_known(want.symbol, unknown, snapshots, received)
        if not snapshots:
            self.arbiter.mis_failed(want.symbol, "no_rows")
            return
        self.arbiter.mis_answered(want.symbol, max(found.event for found in snapshots), received)
        self._take(MIS, snapshots, received)

    def _yahoo(self, want: DecoderRequest, data: bytes, received: int) -> None:
        try:
            found = read_quotes(data)
        except UnreadableError as error:
            self._refuse(YAHOO, error.reason, data, received)
            return
        snapshots: list[Snapshot] = []
        for raw, quote in found:
            if isinstance(quote, UnreadableError):
                self._refuse(YAHOO, quote.reason, raw, received)
            else:
                snapshots.append(quote)
        if snapshots:
            self.arbiter.yahoo_answered(max(quote.event for quote in snapshots), received)
            self._take(YAHOO, snapshots, received)

    def _take(self, upstream: str, snapshots: list[Snapshot], received: int) -> None:
        """Give the rows of one answer, or say why not; switches come before the rows they let in."""
        self.tick(received)
        for found in snapshots:
            self.collector.messages[upstream] += 1
            reason = self._why_not(upstream, found, received)
            if reason:
                self.collector.dropped[reason] += 1
            else:
                self._give(upstream, found, received)

    def _why_not(self, upstream: str, found: Snapshot, received: int) -> str:
        """Why a snapshot gives no row; empty where it does."""
        market = self._markets.get(found.instrument)
        if market is None:
            return "not_watched"
        if self.arbiter.in_charge != upstream:
            return "not_in_charge"
        self._halts(market, found, received)
        if _older(market, upstream, found):
            return "older"
        if _shown(found) == market.shown and market.upstream == upstream:
            return "unchanged"
        if not found.bids and not found.asks and (found.deep or not found.volume > market.volume):
            return "no_touch"
        if received - found.event > OLDEST_S * NANOS and (upstream == YAHOO or not _still_stands(found, received)):
            return "delayed" if upstream == YAHOO else "after_close"
        return ""

    def _give(self, upstream: str, found: Snapshot, received: int) -> None:
        """A quote row, a book row where there is depth, and a status row where trial matching begins or ends."""
        market = self._markets[found.instrument]
        if violation := _violation(found):
            self._broken(market, violation, found, received)
            return
        if taipei_day(market.event) != taipei_day(found.event):
            market.volume, market.last = 0.0, nan
        grown = found.volume - market.volume
        self.held += grown < 0.0
        market.volume = max(market.volume, found.volume)
        # The price of a trial match is none that was paid.
        if not isnan(found.last) and not found.trial:
            market.last = found.last
        market.event, market.shown, market.upstream = found.event, _shown(found), upstream
        event = found.event if received - found.event <= OLDEST_S * NANOS else received
        self._phase(market, found, event, received)
        if market.broken:
            market.broken = False
            self.collector.status(market.code, StatusKind.RESYNC, "book sound again", received, event)
        place = (market.code, event, received)
        if not found.bids and not found.asks:
            self.collector.trades.append((*place, found.last, grown, 0, int(Condition.LATE), None))
            self.given["late trade"] += 1
            return
        bid, ask = _best(found.bids), _best(found.asks)
        self.collector.quotes.append((*place, *bid, *ask, market.last, market.volume))
        if found.deep:
            levels = (*padded(list(found.bids)), *padded(list(found.asks)))
            self.collector.books.append((*place, found.sequence, *levels))
        self.given["quote and book" if found.deep else "quote"] += 1

    def _phase(self, market: _Market, found: Snapshot, event: int, received: int) -> None:
        """Status rows where trial matching begins or ends.

        Its end is a resumption and no opening: that is the calendar's, which knows when the session will close.
        """
        if found.deep and found.trial != market.trial:
            market.trial = found.trial
            if taipei_seconds(found.event) < CLOSE_S and taipei_seconds(received) < CLOSE_S:
                kind = StatusKind.AUCTION if found.trial else StatusKind.RESUME
                self.collector.status(market.code, kind, found.trial or "trial matching ended", received, event)

    def _halts(self, market: _Market, found: Snapshot, received: int) -> None:
        """Status rows where a halt begins or ends; only MIS tells, and it repeats the same snapshot meanwhile.

        One that stands before the opening is told with it: the session's opening ends whatever was told before.
        """
        if found.deep and found.halted != market.halted and OPENING_S <= taipei_seconds(received) < CLOSE_S:
            kind = StatusKind.HALT if found.halted else StatusKind.RESUME
            detail = f"halted until {found.halted}" if found.halted else "trading resumed"
            self.collector.status(market.code, kind, detail, received)
            market.halted = found.halted

    def _broken(self, market: _Market, violation: str, found: Snapshot, received: int) -> None:
        """Refuse a snapshot whose book cannot be; the next sound one is the resync."""
        self.collector.violations[violation] += 1
        self.collector.refuse(f"book_{violation}", found.instrument, repr(found), received)
        if not market.broken:
            market.broken = True
            self.collector.status(market.code, StatusKind.GAP, f"book {violation}", received)

    def _refuse(self, upstream: str, reason: str, raw: bytes, received: int) -> None:
        self.collector.messages[upstream] += 1
        self.collector.refuse(reason, upstream, raw, received)

    def _not_known(self, batch: str, rows: list[bytes], found: list[Snapshot], received: int) -> None:
        """Refuse rows without a symbol, named after what is missing, once; they come with each answer."""
        shown = {mis_channel(each.instrument) for each in found}
        missing = [channel for channel in batch.split("|") if channel not in shown]
        for place, raw in enumerate(rows):
            channel = missing[place] if place < len(missing) else batch
            self.collector.messages[MIS] += 1
            if channel in self._unknown:
                self.collector.dropped["unknown_again"] += 1
            else:
                self._unknown.add(channel)
                self.collector.refuse(UNKNOWN, channel, raw, received)


def _shown(found: Snapshot) -> tuple[object, ...]:
    """What makes a snapshot a new one: its time, volume and levels."""
    return (found.sequence, found.volume, found.bids, found.asks, found.trial)


def _older(market: _Market, upstream: str, found: Snapshot) -> bool:
    """Whether the feed has given something newer; upstreams are compared by the second, which is Yahoo's grain."""
    if market.upstream in ("", upstream):
        return found.event < market.event
    return found.event // NANOS < market.event // NANOS


def _still_stands(found: Snapshot, received: int) -> bool:
    """Whether an old snapshot is the book of this moment: nothing changed since, and the session goes on."""
    seconds = taipei_seconds(received)
    return taipei_day(found.event) == taipei_day(received) and OPENING_S <= seconds < CLOSING_S


def _best(levels: tuple[Level, ...]) -> Level:
    """The touch of one side; no price and no quantity where the side is empty, as at limit up or down."""
    return levels[0] if levels else (nan, 0.0)


def _violation(found: Snapshot) -> str:
    """What is wrong with a snapshot's levels, empty where nothing is; a locked touch is sound."""
    if found.bids and found.asks and found.bids[0][0] > found.asks[0][0]:
        return "crossed"
    if found.deep and any(not quantity > 0.0 for _, quantity in (*found.bids, *found.asks)):
        return "bad_quantity"
    for levels, direction in ((found.bids, -1.0), (found.asks, 1.0)):
        prices = [price * direction for price, _ in levels]
        if any(not later > earlier for earlier, later in pairwise(prices)) or any(
            not price > 0.0 for price, _ in levels
        ):
            return "unsorted"
    return ""
