"""What an engine process has done so far."""

from dataclasses import dataclass, field

from streams.engine.task import Tally


@dataclass(slots=True)
class Totals:
    """What this process has done so far.

    work_ns : wall time from the first batch to the end of the newest transaction; cpu_ns : the process's CPU time over
    it; recovered : partitions whose state was made from snapshot and log; fenced : times another took this one's place
    """

    frames: int = 0
    rows: int = 0
    refused: int = 0
    duplicates: int = 0
    features: int = 0
    scores: int = 0
    alerts: int = 0
    signals: int = 0
    decisions: int = 0
    transactions: int = 0
    aborted: int = 0
    snapshots: int = 0
    recovered: int = 0
    fenced: int = 0
    work_ns: int = 0
    cpu_ns: int = 0
    by_type: dict[str, int] = field(default_factory=dict)
    by_reason: dict[str, int] = field(default_factory=dict)

    def add(self, tally: Tally) -> None:
        """Count one partition's share of a committed transaction."""
        self.frames += tally.frames
        self.duplicates += tally.duplicates
        self.rows += sum(tally.rows.values())
        self.refused += sum(tally.refused.values())
        self.features += tally.written["features"]
        self.scores += tally.written["scores"]
        self.alerts += tally.written["alerts"]
        self.signals += tally.written["signals"]
        self.decisions += tally.written["decisions"]
        for label, count in tally.rows.items():
            self.by_type[label] = self.by_type.get(label, 0) + count
        for reason, count in tally.refused.items():
            self.by_reason[reason] = self.by_reason.get(reason, 0) + count
