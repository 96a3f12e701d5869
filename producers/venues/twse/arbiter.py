"""Which of two upstreams fills the feed: MIS while it answers and is up to date, Yahoo while it is not.

Nothing here reads rows: the decoder says what came and when, and asks before each row who is in charge.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from tapewatch.clock import NANOS
from tapewatch.contract.rows import StatusKind

MIS, YAHOO, NOBODY = "mis", "yahoo", ""


@dataclass(frozen=True, slots=True)
class Rules:
    """When the feed changes its upstream, in seconds.

    stale_s : a batch without a good answer for that long counts as lost
    lag_s : how far the newest change that MIS shows may lie behind the clock before Yahoo is asked; how old the newest
    trade that Yahoo shows may be when it takes over
    back_s : how long MIS has to be good again before it takes back from Yahoo
    """

    stale_s: float = 15.0
    lag_s: float = 60.0
    back_s: float = 15.0


@dataclass(frozen=True, slots=True)
class Switch:
    """A status row of the whole feed: gap (nobody in charge) or resync (and who is)."""

    kind: StatusKind
    detail: str


@dataclass(slots=True)
class _Batch:
    """One MIS request's symbols: when they were last answered, and what failed since."""

    good: int
    failure: str = ""


@dataclass(slots=True)
class Arbiter:
    """Who is in charge of the feed. Times are UTC nanoseconds and never decrease."""

    rules: Rules = field(default_factory=Rules)
    in_charge: str = MIS
    switches: int = 0
    _batches: dict[str, _Batch] = field(default_factory=dict)
    _mis_event: int = 0
    _yahoo_event: int = 0
    _yahoo_good: int = 0
    _well_since: int = 0
    _unwatched_since: int = 0

    def begin(self, batches: Iterable[str], now: int) -> None:
        """What MIS is asked for from now on; batches that are new have until `stale_s` to be answered."""
        self._batches = {name: self._batches.get(name) or _Batch(now) for name in batches}

    def reopen(self, now: int) -> list[Switch]:
        """A session begins: MIS is in charge, nobody has failed yet, and nothing of yesterday counts."""
        self._batches = {name: _Batch(now) for name in self._batches}
        self._mis_event = self._yahoo_event = self._yahoo_good = self._well_since = 0
        if self.in_charge == MIS:
            return []
        return [self._switch(MIS, StatusKind.RESYNC, f"{MIS} in charge; a session begins")]

    def mis_answered(self, batch: str, newest: int, now: int) -> None:
        """A good answer. newest : latest change among its rows"""
        held = self._batches.get(batch)
        if held is not None:
            held.good, held.failure = now, ""
        self._mis_event = max(self._mis_event, newest)

    def mis_failed(self, batch: str, reason: str) -> None:
        """No answer, or one that is no good."""
        held = self._batches.get(batch)
        if held is not None:
            held.failure = reason

    def yahoo_answered(self, newest: int, now: int) -> None:
        """A good answer of Yahoo. newest : latest trade among its rows"""
        self._yahoo_event, self._yahoo_good = max(self._yahoo_event, newest), now

    def wants_yahoo(self, now: int) -> bool:
        """Whether Yahoo should be asked: MIS is not in charge, has just failed, or shows nothing new."""
        return self.in_charge != MIS or bool(self._trouble(now)) or any(b.failure for b in self._batches.values())

    def decide(self, now: int) -> list[Switch]:
        """The switches that are due."""
        trouble = self._trouble(now)
        if trouble:
            self._well_since = 0
        elif not self._well_since:
            self._well_since = now
        if self.in_charge == MIS:
            return self._from_mis(trouble, now)
        if self.in_charge == YAHOO:
            return self._from_yahoo(now)
        return self._from_nobody(trouble, now)

    def _trouble(self, now: int) -> str:
        """What is wrong with MIS, empty where nothing is."""
        lost = [batch for batch in self._batches.values() if now - batch.good > self.rules.stale_s * NANOS]
        if lost:
            worst = min(lost, key=lambda batch: batch.good)
            return f"{worst.failure or 'no answer'} for {(now - worst.good) / NANOS:.0f} s"
        if self._mis_event and now - self._mis_event > self.rules.lag_s * NANOS:
            return f"lags {(now - self._mis_event) / NANOS:.0f} s behind"
        return ""

    def _lost(self, now: int) -> bool:
        """Whether a batch of MIS has no answer, which is worse than a lag."""
        return any(now - batch.good > self.rules.stale_s * NANOS for batch in self._batches.values())

    def _yahoo_ready(self, now: int) -> bool:
        """Whether Yahoo answers and shows something newer than MIS does, which a quiet market does not.

        Where MIS answers, it has to be newer by half of the lag: after the close the two differ by seconds.
        """
        ahead = 0.0 if self._lost(now) else self.rules.lag_s / 2 * NANOS
        fresh = now - self._yahoo_good <= 2 * self.rules.stale_s * NANOS
        recent = now - self._yahoo_event <= self.rules.lag_s * NANOS
        return bool(self._yahoo_good) and fresh and recent and self._yahoo_event - self._mis_event > ahead

    def _from_mis(self, trouble: str, now: int) -> list[Switch]:
        if not trouble or (not self._lost(now) and not self._yahoo_ready(now)):
            return []
        oldest = min((batch.good for batch in self._batches.values()), default=now)
        self._unwatched_since = oldest if self._lost(now) else self._mis_event
        gap = self._switch(NOBODY, StatusKind.GAP, f"{MIS}: {trouble}")
        return [gap, *self._from_nobody(trouble, now)]

    def _from_nobody(self, trouble: str, now: int) -> list[Switch]:
        if not trouble:
            return [self._resync(MIS, now)]
        return [self._resync(YAHOO, now, "; touch only, no books")] if self._yahoo_ready(now) else []

    def _from_yahoo(self, now: int) -> list[Switch]:
        stale = now - self._yahoo_good > 2 * self.rules.stale_s * NANOS
        if self._well_since and (stale or now - self._well_since >= self.rules.back_s * NANOS):
            self._unwatched_since = self._yahoo_good if stale else now
            return [self._resync(MIS, now)]
        if stale:
            self._unwatched_since = self._yahoo_good
            return [self._switch(NOBODY, StatusKind.GAP, f"{YAHOO}: no answer; {MIS} not back")]
        return []

    def _resync(self, upstream: str, now: int, what: str = "") -> Switch:
        unwatched = max(0, now - self._unwatched_since) / NANOS
        return self._switch(upstream, StatusKind.RESYNC, f"{upstream} in charge{what}; {unwatched:.0f} s not watched")

    def _switch(self, upstream: str, kind: StatusKind, detail: str) -> Switch:
        self.in_charge = upstream
        self.switches += 1
        return Switch(kind, detail)
