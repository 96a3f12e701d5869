"""What is learnt from: daily bars of folders, or bars and factors as PostgreSQL keeps them, up to a day."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from detectors.commands.bar_folders import read_bars
from detectors.forecast.series import Panel
from streams.forecast.stored import stored
from tapewatch.clock import NANOS
from tapewatch.errors import TapewatchError
from tapewatch.settings import Settings

_YEARS = range(1700, 2262)
"""Within what nanoseconds of 64 bits tell."""


def end_of(day: str) -> int:
    """The midnight UTC after a day, UTC nanoseconds: bars and factors of the day are known by then.

    TapewatchError where it is no day, YYYY-MM-DD
    """
    try:
        after = datetime.combine(date.fromisoformat(day) + timedelta(days=1), datetime.min.time(), UTC)
    except (ValueError, OverflowError) as error:
        raise TapewatchError(f"{day!r} is no day", "Give it as YYYY-MM-DD.") from error
    if not _YEARS.start <= after.year < _YEARS.stop:
        raise TapewatchError(f"{day} is out of reach", f"Give a day from {_YEARS.start} on, before {_YEARS.stop}.")
    return int(after.timestamp()) * NANOS


def panel_of(settings: Settings, folders: Sequence[Path], day: str) -> tuple[Panel, str]:
    """Everything known by the end of a day, and where it is from; nothing later is in it.

    folders : of CSV files of daily bars; none for PostgreSQL's bars of a day and its factors
    TapewatchError where nothing is known by then
    """
    until = end_of(day)
    if folders:
        panel, strange = read_bars(*folders)
        where = ", ".join(folder.name or str(folder) for folder in folders)
        where += f" ({len(strange)} files are no bars)" if strange else ""
    else:
        panel, where = stored(settings, until), "postgresql"
    known = panel.until(until)
    if not known.series:
        raise TapewatchError(f"there are no daily bars up to {day}", "Name a folder with --daily, or sink bars first.")
    return known, where


def newest(panel: Panel) -> int:
    """When the last of a panel was known, UTC nanoseconds: what was learnt from it used nothing later."""
    bars = max(int(series.at[-1]) for series in panel.series.values())
    return max([bars, *(each.published for each in panel.readings)])
