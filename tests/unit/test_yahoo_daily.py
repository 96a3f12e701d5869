"""Daily series as factors: when they are public, what an action restates, and where a second look goes on."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from producers.base.collector import Collector, RefusedMessage
from producers.base.http import Http
from producers.simulators.yahoo import Action, YahooVenue
from producers.venues.yahoo.chart import PUBLISHED_LAG_NS
from producers.venues.yahoo.daily import DailySeries, SeriesPosition
from producers.venues.yahoo.symbols import merged
from tapewatch.clock import NANOS, ManualClock
from tapewatch.contract.instruments import CorporateAction, Instrument, Tick
from tapewatch.contract.messages import Factor
from tapewatch.rfc3339 import from_rfc3339
from tests.unit.chart_station import simulated

DAY = 86_400


def at(text: str) -> int:
    """Seconds of a UTC time."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


class MemoryFactorOutlet:
    """Keeps what is stored."""

    def __init__(self) -> None:
        self.factors: list[Factor] = []
        self.instruments: dict[str, Instrument] = {}
        self.refused: list[RefusedMessage] = []
        self._positions: dict[str, SeriesPosition] = {}

    def positions(self) -> dict[str, SeriesPosition]:
        return dict(self._positions)

    def register(self, fresh: Instrument) -> None:
        self.instruments[fresh.id] = merged(self.instruments.get(fresh.id), fresh)

    def write(self, factors: Sequence[Factor], positions: Mapping[str, SeriesPosition]) -> None:
        self.factors += factors
        self._positions = dict(positions)

    def refuse(self, collector: Collector) -> None:
        self.refused += collector.take_refused()

    def close(self) -> None:
        """Nothing to do."""

    def of(self, series: str, period: str) -> list[Factor]:
        return [factor for factor in self.factors if (factor.series, factor.period) == (series, period)]


def looked(venue: YahooVenue, times: Sequence[str], symbols: Sequence[str] = ("AAPL",)) -> MemoryFactorOutlet:
    """What looks at these times store, from 2 March 2026 on."""

    async def run() -> MemoryFactorOutlet:
        clock, output = ManualClock(), MemoryFactorOutlet()
        async with simulated(venue, clock) as settings:
            http = Http(settings.produce, settings.venues.yahoo.rest, clock=clock)
            series = DailySeries(http, output, symbols, "2026-03-02", clock)
            try:
                for time in times:
                    clock.sleep(at(time) - clock.now() / NANOS)
                    await series.look()
            finally:
                await http.close()
        return output

    return asyncio.run(run())


def test_day_is_stored_when_its_session_is_over_and_says_when_it_was_public() -> None:
    venue = YahooVenue(["AAPL"])
    output = looked(venue, ["2026-03-06T22:00", "2026-03-06T22:30"])
    assert {factor.period for factor in output.factors[:20]} >= {"2026-03-02", "2026-03-05"}
    (close,) = output.of("close", "2026-03-06")
    assert from_rfc3339(close.published_at) == at("2026-03-06T21:00") * NANOS + PUBLISHED_LAG_NS
    assert from_rfc3339(close.received) == at("2026-03-06T22:30") * NANOS
    bar = venue.bar("AAPL", at("2026-03-06T14:30"))
    assert bar is not None
    assert (close.value, close.unit, close.instrument, close.revision) == (bar.close / 100.0, "USD", "AAPL.XNAS", 0)
    assert output.of("volume", "2026-03-06")[0].unit == "shares"
    assert all(from_rfc3339(factor.published_at) <= from_rfc3339(factor.received) for factor in output.factors)


def test_second_look_stores_only_what_is_new() -> None:
    output = looked(YahooVenue(["AAPL"]), ["2026-03-06T12:00", "2026-03-06T12:15", "2026-03-07T12:00"])
    assert len({factor.id for factor in output.factors}) == len(output.factors)
    assert len(output.of("close", "2026-03-06")) == 1


def test_split_restates_every_earlier_value_as_a_revision_that_was_not_public_before_it() -> None:
    venue = YahooVenue(["AAPL"])
    venue.actions["AAPL"] = [Action(at("2026-03-09T14:30"), "split", 4.0)]
    output = looked(venue, ["2026-03-07T12:00", "2026-03-09T15:00", "2026-03-10T12:00"])
    before, after = output.of("close", "2026-03-05")
    assert (before.revision, after.revision) == (0, 1)
    assert after.value == round(before.value / 4.0, 4)
    assert before.id != after.id
    assert from_rfc3339(after.published_at) == at("2026-03-09T15:00") * NANOS
    (day,) = output.of("close", "2026-03-09")
    assert day.revision == 0
    assert output.instruments["AAPL.XNAS"].actions == (CorporateAction("2026-03-09", "split", factor=0.25),)


def test_dividend_restates_adjusted_closes_alone() -> None:
    venue = YahooVenue(["AAPL"])
    venue.actions["AAPL"] = [Action(at("2026-03-09T14:30"), "dividend", 2.0)]
    output = looked(venue, ["2026-03-07T12:00", "2026-03-10T12:00"])
    assert [factor.revision for factor in output.of("adjclose", "2026-03-05")] == [0, 1]
    assert [factor.revision for factor in output.of("close", "2026-03-05")] == [0]


def test_history_that_begins_after_an_action_is_not_public_before_it() -> None:
    venue = YahooVenue(["AAPL"])
    venue.actions["AAPL"] = [Action(at("2026-03-09T14:30"), "split", 4.0)]
    output = looked(venue, ["2026-03-20T12:00"])
    (close,) = output.of("close", "2026-03-05")
    assert close.revision == 1
    assert from_rfc3339(close.published_at) == at("2026-03-09T21:00") * NANOS + PUBLISHED_LAG_NS


def test_unknown_symbol_is_kept_as_refused_and_the_others_go_on() -> None:
    output = looked(YahooVenue(["^GSPC"]), ["2026-03-07T12:00"], ("NONE", "^GSPC"))
    assert [refused.reason for refused in output.refused] == ["unknown_symbol"]
    assert {factor.instrument for factor in output.factors} == {"GSPC-INDEX.YAHOO"}
    assert output.of("close", "2026-03-05")[0].unit == "points"


def test_registered_reference_data_of_others_stays_and_gains_the_actions() -> None:
    known = Instrument(
        "AAPL.XNAS", "Apple", "USD", ticks=(Tick(0.0, 0.01),), actions=(CorporateAction("2020-01-01", "x"),)
    )
    fresh = Instrument("AAPL.XNAS", "other", actions=(CorporateAction("2026-03-09", "split", factor=0.25),))
    found = merged(known, fresh)
    assert (found.name, found.ticks) == ("Apple", known.ticks)
    assert [action.date for action in found.actions] == ["2020-01-01", "2026-03-09"]
    assert merged(None, fresh) == fresh
