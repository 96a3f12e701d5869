"""What a run of the sink did."""

from collections import Counter
from dataclasses import dataclass, field

import msgspec

from sinks.postgres.batch import Batch


class Summary(msgspec.Struct, frozen=True):
    """The end of a run.

    rows : rows written by table (messages by topic, our own trading by table)
    refused : market rows and frames that do not count, by reason
    duplicates : market frames seen before; dead_letters : records sent to dead-letter topics, by reason
    retries : how often database or broker failed and the work was taken up again
    seconds : wall time; busy_rows_per_s : rows over the time between the first and the last commit
    lag : records not yet read, when last looked at
    """

    rows: dict[str, int]
    refused: dict[str, int]
    duplicates: int
    dead_letters: dict[str, int]
    transactions: int
    retries: int
    seconds: float
    busy_rows_per_s: int
    lag: int


@dataclass(frozen=True, slots=True)
class Progress:
    """Now.

    rows : written since the start; rows_per_s : since the last report; trouble : why nothing moves, else empty
    """

    rows: int
    rows_per_s: int
    lag: int
    trouble: str = ""


@dataclass(slots=True)
class Tally:
    """Counts of committed batches. first_ns, last_ns : begin of the first one, commit of the last, by `elapsed`."""

    rows: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    dead: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
    transactions: int = 0
    retries: int = 0
    lag: int = 0
    first_ns: int = 0
    last_ns: int = 0

    def add(self, batch: Batch, began_ns: int, now_ns: int) -> None:
        """Count a committed batch."""
        self.rows.update(batch.rows)
        self.refused.update(batch.refused)
        self.dead.update(refusal.reason for refusal in batch.dead)
        self.duplicates += batch.duplicates
        self.transactions += 1
        self.first_ns, self.last_ns = self.first_ns or began_ns, now_ns

    def summary(self, elapsed_ns: int) -> Summary:
        """The counts as plain values."""
        busy = max(self.last_ns - self.first_ns, 1) / 1e9
        return Summary(
            rows=dict(sorted(self.rows.items())),
            refused=dict(sorted(self.refused.items())),
            duplicates=self.duplicates,
            dead_letters=dict(sorted(self.dead.items())),
            transactions=self.transactions,
            retries=self.retries,
            seconds=round(elapsed_ns / 1e9, 3),
            busy_rows_per_s=int(self.rows.total() / busy) if self.rows else 0,
            lag=self.lag,
        )
