"""What became of every line of a recording: records read, rows given out, and what was refused with its reason."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tapewatch.contract.rows import Rows

RAW_LIMIT = 65_536
"""Bytes of a refused line that are kept."""
REFUSED_LIMIT = 1_000
"""Refused lines that are kept with their text; all are counted."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One refused line: file name, line number from 1 (0: the file as a whole), reason code, first 64 KiB of text."""

    file: str
    line: int
    reason: str
    raw: bytes


@dataclass(slots=True)
class RecordingReport:
    """Counts of one pass over a recording; complete once `chunks()` is exhausted.

    lines : non-empty lines (Parquet: rows) read; records : what they are (depth, trade, message, ...)
    rows : rows given out by row type
    reasons : refused records by reason; refused : the first 1,000 of them with their text
    stepped_back : rows whose receipt time was raised to the newest one before them
    """

    lines: int = 0
    records: Counter[str] = field(default_factory=Counter)
    rows: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    refused: list[Refusal] = field(default_factory=list)
    stepped_back: int = 0

    def refuse(self, file: str, line: int, reason: str, raw: bytes) -> None:
        """Count a refusal and keep the start of its text while there is room."""
        self.reasons[reason] += 1
        if len(self.refused) < REFUSED_LIMIT:
            self.refused.append(Refusal(file, line, reason, raw[:RAW_LIMIT]))

    def count_rows(self, rows: Iterable[Rows]) -> None:
        """Add given-out rows to the counts by type."""
        for part in rows:
            self.rows[part.type.label] += len(part)

    def as_dict(self) -> dict[str, Any]:
        """The counts alone, in a form JSON knows."""
        return {
            "lines": self.lines,
            "records": dict(sorted(self.records.items())),
            "rows": dict(sorted(self.rows.items())),
            "refused": dict(sorted(self.reasons.items())),
            "stepped_back": self.stepped_back,
        }
