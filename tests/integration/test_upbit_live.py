"""The Upbit connector against Upbit on loopback: the happy path, and every fault that applies to it."""

import argparse
import asyncio

import pytest
from tests.integration.live_run import QUICK, Played, played

from producers.base.universe import Choice, Rule
from producers.simulators.faults import FaultKind, FaultPlan
from producers.simulators.upbit import ID_STEP, UpbitVenue
from producers.venues.spoken import SpokenConnector
from producers.venues.upbit.source import upbit
from tapewatch.rows import Condition, RowType, StatusKind
from tapewatch.settings import Settings

SYMBOLS = ["KRW-BTC", "KRW-ETH", "KRW-XRP"]


def connector(settings: Settings) -> SpokenConnector:
    return upbit(settings, argparse.Namespace())


def venue(rate: float = 400.0) -> UpbitVenue:
    return UpbitVenue(SYMBOLS, seed=3, rate=rate)


async def in_step(run: Played, venue: UpbitVenue) -> None:
    """Every book becomes the venue's, once the venue stands still."""
    rate, venue.rate = venue.rate, 0.0
    await run.until(lambda: not run.run.station.collector.waiting and all(link.is_up for link in run.run.station.links))
    venue.stir()
    await run.until(lambda: all(run.kept.book(f"{name}.UPBIT") == venue.book(name) for name in SYMBOLS))
    venue.rate = rate


async def some(run: Played, rows: int = 200) -> None:
    before = run.kept.count
    await run.until(lambda: run.kept.count >= before + rows)


def test_all_krw_markets_are_followed_with_books_trades_and_quotes() -> None:
    async def scene() -> None:
        simulated = venue()
        async with played(simulated, connector) as run:
            await some(run)
            await in_step(run, simulated)
            assert [one.id for one in run.kept.registered] == [f"{name}.UPBIT" for name in SYMBOLS]
            assert {one.currency for one in run.kept.registered} == {"KRW"}
            for name in SYMBOLS:
                quote = run.kept.rows(RowType.QUOTE, f"{name}.UPBIT")[-1]
                assert (quote["bid_price"], quote["bid_qty"]) == simulated.book(name)[0][0]
                assert quote["last_price"] > 0.0 and quote["volume"] >= 0.0
            trades = run.kept.rows(RowType.TRADE, "KRW-BTC.UPBIT")
            ids = [int(row["trade_id"]) for row in trades]
            assert ids == list(range(ids[0], ids[-1] + 1, ID_STEP))
            assert {int(row["condition"]) for row in trades} == {int(Condition.REGULAR)}
            assert run.kept.all_statuses() == [] and run.kept.refused == []

    asyncio.run(scene())


@pytest.mark.parametrize(
    "fault", [FaultKind.DISCONNECT, FaultKind.SILENCE, FaultKind.AGE_CUT, FaultKind.MAINTENANCE], ids=str
)
def test_broken_connection_is_a_gap_and_its_trades_are_fetched_again(fault: FaultKind) -> None:
    async def scene() -> None:
        simulated = venue()
        async with played(simulated, connector, produce=QUICK) as run:
            await some(run)
            before = simulated.market.books["KRW-BTC"].trade_id
            run.plan.now(fault)
            btc = "KRW-BTC.UPBIT"
            await run.until(lambda: [kind for kind, _ in run.kept.statuses(btc)][-1:] == [StatusKind.RESYNC])
            await in_step(run, simulated)
            book = simulated.market.books["KRW-BTC"]
            kinds = [kind for kind, _ in run.kept.statuses(btc)]
            assert kinds[-2:] == [StatusKind.GAP, StatusKind.RESYNC] or fault is FaultKind.MAINTENANCE
            await run.until(lambda: len(ids(run)) == len(set(ids(run))) and ids(run)[-1:] == [book.trade_id])
            assert set(range(before, book.trade_id + 1)) <= set(ids(run))

    def ids(run: Played) -> list[int]:
        return sorted(int(row["trade_id"]) // ID_STEP for row in run.kept.rows(RowType.TRADE, "KRW-BTC.UPBIT"))

    asyncio.run(scene())
