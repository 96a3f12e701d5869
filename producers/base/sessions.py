"""When an exchange trades: sessions, lunch breaks, half days, holidays and summer time, by exchange_calendars."""

from typing import Any

import numpy as np
import numpy.typing as npt

from tapewatch.clock import NANOS
from tapewatch.contract.exchanges import exchange_calendars
from tapewatch.contract.rows import StatusKind
from tapewatch.errors import TapewatchError
from tapewatch.rfc3339 import to_rfc3339

DAY_NS = 86_400 * NANOS
BEFORE_NS = 40 * DAY_NS
AFTER_NS = 400 * DAY_NS
"""How much of a calendar is worked out at a time: a month back and a year ahead."""
AROUND_THE_CLOCK = frozenset({"", "24/7"})


class SessionCalendar:
    """An exchange's trading sessions.

    code : calendar of exchange_calendars, a MIC such as XTAI, XKRX or XNYS; empty for a venue that never closes
    TapewatchError where the package is not installed, SettingsError where it knows no such calendar.
    """

    def __init__(self, code: str) -> None:
        self.code = code
        self._package: Any = None if code in AROUND_THE_CLOCK else exchange_calendars(code)
        self._edges: npt.NDArray[np.int64] = np.empty(0, np.int64)
        self._known = (0, 0)

    @property
    def always_open(self) -> bool:
        """Whether the venue never closes."""
        return self._package is None

    def is_open(self, ns: int) -> bool:
        """Whether the exchange trades at that time, UTC nanoseconds; from the opening on, up to before the close."""
        return self.always_open or self._place(ns) % 2 == 1

    def next_change(self, ns: int) -> tuple[int, StatusKind] | None:
        """The first opening or closing after that time, UTC nanoseconds; a lunch break closes and opens.

        None where the venue never closes, and where the calendar ends within a year.
        """
        if self.always_open:
            return None
        place = self._place(ns)
        if place == len(self._edges):
            return None
        return int(self._edges[place]), StatusKind.CLOSE if place % 2 else StatusKind.OPEN

    def _place(self, ns: int) -> int:
        """How many openings and closings lie at or before that time; odd while open."""
        start, end = self._known
        if not start <= ns < end:
            self._work_out(ns)
        return int(np.searchsorted(self._edges, ns, side="right"))

    def _work_out(self, ns: int) -> None:
        """Openings and closings around that time, ascending and in turn."""
        start, end = ns - BEFORE_NS, ns + AFTER_NS
        try:
            calendar = self._package.get_calendar(self.code, start=to_rfc3339(start)[:10], end=to_rfc3339(end)[:10])
        except (ValueError, self._package.errors.CalendarError) as error:
            raise TapewatchError(
                f"calendar {self.code} does not reach from {to_rfc3339(start)[:10]} to {to_rfc3339(end)[:10]}",
                "Update exchange_calendars, or check this machine's clock.",
            ) from error
        edges = np.concatenate(
            [
                calendar.opens_nanos,
                calendar.break_starts_nanos,
                calendar.break_ends_nanos,
                calendar.closes_nanos,
            ]
        ).astype(np.int64)
        edges = edges[edges != np.iinfo(np.int64).min]  # no break
        times, counts = np.unique(edges, return_counts=True)
        # A session that opens at the moment at which the one before closes: no change.
        self._edges = times[counts == 1]
        # Half of the year ahead, so that the next change is always among those worked out.
        self._known = (start + DAY_NS, ns + AFTER_NS // 2)
