"""The source `twse-daily` against its simulator: catching up, going on, and what TWSE does meanwhile."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import date

from producers.base.factor_outlet import ScreenFactorOutlet
from producers.base.http import Http, TokenBucket
from producers.simulators.faults import FaultPlan
from producers.simulators.server import SimulatorServer
from producers.simulators.twse import TaiwanVenue
from producers.venues.twse.daily_source import DailyRun
from producers.venues.twse.reports import at, taipei_day
from tapewatch.clock import ManualClock
from tapewatch.rfc3339 import to_rfc3339
from tapewatch.settings.venues import ProduceSettings

CHANNELS = ["tse_2330.tw", "tse_0050.tw", "otc_6547.tw"]
TUESDAY, THURSDAY = date(2023, 1, 3), date(2023, 1, 5)
DAILY = ("prices", "institutions", "margin")


class Weekdays:
    """Sessions on every weekday; a holiday is one that the reports know nothing of."""

    def is_open(self, ns: int) -> bool:
        return taipei_day(ns).weekday() < 5


class Reports:
    """Runs against one simulator at times that a test sets."""

    def __init__(self, server: SimulatorServer, venue: TaiwanVenue, clock: ManualClock) -> None:
        self.plan, self.venue, self.clock, self._server = server.plan, venue, clock, server

    async def look(
        self, outlet: ScreenFactorOutlet, reports: Sequence[str] = DAILY, instruments: Sequence[str] = ()
    ) -> tuple[bool, DailyRun]:
        """One look of a new process."""
        produce = ProduceSettings(backoff_first_s=0.01, backoff_cap_s=0.02)
        bucket = TokenBucket(0.0, 1.0)
        web = Http(produce, self._server.addresses()["web"], bucket=bucket, clock=self.clock, attempts=2)
        run = DailyRun(web, outlet, reports, TUESDAY, Weekdays(), self.clock, instruments)
        try:
            return await run.look(), run
        finally:
            await web.close()


@asynccontextmanager
async def served(time: str) -> AsyncIterator[Reports]:
    """The simulator on Thursday at a time in Taipei."""
    clock = ManualClock(at(THURSDAY, time))
    venue = TaiwanVenue(CHANNELS, seed=1, pace=10_000.0)
    async with SimulatorServer(venue, FaultPlan(), clock=clock) as server:
        yield Reports(server, venue, clock)


def counts(outlet: ScreenFactorOutlet) -> Counter[str]:
    """Factors by day."""
    return Counter(factor.period for factor in outlet.factors)


def test_every_public_report_is_stored_once_and_the_next_process_goes_on() -> None:
    async def work() -> None:
        async with served("22:00") as reports:
            outlet = ScreenFactorOutlet()
            whole, run = await reports.look(outlet)
            # Two stocks of the exchange with 7 prices, 5 nets and 7 margin values each, and the market's margin total.
            assert whole and counts(outlet) == {"2023-01-03": 39, "2023-01-04": 39, "2023-01-05": 39}
            day = reports.venue.market.stocks["tse_2330.tw"].day(TUESDAY, 1)
            found = {(one.instrument, one.series): one.value for one in outlet.factors if one.period == "2023-01-03"}
            assert found["2330.XTAI", "close"] == day["close"] / 100
            assert found["2330.XTAI", "volume"] == day["volume"]
            assert found["2330.XTAI", "foreign_net_buy"] == day["foreign"]
            assert found["2330.XTAI", "margin_balance"] == day["margin"] * 1000
            requests = reports.venue.answered["reports"]
            again = ScreenFactorOutlet(position=outlet.position())
            assert (await reports.look(again))[0] and not again.factors
            assert reports.venue.answered["reports"] == requests
            collector = run.decoder.collector
            ended = run.decoder.given.total() + collector.dropped.total() + collector.refused.total()
            assert collector.messages.total() == ended
            assert len({one.id for one in outlet.factors}) == len(outlet.factors) == run.stored

    asyncio.run(work())


def test_nothing_is_asked_before_it_is_public() -> None:
    async def work() -> None:
        async with served("15:30") as reports:
            outlet = ScreenFactorOutlet()
            await reports.look(outlet)
            today = {one.series for one in outlet.factors if one.period == "2023-01-05"}
            assert "close" in today and "foreign_net_buy" not in today and "margin_balance" not in today
            usual = {one.published_at for one in outlet.factors if (one.period, one.series) == ("2023-01-04", "close")}
            assert usual == {to_rfc3339(at(date(2023, 1, 4), "15:00"))}

    asyncio.run(work())


def test_block_page_and_errors_leave_the_day_for_the_next_look() -> None:
    async def work() -> None:
        async with served("22:00") as reports:
            outlet = ScreenFactorOutlet()
            reports.plan.now("html", match="MI_INDEX")
            whole, run = await reports.look(outlet, ("prices",))
            assert not whole and run.decoder.collector.refused == {"not_json": 1}
            reports.plan.now("http_503", count=2, match="MI_INDEX")
            whole, run = await reports.look(outlet, ("prices",))
            assert not whole and run.decoder.collector.dropped == {"server_error": 1}
            assert counts(outlet)["2023-01-03"] == 0
            whole, _ = await reports.look(outlet, ("prices",))
            assert whole and counts(outlet) == {"2023-01-03": 14, "2023-01-04": 14, "2023-01-05": 14}

    asyncio.run(work())


def test_holiday_is_passed_over_once_it_is_sure() -> None:
    async def work() -> None:
        async with served("22:00") as reports:
            outlet = ScreenFactorOutlet()
            sections, prices = reports.venue.reports.sections, reports.venue.reports.prices
            sections["MI_INDEX"] = lambda day: [] if day in (date(2023, 1, 4), THURSDAY) else prices(day)
            whole, _ = await reports.look(outlet, ("prices",))
            assert not whole and set(counts(outlet)) == {"2023-01-03"}
            assert outlet.position() == b'{"prices":"2023-01-04"}'

    asyncio.run(work())


def test_months_of_named_instruments_hold_each_day_once() -> None:
    async def work() -> None:
        async with served("16:00") as reports:
            outlet = ScreenFactorOutlet()
            whole, _ = await reports.look(outlet, ("stock-day",), ["2330.XTAI"])
            assert whole and counts(outlet) == {"2023-01-03": 7, "2023-01-04": 7, "2023-01-05": 7}
            again = ScreenFactorOutlet(position=outlet.position())
            await reports.look(again, ("stock-day",), ["2330.XTAI"])
            assert not again.factors

    asyncio.run(work())
