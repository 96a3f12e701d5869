"""What was injected, and the label files that evaluation reads."""

import csv
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import msgspec


class Label(msgspec.Struct, frozen=True):
    """One injected event.

    scenario : pump_and_dump, spoofing, layering, quote_stuffing, ramping; or a look-alike's name
    start_ns, end_ns : UTC nanoseconds of its first and last effect
    strength : in the scenario's own unit: price change as a fraction (signed) for what moves prices, multiple of the
        genuine order size or of the usual update rate otherwise, 0 for halts and auctions
    labelled : True for manipulation, False for a look-alike
    """

    scenario: str
    instrument: str
    start_ns: int
    end_ns: int
    strength: float
    labelled: bool


def iso(time_ns: int) -> str:
    """UTC nanoseconds as ISO 8601 with nanosecond digits."""
    seconds, nanos = divmod(time_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanos:09d}Z"


def _write(path: Path, labels: Iterable[Label]) -> None:
    with path.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(("scenario", "instrument", "start", "end"))
        for label in labels:
            writer.writerow((label.scenario, label.instrument, iso(label.start_ns), iso(label.end_ns)))


def write_labels(labels: Iterable[Label], manipulations: Path, look_alikes: Path | None = None) -> None:
    """Write `scenario,instrument,start,end` (ISO 8601 UTC) of manipulations; look-alikes to a file of their own."""
    known = list(labels)
    _write(manipulations, (label for label in known if label.labelled))
    if look_alikes is not None:
        _write(look_alikes, (label for label in known if not label.labelled))
