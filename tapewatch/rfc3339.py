"""Times in JSON: UTC nanoseconds as RFC 3339 text with nine decimals and Z, and back, exactly."""

import re
from datetime import UTC, datetime, timedelta

from tapewatch.clock import LATEST_NS, NANOS

PATTERN = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?Z$"

_TEXT = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?Z")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_rfc3339(ns: int) -> str:
    """UTC nanoseconds since the epoch as text.

    >>> to_rfc3339(1_700_000_000_000_000_001)
    '2023-11-14T22:13:20.000000001Z'
    """
    seconds, nanos = divmod(int(ns), NANOS)
    return f"{_EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}.{nanos:09d}Z"


def from_rfc3339(text: str) -> int:
    """UTC nanoseconds of an RFC 3339 text in UTC (Z) with at most nine decimals; ValueError for anything else."""
    match = _TEXT.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not an RFC 3339 time in UTC, such as 2024-01-31T09:00:00.000000000Z")
    whole = datetime.fromisoformat(match[1]).replace(tzinfo=UTC) - _EPOCH
    return (whole.days * 86_400 + whole.seconds) * NANOS + int((match[2] or "0").ljust(9, "0"))


def stamp(text: str) -> int:
    """UTC nanoseconds of a message's time; ValueError for what is none, or lies outside 1970 to 2200."""
    time = from_rfc3339(text)
    if not 0 <= time <= LATEST_NS:
        raise ValueError(f"{text} lies outside 1970 to 2200")
    return time
