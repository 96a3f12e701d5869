"""The Kiwoom feed against its simulator: signs, order, continuation, tokens, limits."""

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from producers.base.answers import HttpError
from producers.base.http import Http
from producers.simulators.faults import FaultKind, FaultPlan
from producers.simulators.kiwoom import KiwoomVenue
from producers.venues.bars import Bar
from producers.venues.kiwoom.charts import KiwoomCharts, whole
from producers.venues.kiwoom.client import KiwoomClient, keys
from producers.venues.kiwoom.source import connect
from producers.venues.polled import PollingConnector
from tapewatch.clock import NANOS, ManualClock
from tapewatch.contract.rows import StatusKind
from tapewatch.errors import TapewatchError
from tapewatch.settings import Settings
from tapewatch.settings.venues import KiwoomSettings
from tests.unit.chart_station import START, simulated, station_of

CODES = ("005930", "000660")


def connector(settings: Settings) -> PollingConnector:
    return connect(settings, argparse.Namespace(minutes=1, dry_run=True))


def expected(venue: KiwoomVenue, code: str, first: int, last: int) -> list[tuple[float, ...]]:
    """Opening, prices and volume of the true bars of some minutes after the start."""
    bars = (venue.bar(code, START + 60 * minute) for minute in range(first, last))
    return [(bar.opened * NANOS, bar.open, bar.high, bar.low, bar.close, bar.volume) for bar in bars]


def asked(venue: KiwoomVenue, work: Callable[[KiwoomCharts, ManualClock], Awaitable[Any]]) -> Any:
    """What `work` gets with a client of the simulated venue."""

    async def run() -> Any:
        clock = ManualClock((START + 7) * NANOS)
        async with simulated(venue, clock) as settings:
            http = Http(settings.produce, settings.venues.kiwoom.rest, clock=clock)
            try:
                client = KiwoomClient(http, *keys(settings.venues.kiwoom), clock)
                return await work(KiwoomCharts(client, 1), clock)
            finally:
                await http.close()

    return asyncio.run(run())


def test_each_minute_becomes_one_row_without_signs_oldest_first() -> None:
    async def run() -> None:
        venue, clock = KiwoomVenue(CODES), ManualClock((START + 7) * NANOS)
        async with simulated(venue, clock) as settings:
            found = connector(settings)
            async with station_of(settings, found, clock, CODES) as station:
                for _ in range(6):
                    await found.poll(station)
                    clock.sleep(60)
        collector = found.decoder.collector
        for code in CODES:
            ours = [row for row in collector.bars if row[0] == collector.code(f"{code}.XKRX")]
            assert [(row[3], *row[5:10]) for row in ours] == expected(venue, code, -1, 5)
        assert collector.messages["bar"] == len(collector.bars) + collector.dropped.total()
        assert len(venue.tokens) == 1

    asyncio.run(run())


@pytest.mark.parametrize("kind", ["http_500", "http_503", "html", "truncated_gzip"])
def test_venue_that_fails_for_a_while_leaves_a_gap_row_and_loses_no_bar(kind: str) -> None:
    async def run() -> None:
        plan = FaultPlan()
        venue, clock = KiwoomVenue(CODES[:1]), ManualClock((START + 7) * NANOS)
        async with simulated(venue, clock, plan) as settings:
            found = connector(settings)
            async with station_of(settings, found, clock, CODES) as station:
                await found.poll(station)
                plan.now(FaultKind(kind), count=5)
                for _ in range(3):
                    clock.sleep(60)
                    await found.poll(station)
        collector = found.decoder.collector
        assert [row[3] for row in collector.bars] == [bar[0] for bar in expected(venue, CODES[0], -1, 3)]
        assert [row[3] for row in collector.statuses] == [StatusKind.GAP, StatusKind.RESYNC]

    asyncio.run(run())


