"""What a run of the sink did."""

import threading
from collections import Counter
from dataclasses import dataclass, field

import msgspec

from sinks.elasticsearch.bulk import BulkResult


class Summary(msgspec.Struct, frozen=True):
    """The end of a run.

    documents : kept, by kind of index; conflicts : items of which the server had that revision or a later one
    dead_letters : by reason; retried : items sent again; requests : bulk requests
    seconds : wall time; busy_documents_per_s : documents over the time between the first and the last settled batch
    lag : records not yet read, when last looked at
    """

    documents: dict[str, int]
    conflicts: int
    dead_letters: dict[str, int]
    retried: int
    requests: int
    seconds: float
    busy_documents_per_s: int
    lag: int


@dataclass(frozen=True, slots=True)
class Progress:
    """Now. documents : settled since the start; trouble : why nothing moves, else empty"""

    documents: int
    lag: int
    trouble: str = ""


@dataclass(slots=True)
class Tally:
    """Counts of all lanes together."""

    kept: Counter[str] = field(default_factory=Counter)
    dead: Counter[str] = field(default_factory=Counter)
    lags: dict[str, int] = field(default_factory=dict)
    troubles: dict[str, str] = field(default_factory=dict)
    conflicts: int = 0
    retried: int = 0
    requests: int = 0
    first_ns: int = 0
    last_ns: int = 0
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def add(self, settled: BulkResult, reasons: list[str], began_ns: int, now_ns: int) -> None:
        """Count a batch whose offsets are kept."""
        with self._guard:
            self.kept.update(settled.kept)
            self.dead.update(reasons)
            self.conflicts += settled.conflicts
            self.retried += settled.retried
            self.requests += settled.requests
            self.first_ns, self.last_ns = self.first_ns or began_ns, now_ns

    def progress(self) -> Progress:
        """Now."""
        trouble = next((text for text in list(self.troubles.values()) if text), "")
        return Progress(self.kept.total(), sum(self.lags.values()), trouble)

    def summary(self, elapsed_ns: int) -> Summary:
        """The counts as plain values."""
        busy = max(self.last_ns - self.first_ns, 1) / 1e9
        return Summary(
            documents=dict(sorted(self.kept.items())),
            conflicts=self.conflicts,
            dead_letters=dict(sorted(self.dead.items())),
            retried=self.retried,
            requests=self.requests,
            seconds=round(elapsed_ns / 1e9, 3),
            busy_documents_per_s=int(self.kept.total() / busy) if self.kept else 0,
            lag=sum(self.lags.values()),
        )
