"""The source `twse-daily`: prices, the institutions' net buying and margin balances of each day, as factors.

Catching up with TWSE's daily reports: what is public and not stored yet, one report and day at a time.
"""

import argparse
import asyncio
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import date, timedelta
from typing import Any, Protocol

import msgspec

from producers.base.answers import HttpError
from producers.base.collector import Collector
from producers.base.factor_outlet import FactorOutlet, KafkaFactorOutlet, ScreenFactorOutlet
from producers.base.http import Http, TokenBucket
from producers.base.polling import look_until
from producers.base.sessions import SessionCalendar
from producers.venues.twse.daily import DailyDecoder, State
from producers.venues.twse.instruments import TWSE, asked_for
from producers.venues.twse.reports import DAILY, STOCK_DAY, Report, at, taipei_day
from tapewatch import logs
from tapewatch.clock import NANOS, WALL, Clock
from tapewatch.contract.messages import Factor
from tapewatch.errors import TapewatchError
from tapewatch.settings import Settings

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


SOURCE = "twse-daily"
PER_SECOND = 0.5
"""TWSE's web site blocks an address that sends more than about three requests in five seconds, for an hour or so."""
USUAL_DAYS = 7


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.epilog = "example: tapewatch produce twse-daily --symbols 2330,0050 --since 2024-01-02 --once"
    names = ", ".join([*DAILY, STOCK_DAY.name])
    parser.add_argument("--symbols", default="", metavar="A,B,...", help="whose values (default: all)")
    parser.add_argument("--reports", default=",".join(DAILY), metavar="A,B,...", help=f"of {names}")
    parser.add_argument(
        "--since",
        default="",
        metavar="YYYY-MM-DD",
        help=f"first day at the first start (default: {USUAL_DAYS} days ago)",
    )
    parser.add_argument("--every", type=float, default=300.0, metavar="S", help="between two looks (default: 300)")
    parser.add_argument("--once", action="store_true", help="end when nothing public is missing")


async def pull(
    settings: Settings, args: argparse.Namespace, stop: asyncio.Event, say: Callable[[str], None]
) -> dict[str, Any]:
    """Store what is new until stopped."""
    instruments = only_listed(asked_for(args.symbols.split(",")))
    reports = _reports(args.reports, instruments)
    since = _day(args.since) if args.since else taipei_day(WALL.now()) - timedelta(days=USUAL_DAYS)
    outlet: FactorOutlet = ScreenFactorOutlet(sys.stdout) if args.dry_run else KafkaFactorOutlet(settings, SOURCE)
    web = Http(settings.produce, settings.venues.twse.web, bucket=TokenBucket(PER_SECOND, 1.0))
    run = DailyRun(web, outlet, reports, since, SessionCalendar(TWSE), WALL, instruments)

    async def look() -> str:
        whole = await run.look()
        return f"{SOURCE}: {run.stored:,} factors stored{'' if whole else ', some reports are not out yet'}"

    try:
        await look_until(stop, look, args.every, say, once=args.once)
    finally:
        await web.close()
        await asyncio.to_thread(outlet.close)
    collector = run.decoder.collector
    return {
        "factors": run.stored,
        "series": dict(sorted(run.decoder.given.items())),
        "messages": dict(collector.messages),
        "dropped": dict(collector.dropped),
        "refused": dict(collector.refused),
    }


def _reports(text: str, instruments: list[str]) -> list[str]:
    """Names of reports; TapewatchError for an unknown one, and for months of everything."""
    names = [word.strip() for word in text.split(",") if word.strip()]
    unknown = [name for name in names if name not in DAILY and name != STOCK_DAY.name]
    if unknown or not names:
        raise TapewatchError(f"no report {', '.join(unknown)}", f"Use {', '.join([*DAILY, STOCK_DAY.name])}.")
    if STOCK_DAY.name in names and not instruments:
        raise TapewatchError("stock-day is asked for by instrument", "Name them with --symbols.")
    return names


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise TapewatchError(f"{text!r} is no day", "Write YYYY-MM-DD, as in 2024-01-02.") from None
