"""Labels of manipulation: `scenario,instrument,start,end` in ISO 8601 UTC."""

import csv
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tapewatch.errors import TapewatchError

FIELDS = ("scenario", "instrument", "start", "end")


@dataclass(frozen=True, slots=True)
class Event:
    """A labelled manipulation; start and end in UTC seconds."""

    scenario: str
    instrument: str
    start: float
    end: float


def read_labels(path: Path) -> list[Event]:
    """Events in the order of the file; further columns are ignored. TapewatchError where a line is malformed."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            missing = [name for name in FIELDS if name not in (reader.fieldnames or ())]
            if missing:
                raise TapewatchError(f"{path} has no column {missing[0]}", f"Its header is {','.join(FIELDS)}.")
            return [_event(row, f"{path}, line {reader.line_num}") for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TapewatchError(f"{path} cannot be read: {error}", "Name a CSV file with --labels.") from error


def _event(row: dict[str, str | None], where: str) -> Event:
    try:
        start, end = _seconds(row["start"] or ""), _seconds(row["end"] or "")
    except ValueError:
        raise TapewatchError(f"{where}: start or end is no time", "Write 2024-08-08T23:54:13.5Z.") from None
    if not row["scenario"] or not row["instrument"] or end < start:
        raise TapewatchError(f"{where}: no scenario or instrument, or it ends before it starts", "Correct the line.")
    return Event(row["scenario"], row["instrument"], start, end)


def _seconds(text: str) -> float:
    """UTC seconds of an ISO 8601 time; one without an offset is UTC. Digits beyond microseconds are cut off."""
    head, point, tail = text.strip().partition(".")
    if point:
        digits = len(tail) - len(tail.lstrip("0123456789"))
        head += f".{tail[: min(digits, 6)]}{tail[digits:]}"
    moment = datetime.fromisoformat(head)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
