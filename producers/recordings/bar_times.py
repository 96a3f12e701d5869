"""Times of bars as files write them: ISO text with or without offset, YYYYMMDDHHMMSS, or a count since the epoch."""

from collections.abc import Sequence
from datetime import datetime, tzinfo
from zoneinfo import ZoneInfo

import numpy as np

from tapewatch.clock import NANOS
from tapewatch.contract.rows import Column
from tapewatch.errors import TapewatchError

LATEST_NS = 9 * 10**18
COMPACT = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
_EPOCH_UNITS = {10: NANOS, 13: 1_000_000, 16: 1_000, 19: 1}
"""Digits of a present-day epoch count -> nanoseconds a unit."""


def zone_of(name: str) -> ZoneInfo:
    """The IANA zone; TapewatchError if there is none of this name."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise TapewatchError(f"no time zone {name!r}", "Give an IANA name, as in Asia/Taipei.") from error


class BarTimes:
    """Turns the time column, or date and time columns, of bars into UTC nanoseconds."""

    def __init__(self, columns: Sequence[int], zone: tzinfo) -> None:
        self._columns = columns
        self._zone = zone

    def nanoseconds(self, texts: Sequence[Sequence[str]]) -> Column:
        """int64[rows] from all columns' texts; 0 where the text is no time."""
        parts = [texts[index] for index in self._columns]
        times = [self.one(" ".join(cells)) for cells in zip(*parts, strict=True)]
        return np.array(times, np.int64)

    def one(self, text: str) -> int:
        """UTC nanoseconds of one text; 0 where it is no time."""
        time = self._any(text)
        return time if 0 < time < LATEST_NS else 0

    def _any(self, text: str) -> int:
        text = text.strip().replace("/", "-")
        try:
            if text.isdecimal():
                return self._digits(text)
            return self._utc(datetime.fromisoformat(text))
        except (ValueError, OverflowError):
            return 0

    def _digits(self, text: str) -> int:
        layout = COMPACT.get(len(text))
        if layout is not None:
            return self._utc(datetime.strptime(text, layout).replace(tzinfo=self._zone))
        return int(text) * _EPOCH_UNITS.get(len(text), 0)

    def _utc(self, at: datetime) -> int:
        aware = at if at.tzinfo else at.replace(tzinfo=self._zone)
        seconds = int(aware.replace(microsecond=0).timestamp())
        return seconds * NANOS + at.microsecond * 1_000
