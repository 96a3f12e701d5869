"""Bars of charts that are polled, as rows of a live feed: each once, whole, in order, and only while it is news.

A live feed's clock is the receipt time, and the engine trades a bar at the second it was received. A bar that ended
long ago would be traded in the wrong minute; it stays out of the feed, and a gap row says so.
"""

from collections.abc import Collection, Sequence

from producers.base.collector import Collector
from producers.venues.bars import Bar
from tapewatch.clock import NANOS
from tapewatch.contract.checks import MAX_SKEW_NS
from tapewatch.contract.rows import StatusKind
from tapewatch.rfc3339 import to_rfc3339

FRESH_NS = MAX_SKEW_NS - 60 * NANOS
"""A bar that ended longer ago is no news: readers refuse rows whose time is ten minutes off."""


class LiveBars:
    """What of each instrument's chart has become rows.

    interval_s : length of a bar; latest : opening of the newest bar that was taken, by instrument, UTC nanoseconds;
    a restart goes on from it
    delayed_s : how late the venue shows its market; later bars than `FRESH_NS` are then taken up to that much more, and
    their venue time is the time they were shown at
    """

    def __init__(
        self, collector: Collector, interval_s: int, latest: dict[str, int] | None = None, delayed_s: float = 0.0
    ) -> None:
        self.interval_s = interval_s
        self.latest: dict[str, int] = dict(latest or {})
        self._collector = collector
        self._delayed_ns = int(delayed_s * NANOS)
        self._lost: set[str] = set()

    def take(self, instrument: str, bars: Sequence[Bar], received: int) -> int:
        """Add the rows of the bars that are new; returns how many. bars : whole ones, oldest first"""
        collector = self._collector
        begun = instrument in self.latest
        latest = self.latest.get(instrument, 0)
        new = [bar for bar in bars if bar.opened > latest]
        collector.messages["bar"] += len(bars)
        if len(new) < len(bars):
            collector.dropped["repeated"] += len(bars) - len(new)
        # At the very first look the bars before the newest one were not missed: they are history.
        fresh_ns = (FRESH_NS if begun else self.interval_s * NANOS) + self._delayed_ns
        news = [bar for bar in new if received - self._end(bar) <= fresh_ns]
        missed = new[: len(new) - len(news)]
        if missed:
            collector.dropped["too_old" if begun else "before_start"] += len(missed)
            if begun:
                self._say_missed(instrument, missed, received)
        if instrument in self._lost and news:
            self._lost.discard(instrument)
            detail = f"watched again; {len(news)} bars fetched"
            collector.status(collector.code(instrument), StatusKind.RESYNC, detail, received)
        self._add(collector.code(instrument), news, received)
        if bars:
            self.latest[instrument] = max(latest, bars[-1].opened)
        return len(news)

    def lost(self, instruments: Collection[str], reason: str, received: int) -> None:
        """The charts could not be fetched: a gap row each, once until bars come again."""
        for instrument in instruments:
            if instrument not in self._lost:
                self._lost.add(instrument)
                self._collector.status(self._collector.code(instrument), StatusKind.GAP, reason, received)

    def _add(self, code: int, bars: Sequence[Bar], received: int) -> None:
        rows = self._collector.bars
        for bar in bars:
            end = self._end(bar)
            event = end if received - end <= FRESH_NS else received
            values = (bar.open, bar.high, bar.low, bar.close, bar.volume)
            rows.append((code, event, received, bar.opened, self.interval_s, *values, 0))

    def _say_missed(self, instrument: str, missed: Sequence[Bar], received: int) -> None:
        first, last = to_rfc3339(missed[0].opened), to_rfc3339(self._end(missed[-1]))
        detail = f"{len(missed)} bars from {first} to {last} came too late to be traded"
        self._collector.status(self._collector.code(instrument), StatusKind.GAP, detail, received)

    def _end(self, bar: Bar) -> int:
        return bar.opened + self.interval_s * NANOS
