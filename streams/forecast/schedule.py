"""Training each day, some time after the close of the exchange's session; a day that was missed is made up, once."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from tapewatch.clock import NANOS, Clock
from tapewatch.contract.exchanges import exchange_calendars
from tapewatch.durable_files import place
from tapewatch.errors import TapewatchError
from tapewatch.rfc3339 import to_rfc3339

_DAY_NS = 86_400 * NANOS
_BEFORE_NS = 20 * _DAY_NS
_AFTER_NS = 40 * _DAY_NS
"""Longer than any exchange stays closed."""
_SLICE_S = 1.0


class Sessions(Protocol):
    """When an exchange closes."""

    def closes(self, begin: int, end: int) -> Sequence[tuple[str, int]]:
        """Day and close of each session that closes between two times, UTC nanoseconds, in order."""
        ...


class ExchangeSessions:
    """Sessions by exchange_calendars. code : an exchange's MIC, such as XTAI"""

    def __init__(self, code: str) -> None:
        self._code = code
        self._package = exchange_calendars(code)

    def closes(self, begin: int, end: int) -> Sequence[tuple[str, int]]:
        """Day and close of each session that closes between two times, UTC nanoseconds, in order."""
        first, last = to_rfc3339(begin - _DAY_NS)[:10], to_rfc3339(end + _DAY_NS)[:10]
        try:
            calendar = self._package.get_calendar(self._code, start=first, end=last)
        except (ValueError, self._package.errors.CalendarError) as error:
            raise TapewatchError(
                f"calendar {self._code} does not reach from {first} to {last}", "Update exchange_calendars."
            ) from error
        days = [str(day)[:10] for day in calendar.sessions]
        found = zip(days, (int(close) for close in calendar.closes_nanos), strict=True)
        return [(day, close) for day, close in found if begin <= close < end]


class ScheduleState(msgspec.Struct, frozen=True):
    """How far the schedule has come. day : newest session that was trained for"""

    day: str = ""


class Schedule:
    """Trains for each session once.

    after_ns : so long after the close; state : file that remembers the newest day
    train : does a day, YYYY-MM-DD; whether it is done. A day that is not is tried again by the next start alone.
    """

    def __init__(
        self, sessions: Sessions, after_ns: int, state: Path, train: Callable[[str], bool], clock: Clock
    ) -> None:
        self._sessions, self._after_ns, self._state, self._train, self._clock = sessions, after_ns, state, train, clock
        self.days: list[str] = []
        """Done since the start."""

    def run(self, stop: threading.Event, told: Callable[[str], None]) -> None:
        """Follow the calendar until told to stop."""
        tried = self._read().day
        while not stop.is_set():
            now = self._clock.now()
            due = self._sessions.closes(now - self._after_ns - _BEFORE_NS, now - self._after_ns + 1)
            if due and due[-1][0] > tried:
                # Of several missed days the newest alone: forecasts of the others are overtaken.
                tried = due[-1][0]
                self._do(tried)
                continue
            ahead = self._sessions.closes(now - self._after_ns + 1, now + _AFTER_NS)
            if not ahead:
                raise TapewatchError("the calendar has no session ahead", "Update exchange_calendars.")
            until = ahead[0][1] + self._after_ns
            told(f"next: session of {ahead[0][0]}, at {to_rfc3339(until)[:19]}Z")
            self._wait(until, stop)

    def _do(self, day: str) -> None:
        if self._train(day):
            place(self._state, msgspec.json.encode(ScheduleState(day)))
            self.days.append(day)

    def _read(self) -> ScheduleState:
        try:
            return msgspec.json.decode(self._state.read_bytes(), type=ScheduleState)
        except (FileNotFoundError, msgspec.MsgspecError):
            return ScheduleState()

    def _wait(self, until: int, stop: threading.Event) -> None:
        """In slices, so that a stop is heard within a second."""
        while not stop.is_set() and (left := until - self._clock.now()) > 0:
            self._clock.sleep(min(_SLICE_S, left / NANOS))
