"""What a simulated venue does wrong and when: drawn from a seed at given rates, or as a test says."""

import heapq
import random
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from enum import StrEnum
from typing import Any

import msgspec

from tapewatch.errors import TapewatchError


class FaultKind(StrEnum):
    """Ways in which real venues misbehave."""

    DISCONNECT = "disconnect"
    SILENCE = "silence"
    AGE_CUT = "age_cut"
    GAP = "gap"
    DUPLICATE = "duplicate"
    REORDERED = "reordered"
    HTTP_429 = "http_429"
    HTTP_418 = "http_418"
    HTTP_403 = "http_403"
    HTTP_500 = "http_500"
    HTTP_503 = "http_503"
    HTML = "html"
    TRUNCATED_GZIP = "truncated_gzip"
    SLOW_BODY = "slow_body"
    OLD_SNAPSHOT = "old_snapshot"
    CLOCK_SKEW = "clock_skew"
    DELISTED = "delisted"
    MAINTENANCE = "maintenance"
    TLS_FAILURE = "tls_failure"


CONNECTION_FAULTS = frozenset({FaultKind.DISCONNECT, FaultKind.SILENCE, FaultKind.AGE_CUT})
"""Happen to one websocket connection; matched against its path and query."""
MESSAGE_FAULTS = frozenset({FaultKind.GAP, FaultKind.DUPLICATE, FaultKind.REORDERED})
"""Happen to messages on their way; matched against the name of their stream."""
REFUSAL_FAULTS = frozenset(
    {FaultKind.HTTP_429, FaultKind.HTTP_418, FaultKind.HTTP_403, FaultKind.HTTP_500, FaultKind.HTTP_503, FaultKind.HTML}
)
"""Answers in the place of the wanted one; matched against the request's path and query."""
BODY_FAULTS = frozenset({FaultKind.TRUNCATED_GZIP, FaultKind.SLOW_BODY})
"""Damage to the wanted answer; matched against the request's path and query."""
VENUE_FAULTS = frozenset({FaultKind.OLD_SNAPSHOT, FaultKind.DELISTED, FaultKind.MAINTENANCE})
"""The venue's own part: its simulator takes them; matched against a symbol."""

USUAL_SECONDS: Mapping[FaultKind, float] = {
    FaultKind.HTTP_429: 1.0,
    FaultKind.HTTP_418: 2.0,
    FaultKind.SLOW_BODY: 2.0,
    FaultKind.CLOCK_SKEW: 5.0,
}


class Fault(msgspec.Struct, forbid_unknown_fields=True):
    """One thing that goes wrong.

    at_s : seconds after the simulator's start; count : messages, answers or connections it happens to; match : part of
    the name of what it happens to (stream, path and query, symbol), empty for any
    seconds : Retry-After, length of a silence (0: until the client gives up), time a slow body takes, offset of the
    clock; -1 takes what is usual
    """

    kind: FaultKind
    at_s: float = 0.0
    count: int = 1
    seconds: float = -1.0
    match: str = ""

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError("a fault's count is at least 1")
        if self.seconds < 0.0 and self.kind is not FaultKind.CLOCK_SKEW:
            self.seconds = USUAL_SECONDS.get(self.kind, 0.0)
        elif self.seconds == -1.0:
            self.seconds = USUAL_SECONDS[FaultKind.CLOCK_SKEW]


