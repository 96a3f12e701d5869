"""How far a venue's clock is from ours: from questions with their round trips, else from the fastest messages."""

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from producers.base.answers import Answer, http_date_ns
from tapewatch.clock import NANOS

SAMPLES = 16
OLDEST_NS = 900 * NANOS
"""A sample older than this, by the newest one, is forgotten: clocks are set."""
WINDOW_NS = 60 * NANOS
LIMIT_S = 5.0

Times = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Offset:
    """Venue's clock minus ours. offset_s : positive where the venue's is ahead; within_s : error at most, infinite for
    one_way, whose value is wrong by the unknown way of the fastest message; method : round_trip or one_way
    """

    offset_s: float
    within_s: float
    method: str


class ClockOffset:
    """Estimates of one venue's clock.

    A question asked at t0 and answered at t1 with the venue's time s gives s - (t0 + t1) / 2, wrong by at most half
    the round trip (as in NTP, RFC 5905, with the venue's two times taken as one). What the bounds of the newest samples
    have in common counts (as in Marzullo's algorithm), so that even times in whole seconds become fine; where they
    contradict each other, as after a clock was set, the narrowest.
    limit_s : a clock surely further off than this is `exceeded`
    """

    def __init__(self, limit_s: float = LIMIT_S) -> None:
        self.limit_s = limit_s
        self._trips: deque[tuple[int, float, float]] = deque(maxlen=SAMPLES)
        self._fastest: int | None = None
        self._fastest_before: int | None = None
        self._window_ends = 0

    def round_trip(self, asked: int, received: int, venue: int, resolution_ns: int = 0) -> None:
        """Take a question and its answer, UTC nanoseconds. resolution_ns : the venue cuts its time down to that"""
        if asked > received:
            return
        middle = venue + resolution_ns / 2 - (asked + received) / 2
        self._trips.append((received, middle / NANOS, (received - asked + resolution_ns) / 2 / NANOS))
        while self._trips[0][0] < received - OLDEST_NS:
            self._trips.popleft()

    def answer(self, answer: Answer) -> None:
        """Take a web service's answer by its Date header, which tells whole seconds."""
        venue = http_date_ns(answer.headers.get("Date"))
        if venue is not None:
            self.round_trip(answer.asked, answer.received, venue, NANOS)

    def events(self, event: Times, received: Times) -> None:
        """Take pushed messages: venue times and receipt times, int64[messages], UTC nanoseconds, as they come."""
        if not len(event):
            return
        now = int(received[-1])
        if now >= self._window_ends:
            # The fastest of the window before stays in force until this one has seen messages of its own.
            self._fastest_before = self._fastest if now < self._window_ends + WINDOW_NS else None
            self._fastest, self._window_ends = None, now + WINDOW_NS
        fastest = int((received - event).min())
        self._fastest = fastest if self._fastest is None else min(self._fastest, fastest)

    @property
    def estimate(self) -> Offset | None:
        """The best estimate, None before the first sample."""
        if self._trips:
            least = max(offset_s - within_s for _, offset_s, within_s in self._trips)
            most = min(offset_s + within_s for _, offset_s, within_s in self._trips)
            if least <= most:
                return Offset((least + most) / 2, (most - least) / 2, "round_trip")
            _, offset_s, within_s = min(self._trips, key=lambda trip: trip[2])
            return Offset(offset_s, within_s, "round_trip")
        fastest = [value for value in (self._fastest, self._fastest_before) if value is not None]
        return Offset(-min(fastest) / NANOS, math.inf, "one_way") if fastest else None

    @property
    def exceeded(self) -> bool:
        """Whether the clocks are further apart than the limit, whatever the error; one_way: as far as it tells."""
        found = self.estimate
        if found is None:
            return False
        within_s = found.within_s if math.isfinite(found.within_s) else 0.0
        return abs(found.offset_s) - within_s > self.limit_s

    def as_dict(self) -> dict[str, float | str | bool | None]:
        """The estimate for a summary; None where there is none."""
        found = self.estimate
        if found is None:
            return {"offset_s": None, "within_s": None, "method": None, "exceeded": False}
        within_s = round(found.within_s, 6) if math.isfinite(found.within_s) else None
        offset_s = round(found.offset_s, 6)
        return {"offset_s": offset_s, "within_s": within_s, "method": found.method, "exceeded": self.exceeded}
