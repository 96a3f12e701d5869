"""The live source `twse` against MIS and Yahoo on loopback: every fault that applies, and takeover both ways."""

import asyncio
from pathlib import Path

import pytest

from producers.base.universe import Choice
from producers.recordings import open_recording
from producers.simulators.faults import Fault, FaultKind
from producers.venues.twse.arbiter import MIS, YAHOO
from tapewatch.contract.rows import RowType, StatusKind
from tests.integration.taiwan_run import taiwan, told

CHANNELS = ["tse_2330.tw", "tse_0050.tw", "otc_6547.tw"]
TSMC = "2330.XTAI"


def test_quotes_and_books_equal_the_venue_and_reference_data_come_first() -> None:
    async def work() -> None:
        async with taiwan(CHANNELS) as run:
            await run.until(lambda: len(run.rows(RowType.QUOTE)) > 20)
            await run.until(run.in_step)
            assert set(run.kept.instruments) == {TSMC, "0050.XTAI", "6547.ROCO"}
            assert run.kept.instruments["0050.XTAI"].kind == "etf"
            assert len(run.rows(RowType.BOOK)) == len(run.rows(RowType.QUOTE))
            assert not run.statuses(StatusKind.GAP) and run.venue.blocked == 0
        assert run.accounted()

    asyncio.run(work())


def test_symbols_by_name_are_asked_of_mis_alone_and_the_most_traded_are_found_in_the_reports() -> None:
    async def work() -> None:
        async with taiwan(CHANNELS, asked=[TSMC], choice=Choice(symbols=(TSMC,))) as run:
            assert run.kept.instruments[TSMC].name == "模擬2330" and len(run.kept.instruments) == 1
            assert run.venue.answered["reports"] == 0
        async with taiwan(CHANNELS, choice=Choice(top=2)) as run:
            assert len(run.kept.instruments) == 2 and run.venue.answered["reports"] == 1

    asyncio.run(work())


@pytest.mark.parametrize(
    ("fault", "count", "seconds"),
    [
        ("http_403", 12, 0.0),
        ("http_429", 2, 1.0),
        ("http_500", 12, 0.0),
        ("http_503", 12, 0.0),
        ("html", 12, 0.0),
        ("truncated_gzip", 12, 0.0),
        ("slow_body", 6, 1.0),
        ("maintenance", 1, 1.2),
    ],
)
def test_mis_that_fails_is_replaced_and_takes_back(fault: str, count: int, seconds: float) -> None:
    async def work() -> None:
        async with taiwan(CHANNELS) as run:
            run.plan.now(fault, count=count, seconds=seconds, match="" if fault == "maintenance" else "getStockInfo")
            await run.in_charge(YAHOO)
            await run.in_charge(MIS)
            await run.until(run.in_step)
            gaps, resyncs = run.statuses(StatusKind.GAP), run.statuses(StatusKind.RESYNC)
            assert gaps and gaps[0].startswith("mis: ")
            assert resyncs[0].startswith("yahoo in charge") and resyncs[-1].startswith("mis in charge")
            for name in run.kept.instruments:
                volumes = [row[1] for row in run.rows(RowType.QUOTE, "volume") if row[0] == name]
                assert volumes == sorted(volumes)
        assert run.accounted()

    asyncio.run(work())


def test_mis_that_lags_is_replaced() -> None:
    async def work() -> None:
        async with taiwan(CHANNELS) as run:
            run.venue.freeze(3.0)
            await run.in_charge(YAHOO)
            assert "lags" in run.statuses(StatusKind.GAP)[0]
            await run.in_charge(MIS)
            await run.until(run.in_step)
        assert run.accounted()

    asyncio.run(work())


@pytest.mark.parametrize("yahoo", ["crumb", "charts"])
def test_yahoo_is_asked_with_a_crumb_or_by_chart_where_it_wants_that(yahoo: str) -> None:
    async def work() -> None:
        async with taiwan(CHANNELS, yahoo=yahoo) as run:
            run.plan.now("http_503", count=30, match="getStockInfo")
            await run.until(lambda: run.decoder.arbiter.in_charge == YAHOO)
            kind = "quote" if yahoo == "crumb" else "late trade"
            await run.until(lambda: run.decoder.given[kind] > 0)
            await run.in_charge(MIS)
            await run.until(run.in_step)
        assert run.accounted()

    asyncio.run(work())


def test_without_yahoo_the_gap_stands_until_mis_is_back() -> None:
    async def work() -> None:
        async with taiwan(CHANNELS, yahoo="off") as run:
            run.plan.now("http_503", count=16, match="getStockInfo")
            await run.until(lambda: bool(run.statuses(StatusKind.GAP)))
            await run.in_charge(MIS)
            assert [detail.partition(" in ")[0] for detail in run.statuses(StatusKind.RESYNC)] == [MIS]
        assert run.accounted()

    asyncio.run(work())


def test_mis_that_fails_at_the_start_is_replaced_too() -> None:
    async def work() -> None:
        async with taiwan(CHANNELS, asked=[TSMC], faults=[Fault(FaultKind.HTTP_503, count=16, match="Info")]) as run:
            assert run.decoder.arbiter.in_charge == YAHOO
            await run.in_charge(MIS)
            await run.until(lambda: run.decoder.given["quote and book"] > 0)
        assert run.accounted()

    asyncio.run(work())


def test_old_snapshot_and_delisting_are_taken_in_stride() -> None:
    async def work() -> None:
        async with taiwan(CHANNELS) as run:
            await run.until(lambda: len(run.rows(RowType.QUOTE)) > 10)
            run.plan.now("old_snapshot", count=3)
            await run.until(lambda: run.decoder.collector.dropped["older"] > 0)
            run.plan.now("delisted", match="2330")
            await run.until(lambda: run.decoder.collector.dropped["unknown_again"] > 3)
            assert run.decoder.collector.refused == {"unknown_symbol": 1}
            await run.until(run.in_step)
        assert run.accounted()

    asyncio.run(work())


def test_venue_whose_clock_is_off_stays_in_charge() -> None:
    async def work() -> None:
        async with taiwan(CHANNELS) as run:
            run.plan.now("clock_skew", seconds=5.0)
            quotes = len(run.rows(RowType.QUOTE))
            await run.until(lambda: len(run.rows(RowType.QUOTE)) > quotes + 20)
            assert not run.statuses(StatusKind.GAP)

    asyncio.run(work())


def test_recorded_session_with_a_takeover_replays_as_its_own_rows(tmp_path: Path) -> None:
    async def work() -> list[object]:
        async with taiwan(CHANNELS, tape=tmp_path / "twse.tape.gz") as run:
            run.plan.now("http_503", count=12, match="getStockInfo")
            await run.in_charge(YAHOO)
            await run.in_charge(MIS)
        return [told(run.kept.rows, kind) for kind in (RowType.STATUS, RowType.QUOTE, RowType.BOOK)]

    live = asyncio.run(work())
    played = [rows for chunk in open_recording([tmp_path / "twse.tape.gz"]).chunks() for rows in chunk.rows]
    assert live == [told(played, kind) for kind in (RowType.STATUS, RowType.QUOTE, RowType.BOOK)]