class FaultPlan:
    """Faults by their time, whatever the client does meanwhile, and a count of what was injected.

    rates : faults a minute by kind, at random times drawn from `seed`; script : faults at fixed times
    injected : how often each kind happened
    """

    def __init__(
        self, *, seed: int = 0, rates: Mapping[FaultKind, float] | None = None, script: Sequence[Fault] = ()
    ) -> None:
        self.injected: Counter[FaultKind] = Counter()
        self._seed = seed
        self._rates = dict(rates or {})
        self._script = tuple(script)
        self._draws = {kind: random.Random(f"{seed} {kind}") for kind in self._rates}  # noqa: S311 - not secrets
        self._waiting: list[tuple[float, int, Fault, bool]] = []
        self._order = 0
        self._due: list[Fault] = []
        self._time: Callable[[], float] = lambda: 0.0
        self._began = 0.0
        for fault in self._script:
            self._wait(fault)
        for kind in self._rates:
            self._draw(kind, 0.0)

    @classmethod
    def from_json(cls, text: bytes | str) -> "FaultPlan":
        """A plan from {"seed": 1, "rates": {"disconnect": 2}, "script": [{"kind": "gap", "at_s": 5}]}."""
        try:
            plan = msgspec.json.decode(text, type=_PlanFile)
        except msgspec.MsgspecError as error:
            raise TapewatchError(f"not a plan of faults: {error}", f"Use the kinds {', '.join(FaultKind)}.") from error
        return cls(seed=plan.seed, rates=plan.rates, script=plan.script)

    def start(self, time: Callable[[], float]) -> None:
        """Count seconds from now on by this monotonic clock."""
        self._time = time
        self._began = time()

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return self._time() - self._began

    def now(self, kind: FaultKind | str, *, count: int = 1, seconds: float = -1.0, match: str = "") -> None:
        """Let it happen at the next occasion."""
        self._due.append(Fault(FaultKind(kind), self.elapsed, count, seconds, match))

    def at(self, at_s: float, kind: FaultKind | str, *, count: int = 1, seconds: float = -1.0, match: str = "") -> None:
        """Let it happen at the first occasion that many seconds after the start."""
        self._wait(Fault(FaultKind(kind), at_s, count, seconds, match))

    def due(self) -> bool:
        """Whether anything waits for its occasion; cheap, for hot paths."""
        if self._waiting and self._waiting[0][0] <= self.elapsed:
            self._release()
        return bool(self._due)

    def take(self, kinds: Collection[FaultKind], where: str = "") -> Fault | None:
        """The first fault of these kinds that is due for `where`, one of its count used up; None if there is none."""
        if not self.due():
            return None
        for place, fault in enumerate(self._due):
            if fault.kind in kinds and fault.match in where:
                self.injected[fault.kind] += 1
                fault.count -= 1
                if fault.count == 0:
                    del self._due[place]
                return fault
        return None

    def pending(self, *kinds: FaultKind | str) -> int:
        """Occasions still to come of faults that are due; all kinds where none is named."""
        return sum(fault.count for fault in self._due if not kinds or fault.kind in kinds)

    def clear(self) -> None:
        """Nothing goes wrong from now on."""
        self._due.clear()
        self._waiting.clear()

    def report(self) -> dict[str, Any]:
        """The plan and what was injected, to be written as JSON."""
        return {
            "seed": self._seed,
            "rates": {str(kind): rate for kind, rate in self._rates.items()},
            "script": [msgspec.to_builtins(fault) for fault in self._script],
            "injected": {str(kind): count for kind, count in sorted(self.injected.items())},
            "pending": self.pending(),
        }

    def _wait(self, fault: Fault, *, drawn: bool = False) -> None:
        self._order += 1
        copy = msgspec.structs.replace(fault)
        heapq.heappush(self._waiting, (fault.at_s, self._order, copy, drawn))

    def _draw(self, kind: FaultKind, after: float) -> None:
        """Wait for the next random fault of a kind: exponential gaps."""
        rate = self._rates[kind]
        if rate > 0.0:
            self._wait(Fault(kind, after + self._draws[kind].expovariate(rate / 60.0)), drawn=True)

    def _release(self) -> None:
        now = self.elapsed
        while self._waiting and self._waiting[0][0] <= now:
            at, _, fault, drawn = heapq.heappop(self._waiting)
            self._due.append(fault)
            if drawn:
                self._draw(fault.kind, at)


class _PlanFile(msgspec.Struct, forbid_unknown_fields=True):
    seed: int = 0
    rates: dict[FaultKind, float] = {}
    script: list[Fault] = []
