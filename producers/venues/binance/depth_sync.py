"""Binance's rules for keeping a local order book from one REST snapshot and the stream of differences.

Source: Binance API documentation, "How to manage a local order book correctly", spot and USD-M futures.
"""

from collections import deque
from dataclasses import dataclass
from enum import Enum, auto

from producers.base.ladder import Book, Level


@dataclass(frozen=True, slots=True)
class Diff:
    """A depth event: the update ids it spans (U, u), the last id before it (pu, futures only), levels, whence."""

    first_id: int
    last_id: int
    previous_id: int
    bids: list[Level]
    asks: list[Level]
    ts_event: int
    file: str
    line: int
    raw: bytes


class Outcome(Enum):
    """What became of a depth event: taken, already in the book, kept for a snapshot, or kept since some are missing."""

    APPLIED = auto()
    STALE = auto()
    WAITS = auto()
    GAP = auto()


class DepthSync(Book):
    """A local book, in step with the exchange or waiting for a snapshot.

    futures : check each event's `pu` against the last `u` (USD-M); otherwise `U` against the last `u` + 1 (spot)
    waiting : events that came while no snapshot had been seen, or since a gap
    """

    def __init__(self, *, futures: bool) -> None:
        super().__init__()
        self.last_id = -1
        self.in_step = False
        self.waiting: deque[Diff] = deque()
        self._futures = futures
        self._fresh = False

    def diff(self, diff: Diff) -> Outcome:
        """Take a depth event. After a gap the book is empty; this and all later events wait for a snapshot."""
        if not self.in_step:
            self.waiting.append(diff)
            return Outcome.WAITS
        if self._stale(diff):
            return Outcome.STALE
        if not self._follows(diff, self.last_id):
            self.lose()
            self.waiting.append(diff)
            return Outcome.GAP
        self.bids.update(diff.bids)
        self.asks.update(diff.asks)
        self.last_id = diff.last_id
        self._fresh = False
        return Outcome.APPLIED

    def snapshot(self, last_id: int, bids: list[Level], asks: list[Level]) -> list[Diff] | None:
        """Start from a snapshot; returns the waiting events for the caller to feed again, or None if it is too old.

        Too old means: older than the book kept, or events between it and the oldest waiting one are missing.
        """
        if self.in_step and last_id < self.last_id:
            return None
        newer = [diff for diff in self.waiting if diff.last_id > last_id]
        if newer and not self._covers(newer[0], last_id):
            return None
        self.clear()
        self.bids.update(bids)
        self.asks.update(asks)
        self.last_id = last_id
        self.in_step = self._fresh = True
        again = list(self.waiting)
        self.waiting.clear()
        return again

    def lose(self) -> None:
        """Throw the book away; events wait for a snapshot from here on."""
        self.clear()
        self.in_step = False

    def _stale(self, diff: Diff) -> bool:
        # The futures rules keep the event that ends exactly at the snapshot, since the next one's pu names it.
        if self._futures and self._fresh:
            return diff.last_id < self.last_id
        return diff.last_id <= self.last_id

    def _follows(self, diff: Diff, last_id: int) -> bool:
        if self._fresh:
            return self._covers(diff, last_id)
        return diff.previous_id == last_id if self._futures else diff.first_id <= last_id + 1

    def _covers(self, diff: Diff, last_id: int) -> bool:
        """Whether nothing is missing between a snapshot and the first event after it."""
        return diff.previous_id <= last_id if self._futures else diff.first_id <= last_id + 1
