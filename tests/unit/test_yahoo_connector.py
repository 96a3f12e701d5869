"""The Yahoo feed against its simulator: each whole bar once, through every fault that applies."""

import argparse
import asyncio
from pathlib import Path

import pytest

from producers.base.decoder import DecoderRequest
from producers.base.tape import Tape
from producers.simulators.faults import FaultKind, FaultPlan
from producers.simulators.yahoo import YahooVenue
from producers.venues.polled import PollingConnector
from producers.venues.yahoo.history import windows
from producers.venues.yahoo.source import connect
from producers.venues.yahoo.symbols import chart
from tapewatch.clock import NANOS, ManualClock
from tapewatch.contract.rows import StatusKind
from tapewatch.errors import TapewatchError
from tapewatch.settings import Settings
from tests.unit.chart_station import START, minutes, simulated, station_of

DAY = 86_400


def connector(settings: Settings, symbols: tuple[str, ...] = ("AAPL",)) -> PollingConnector:
    return connect(settings, argparse.Namespace(symbols=symbols, interval="1m", delayed=0.0, calendar="", dry_run=True))


def expected(venue: YahooVenue, symbol: str, first: int, last: int) -> list[tuple[int, float]]:
    """Opening and close of the true bars of some minutes after the start."""
    bars = ((START + 60 * minute, venue.bar(symbol, START + 60 * minute)) for minute in range(first, last))
    return [(at * NANOS, bar.close / 100.0) for at, bar in bars if bar is not None]


def rows(found: PollingConnector, code: int = 1) -> list[tuple[int, float]]:
    return [(row[3], row[8]) for row in found.decoder.collector.bars if row[0] == code]


def statuses(found: PollingConnector) -> list[tuple[int, str]]:
    return [(row[3], row[4]) for row in found.decoder.collector.statuses]


def watched(
    plan: FaultPlan | None = None, *, until: int = 20, cut: range = range(0)
) -> tuple[YahooVenue, PollingConnector]:
    """A feed that polls each minute; in the minutes of `cut` it is not asked. The venue and what it gave."""

    async def run() -> tuple[YahooVenue, PollingConnector]:
        venue, clock = YahooVenue(["AAPL", "MSFT"]), ManualClock((START + 7) * NANOS)
        async with simulated(venue, clock) as settings:
            found = connector(settings, ("AAPL", "MSFT"))
            async with station_of(settings, found, clock, ["AAPL", "MSFT"]) as station:
                await found.poll(station)
                for minute in range(until):
                    clock.sleep(60)
                    if minute not in cut:
                        await found.poll(station)
        return venue, found

    return asyncio.run(run())


def test_each_traded_minute_becomes_one_row_and_the_unfinished_one_none() -> None:
    venue, found = watched()
    assert rows(found, 1) == expected(venue, "AAPL", -1, 20)
    assert rows(found, 2) == expected(venue, "MSFT", -1, 20)
    collector = found.decoder.collector
    assert collector.messages["bar"] == len(collector.bars) + collector.dropped.total()
    assert statuses(found) == []


def test_cut_of_minutes_loses_nothing_that_the_venue_still_shows() -> None:
    venue, found = watched(cut=range(5, 8))
    assert rows(found) == expected(venue, "AAPL", -1, 20)


def test_cut_of_half_an_hour_is_said_and_the_rest_goes_on() -> None:
    venue, found = watched(until=45, cut=range(5, 35))
    assert rows(found)[:6] == expected(venue, "AAPL", -1, 20)[:6]
    assert rows(found)[-9:] == expected(venue, "AAPL", 20, 45)[-9:]
    gaps = [detail for kind, detail in statuses(found) if kind == StatusKind.GAP]
    assert len(gaps) == 2
    assert "came too late" in gaps[0]
    assert found.decoder.collector.dropped["too_old"] > 0