def test_token_that_the_venue_takes_no_more_is_renewed() -> None:
    venue = KiwoomVenue(CODES)

    async def work(charts: KiwoomCharts, clock: ManualClock) -> int:
        await charts.since(CODES[0], (START - 600) * NANOS)
        venue.expire()
        return len(await charts.since(CODES[0], (START - 600) * NANOS))

    assert asked(venue, work) == 10
    assert (len(venue.tokens), venue.refusals["8005"]) == (2, 1)


def test_token_is_renewed_before_it_expires() -> None:
    venue = KiwoomVenue(CODES, token_s=3_600.0)

    async def work(charts: KiwoomCharts, clock: ManualClock) -> None:
        for _ in range(4):
            await charts.since(CODES[0], START * NANOS)
            clock.sleep(1_100)

    asked(venue, work)
    assert (len(venue.tokens), venue.refusals["8005"]) == (2, 0)


def test_pages_are_continued_until_the_begin_that_was_asked_for() -> None:
    venue = KiwoomVenue(CODES, page_rows=50)

    async def work(charts: KiwoomCharts, clock: ManualClock) -> Any:
        return await charts.since(CODES[0], (START - 60 * 170) * NANOS)

    bars = asked(venue, work)
    assert [(bar.opened, bar.open, bar.high, bar.low, bar.close, bar.volume) for bar in bars] == expected(
        venue, CODES[0], -170, 0
    )


def test_pages_end_where_the_venue_has_no_more() -> None:
    venue = KiwoomVenue(CODES, page_rows=50, begins=START - 60 * 70)

    async def work(charts: KiwoomCharts, clock: ManualClock) -> Any:
        return await charts.since(CODES[0], 0)

    assert len(asked(venue, work)) == 70


def test_request_too_many_waits_and_is_asked_again() -> None:
    venue = KiwoomVenue(CODES, page_rows=10, per_second=2)

    async def work(charts: KiwoomCharts, clock: ManualClock) -> int:
        later = asyncio.get_running_loop().call_later(0.2, clock.sleep, 5.0)
        try:
            return len(await charts.since(CODES[0], (START - 60 * 25) * NANOS))
        finally:
            later.cancel()

    assert asked(venue, work) >= 25
    assert venue.refusals["1700"] >= 1


def test_unknown_code_is_an_error_in_the_venues_words() -> None:
    async def work(charts: KiwoomCharts, clock: ManualClock) -> None:
        with pytest.raises(HttpError, match="1902"):
            await charts.since("999999", 0)

    asked(KiwoomVenue(CODES), work)


def test_wrong_keys_are_an_error_that_tells_neither() -> None:
    async def run() -> None:
        clock = ManualClock(START * NANOS)
        async with simulated(KiwoomVenue(CODES), clock) as settings:
            http = Http(settings.produce, settings.venues.kiwoom.rest, clock=clock)
            try:
                with pytest.raises(TapewatchError, match="gives no token") as caught:
                    await KiwoomCharts(KiwoomClient(http, "hidden-key", "hidden-secret", clock), 1).since("005930", 0)
            finally:
                await http.close()
        assert "hidden" not in caught.value.message + caught.value.hint

    asyncio.run(run())


def test_key_files_that_are_not_set_or_not_there_are_named() -> None:
    with pytest.raises(TapewatchError, match=r"venues\.kiwoom\.key_file is not set"):
        keys(KiwoomSettings())
    with pytest.raises(TapewatchError, match="cannot read /none"):
        keys(msgspec.structs.replace(KiwoomSettings(), key_file="/none"))


def test_bar_is_whole_once_a_later_one_is_there_or_its_end_is_seconds_ago() -> None:
    bars = [Bar(minute * 60 * NANOS, 1.0, 1.0, 1.0, 1.0, 1.0) for minute in range(1, 3)]
    assert whole(bars, 60, 121 * NANOS) == bars[:1]
    assert whole(bars, 60, 184 * NANOS) == bars[:1]
    assert whole(bars, 60, 185 * NANOS) == bars
    assert whole([], 60, 0) == []
