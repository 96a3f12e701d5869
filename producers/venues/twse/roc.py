"""Taiwan's dates and times: the calendar of the Republic of China, whose year 1 is 1912, and Taipei's clock."""

import re
from datetime import UTC, date, datetime

from tapewatch.clock import NANOS

TAIPEI_OFFSET_NS = 8 * 3600 * NANOS
"""Taipei is eight hours ahead of UTC and has known no summer time since 1979."""

_ROC = re.compile(r"\s*(\d{2,3})\s*[/年.-]\s*(\d{1,2})\s*[/月.-]\s*(\d{1,2})\s*日?\s*\*?")
_ROC_DIGITS = re.compile(r"(\d{3})(\d{2})(\d{2})")
_WESTERN = re.compile(r"\s*(\d{4})[/-]?(\d{2})[/-]?(\d{2})\s*")


def roc_date(text: str) -> date:
    """A date of the ROC calendar; ValueError for anything else.

    >>> roc_date("112/01/03"), roc_date("112年1月3日"), roc_date("1120103")
    (datetime.date(2023, 1, 3), datetime.date(2023, 1, 3), datetime.date(2023, 1, 3))
    """
    match = _ROC.fullmatch(text) or _ROC_DIGITS.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a date of the ROC calendar, such as 112/01/03")
    return date(int(match[1]) + 1911, int(match[2]), int(match[3]))


def any_date(text: str) -> date:
    """A Western date (20230103, 2023-01-03, 2023/01/03) or one of the ROC calendar; ValueError for anything else."""
    match = _WESTERN.fullmatch(text)
    return date(int(match[1]), int(match[2]), int(match[3])) if match else roc_date(text)


def roc_text(day: date) -> str:
    """A date as TWSE and TPEx write it.

    >>> roc_text(date(2023, 1, 3))
    '112/01/03'
    """
    return f"{day.year - 1911}/{day.month:02d}/{day.day:02d}"


def local_ns(day: str, time: str) -> int:
    """UTC nanoseconds of Taipei's YYYYMMDD and HH:MM:SS; ValueError for anything else."""
    moment = datetime.strptime(f"{day} {time}", "%Y%m%d %H:%M:%S").replace(tzinfo=UTC)
    return int(moment.timestamp()) * NANOS - TAIPEI_OFFSET_NS


def taipei_day(ns: int) -> date:
    """The date in Taipei at a UTC time."""
    return datetime.fromtimestamp((ns + TAIPEI_OFFSET_NS) // NANOS, UTC).date()


def taipei_seconds(ns: int) -> int:
    """Seconds since midnight in Taipei."""
    return (ns + TAIPEI_OFFSET_NS) // NANOS % 86_400


def at(day: date, time: str) -> int:
    """UTC nanoseconds of Taipei's HH:MM on a day."""
    return local_ns(f"{day:%Y%m%d}", f"{time}:00")
