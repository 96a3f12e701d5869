"""Catching up with TWSE's daily reports: what is public and not stored yet, one report and day at a time."""

import asyncio
from collections.abc import Collection, Iterator, Sequence
from datetime import date, timedelta
from typing import Protocol

import msgspec

from producers.base.answers import HttpError
from producers.base.collector import Collector
from producers.base.factor_outlet import FactorOutlet
from producers.base.http import Http
from producers.venues.twse.daily import DailyDecoder, State
from producers.venues.twse.instruments import TWSE
from producers.venues.twse.reports import DAILY, STOCK_DAY, Report
from producers.venues.twse.roc import at, taipei_day
from tapewatch import logs
from tapewatch.clock import NANOS, Clock
from tapewatch.contract.messages import Factor

GIVEN_UP_NS = 20 * 3600 * NANOS
"""A report that is not out so long after its usual time will not come: no trading, as on a day of a typhoon."""


class Sessions(Protocol):
    """When the exchange trades."""

    def is_open(self, ns: int) -> bool:
        """Whether a session runs at that time, UTC nanoseconds."""
        ...


class DailyRun:
    """Reports of the days since the position, oldest first.

    reports : names; instruments : ids wanted, empty for all (the report stock-day needs them); since : first day at the
    very first start; stored : factors written
    """

    def __init__(
        self,
        web: Http,
        outlet: FactorOutlet,
        reports: Sequence[str],
        since: date,
        sessions: Sessions,
        clock: Clock,
        instruments: Collection[str] = (),
    ) -> None:
        self.decoder = DailyDecoder(Collector(), frozenset(instruments))
        self.stored = 0
        self._web, self._outlet, self._reports, self._since = web, outlet, list(reports), since
        self._sessions, self._clock, self._instruments = sessions, clock, sorted(instruments)
        self._done: dict[str, str] | None = None
        self._log = logs.get("twse")

    async def look(self) -> bool:
        """Store what is public; whether nothing is left. A report that fails does not keep the others from it."""
        if self._done is None:
            kept = await asyncio.to_thread(self._outlet.position)
            self._done = msgspec.json.decode(kept, type=dict[str, str]) if kept else {}
        whole = True
        for name in self._reports:
            try:
                whole &= await (self._months(name) if name == STOCK_DAY.name else self._days(DAILY[name]))
            except HttpError as error:
                whole = False
                self.decoder.collector.messages[name] += 1
                self.decoder.collector.dropped[error.reason] += 1
                self._log.warning("report failed", report=name, reason=error.reason, detail=error.detail)
        await asyncio.to_thread(self._outlet.refuse, self.decoder.collector)
        return whole

    async def _days(self, report: Report) -> bool:
        """A report of every day; stops at one that is not out yet."""
        for day in self._missing(report):
            answer = await self._web.get(report.path, report.parameters(day), expect_json=False)
            found = self.decoder.read(report, day, answer.body, answer.received)
            early = answer.received - report.published_at(day) < GIVEN_UP_NS
            if found.state is State.REFUSED or (found.state is State.ABSENT and early):
                return False
            await self._store(report.name, day, found.factors)
        return True

    async def _months(self, name: str) -> bool:
        """The months of some instruments, which hold each day in a row; days that are stored already are left out."""
        days = list(self._missing(STOCK_DAY))
        for month in dict.fromkeys(day.replace(day=1) for day in days):
            wanted = [day for day in days if day.replace(day=1) == month]
            factors: list[Factor] = []
            for instrument in self._instruments:
                query = {"date": f"{month:%Y%m%d}", "stockNo": instrument.partition(".")[0], "response": "json"}
                answer = await self._web.get(STOCK_DAY.path, query, expect_json=False)
                found = self.decoder.read_month(STOCK_DAY, instrument, wanted, answer.body, answer.received)
                if found.state is State.REFUSED:
                    return False
                factors += found.factors
            newest = max((factor.period for factor in factors), default="")
            if not newest and taipei_day(self._clock.now()).replace(day=1) == month:
                return False
            await self._store(name, date.fromisoformat(newest) if newest else wanted[-1], factors)
        return True

    def _missing(self, report: Report) -> Iterator[date]:
        """Days with a session after the last stored one whose report counts as public."""
        done = (self._done or {}).get(report.name)
        day = date.fromisoformat(done) + timedelta(days=1) if done else self._since
        now = self._clock.now()
        while day <= taipei_day(now) and report.published_at(day) <= now:
            if self._sessions.is_open(at(day, "10:00")):
                yield day
            day += timedelta(days=1)

    async def _store(self, name: str, day: date, factors: list[Factor]) -> None:
        """Factors and position together."""
        self._done = {**(self._done or {}), name: day.isoformat()}
        await asyncio.to_thread(self._outlet.write, factors, msgspec.json.encode(self._done, order="sorted"))
        self.stored += len(factors)


def only_listed(instruments: Sequence[str]) -> list[str]:
    """Those of the exchange: TWSE's reports know no others."""
    return [instrument for instrument in instruments if instrument.endswith(f".{TWSE}")]
