"""What a run of the notify sink did."""

from collections import Counter
from dataclasses import dataclass, field

import msgspec


class Summary(msgspec.Struct, frozen=True):
    """The end of a run.

    alerts : revisions read; inhibited : reached nobody, by the case stage's word; canaries : by their instrument
    planned : messages made; delivered, failed : attempts; dead : messages given up; disabled : subscriptions
    unreadable : records that are no message; retries : how often database or broker failed
    """

    alerts: int
    inhibited: int
    canaries: int
    planned: int
    delivered: int
    failed: int
    dead: int
    disabled: int
    unreadable: int
    retries: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Progress:
    """Now. trouble : why nothing moves, else empty"""

    planned: int
    delivered: int
    failed: int
    trouble: str = ""


@dataclass(slots=True)
class Tally:
    """Counts so far; last_ns : when something last happened, by `elapsed`."""

    counts: Counter[str] = field(default_factory=Counter)
    last_ns: int = 0

    def add(self, elapsed_ns: int, **counts: int) -> None:
        """Count what happened."""
        self.counts.update(counts)
        if any(counts.values()):
            self.last_ns = elapsed_ns

    def progress(self, trouble: str = "") -> Progress:
        """The counts for people."""
        return Progress(self.counts["planned"], self.counts["delivered"], self.counts["failed"], trouble)

    def summary(self, elapsed_ns: int) -> Summary:
        """The counts as plain values."""
        names = [each.name for each in msgspec.structs.fields(Summary) if each.name != "seconds"]
        return Summary(**{name: self.counts[name] for name in names}, seconds=round(elapsed_ns / 1e9, 3))