@pytest.mark.parametrize(
    ("kind", "count"),
    [("http_500", 3), ("http_503", 3), ("html", 3), ("truncated_gzip", 3), ("http_500", 5), ("html", 5)],
)
def test_faults_of_the_venue_cost_no_bar(kind: str, count: int) -> None:
    async def run() -> None:
        plan = FaultPlan()
        venue, clock = YahooVenue(["AAPL"]), ManualClock((START + 7) * NANOS)
        async with simulated(venue, clock, plan) as settings:
            found = connector(settings)
            async with station_of(settings, found, clock, ["AAPL"]) as station:
                await found.poll(station)
                plan.now(FaultKind(kind), count=count)
                for _ in range(3):
                    clock.sleep(60)
                    await found.poll(station)
        assert plan.injected[FaultKind(kind)] == count
        assert rows(found) == expected(venue, "AAPL", -1, 3)
        kinds = [kind for kind, _ in statuses(found)]
        assert kinds == ([StatusKind.GAP, StatusKind.RESYNC] if count == 5 else [])

    asyncio.run(run())


def test_symbol_that_was_delisted_is_refused_with_a_gap_and_the_others_go_on(tmp_path: Path) -> None:
    async def run() -> None:
        plan, path = FaultPlan(), tmp_path / "tape"
        tape = Tape(path, "yahoo", settings={"interval_s": 60})
        venue, clock = YahooVenue(["AAPL", "MSFT"]), ManualClock((START + 7) * NANOS)
        async with simulated(venue, clock, plan) as settings:
            found = connector(settings, ("AAPL", "MSFT"))
            async with station_of(settings, found, clock, ["AAPL", "MSFT"], tape) as station:
                await found.poll(station)
                plan.now(FaultKind.DELISTED, match="AAPL")
                clock.sleep(60)
                await found.poll(station)
        tape.close()
        collector = found.decoder.collector
        assert collector.refused == {"unknown_symbol": 1}
        assert statuses(found) == [(StatusKind.GAP, "no chart: unknown_symbol")]
        assert rows(found, collector.code("MSFT.XNAS")) == expected(venue, "MSFT", -1, 1)
        assert path.read_bytes().count(b"No data found") == 1

    asyncio.run(run())


def test_listing_leaves_unknown_symbols_out_and_takes_our_ids_too() -> None:
    async def run() -> None:
        venue, clock = YahooVenue(["AAPL"]), ManualClock(START * NANOS)
        async with simulated(venue, clock) as settings:
            found = connector(settings, ("NONE", "AAPL.XNAS"))
            async with station_of(settings, found, clock, ["AAPL"]) as station:
                (one,) = await found.listed(station)
        assert (one.symbol, one.instrument.id, one.instrument.currency) == ("AAPL", "AAPL.XNAS", "USD")
        assert (one.instrument.session.open, one.instrument.session.close) == ("14:30", "21:00")

    asyncio.run(run())


def test_feed_without_symbols_is_an_error_that_says_so() -> None:
    with pytest.raises(TapewatchError, match="lists no symbols"):
        connector(Settings(), ())


def test_chart_of_another_interval_is_refused() -> None:
    async def run() -> None:
        venue, clock = YahooVenue(["AAPL"]), ManualClock(START * NANOS)
        async with simulated(venue, clock) as settings:
            found = connector(settings)
            async with station_of(settings, found, clock, ["AAPL"]) as station:
                want = DecoderRequest("chart", "AAPL")
                http = station.http(settings.venues.yahoo.rest)
                answer = await chart(http, "AAPL", "5m", station.now() - minutes(30), station.now())
                found.decoder.answer(want, answer.body, answer.received)
        assert found.decoder.collector.refused == {"wrong_interval": 1}

    asyncio.run(run())


def test_windows_keep_yahoos_limits() -> None:
    now = 100 * DAY * NANOS
    found = list(windows("1m", 0, now))
    assert all(0 < end - begin <= 7 * DAY * NANOS for begin, end in found)
    assert found[0][0] > now - 30 * DAY * NANOS
    assert [begin for begin, _ in found[1:]] == [end for _, end in found[:-1]]
    assert found[-1][1] == now
    assert list(windows("5m", now - DAY * NANOS, now)) == [(now - DAY * NANOS, now)]
