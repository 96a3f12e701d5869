"""Binance's connector against a simulated Binance that misbehaves: the book is the venue's again, gaps are told."""

import asyncio
import shutil
import time
from argparse import Namespace
from collections import Counter
from collections.abc import Callable

import pytest

from producers.base.outlet import MemoryOutlet
from producers.base.runner import LiveRun
from producers.base.universe import Choice
from producers.commands.live import pointed_at
from producers.simulators.binance import BinanceVenue
from producers.simulators.faults import FaultKind, FaultPlan
from producers.simulators.server import ConnectionRules, SimulatorServer
from producers.venues.binance.source import spot
from tapewatch.contract.rows import RowType, StatusKind
from tapewatch.settings import Settings
from tests.unit.live_scene import binance_scene, hasty, until

LATE = 6


@pytest.mark.parametrize(
    ("dialect", "symbols"),
    [
        ("binance", ("BTCUSDT", "ETHUSDT")),
        ("binance_usdm", ("BTCUSDT", "ETHUSDT")),
        ("binance_coinm", ("BTCUSD_PERP", "ETHUSD_PERP")),
    ],
)
def test_without_faults_books_equal_the_venues_and_no_trade_is_missing(dialect: str, symbols: tuple[str, ...]) -> None:
    async def scene() -> None:
        async with binance_scene(dialect=dialect, symbols=symbols) as live:
            await until(lambda: len(live.rows(RowType.TRADE)) > 300, "trades")
            await live.settled()
            live.check_trades()
            summary = await live.end()
            assert (summary.gaps, summary.resyncs, summary.losses) == (0, 0, 0)
            assert not summary.refused
            assert not summary.violations
            written = live.server.report()["written"]
            answers = sum(count for kind, count in summary.messages.items() if kind in ("snapshot", "trades"))
            assert sum(summary.messages.values()) - answers == written, "every message that was sent is counted"

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("dialect", "path"), [("binance", "/stream"), ("binance_usdm", "/public"), ("binance_usdm", "/market")]
)
@pytest.mark.parametrize("kind", ["disconnect", "silence", "age_cut"])
def test_a_connection_that_breaks_is_a_gap_and_nothing_the_venue_resends_is_lost(
    dialect: str, path: str, kind: str
) -> None:
    async def scene() -> None:
        async with binance_scene(dialect=dialect) as live:
            await until(lambda: len(live.rows(RowType.TRADE)) > 100, "trades")
            await live.injected(kind, match=path)
            await live.recovered(gaps=3)
            await until(lambda: len(live.statuses(StatusKind.RESYNC)) >= 3, "resync rows")
            await live.settled()
            live.check_trades()
            trades_came_by_it = path != "/public"
            assert any(row["condition"] == LATE for row in live.rows(RowType.TRADE)) is trades_came_by_it
            assert (await live.end()).losses == 1

    asyncio.run(scene())


@pytest.mark.parametrize("dialect", ["binance", "binance_usdm"])
@pytest.mark.parametrize("kind", ["gap", "reordered"])
@pytest.mark.parametrize("stream", ["btcusdt@depth@100ms", "ethusdt@trade"])
def test_messages_that_are_missing_or_overtaken_are_told_and_made_good(dialect: str, kind: str, stream: str) -> None:
    if dialect == "binance_usdm":
        stream = stream.replace("@trade", "@aggTrade")

    async def scene() -> None:
        async with binance_scene(dialect=dialect) as live:
            await until(lambda: len(live.rows(RowType.TRADE)) > 100, "trades")
            await live.injected(kind, count=3 if kind == "gap" else 1, match=stream)
            await live.recovered(gaps=1)
            await live.settled()
            live.check_trades()
            resyncs = live.statuses(StatusKind.RESYNC)
            name = stream.partition("@")[0].upper()
            assert any(line.startswith(name) for line in resyncs)

    asyncio.run(scene())


def test_single_trades_of_futures_that_are_missing_count_as_lost_for_want_of_a_key() -> None:
    async def scene() -> None:
        async with binance_scene(dialect="binance_usdm", channels="trade,bookTicker,depth") as live:
            await until(lambda: len(live.rows(RowType.TRADE)) > 100, "trades")
            await live.injected("gap", count=2, match="btcusdt@trade")
            await live.recovered()
            await live.settled()
            assert _lost(live.statuses(StatusKind.RESYNC)) == 2
            assert "/fapi/v1/historicalTrades" not in live.server.requests

    asyncio.run(scene())


def test_messages_that_come_twice_give_rows_once() -> None:
    async def scene() -> None:
        async with binance_scene() as live:
            await until(lambda: len(live.rows(RowType.TRADE)) > 100, "trades")
            await live.injected("duplicate", count=30)
            await live.settled()
            live.check_trades()
            summary = await live.end()
            assert summary.gaps == 0
            assert summary.dropped["repeated"] + summary.dropped.get("stale_diff", 0) >= 30

    asyncio.run(scene())


@pytest.mark.parametrize(
    "kind", ["http_429", "http_418", "http_403", "http_500", "http_503", "html", "truncated_gzip", "slow_body"]
)
def test_a_snapshot_that_is_not_given_is_asked_for_again(kind: str) -> None:
    async def scene() -> None:
        async with binance_scene() as live:
            await until(lambda: len(live.rows(RowType.TRADE)) > 100, "trades")
            live.plan.now(kind, match="/depth", seconds=5.0 if kind == "slow_body" else 1.0)
            await live.injected("gap", match="btcusdt@depth")
            await until(lambda: live.plan.pending() == 0, kind)
            await live.recovered()
            await live.settled()
            live.check_trades()

    asyncio.run(scene())


def test_a_snapshot_older_than_the_messages_is_asked_for_again() -> None:
    async def scene() -> None:
        async with binance_scene() as live:
            await until(lambda: len(live.rows(RowType.TRADE)) > 100, "trades")
            live.plan.now("old_snapshot", match="BTCUSDT", count=2)
            await live.injected("gap", match="btcusdt@depth")
            await until(lambda: live.plan.pending() == 0, "old snapshots")
            await live.recovered()
            await live.settled()
            assert (await live.end()).refused.get("stale_snapshot", 0) == 2

    asyncio.run(scene())


def test_a_venue_whose_clock_is_off_is_followed_and_the_offset_known() -> None:
    async def scene() -> None:
        plan = FaultPlan()
        plan.now("clock_skew", seconds=5.0)
        async with binance_scene(plan) as live:
            await until(lambda: len(live.rows(RowType.TRADE)) > 100, "trades")
            await live.settled()
            live.check_trades()
            ahead = [row["ts_event"] - row["ts_recv"] for row in live.rows(RowType.TRADE)[-20:]]
            assert min(ahead) > 4e9, "times of the venue stand as they are"

    asyncio.run(scene())


def test_a_delisted_symbol_ends_with_the_next_look_and_the_others_go_on() -> None:
    async def scene() -> None:
        async with binance_scene() as live:
            await live.injected("delisted", match="ETHUSDT")
            await live.run.look()
            assert sorted(live.markets) == ["BTCUSDT", "XRPUSDT"]
            before = len(live.rows(RowType.TRADE))
            await until(lambda: len(live.rows(RowType.TRADE)) > before + 100, "trades")
            await live.settled()
            assert live.statuses(StatusKind.CLOSE) == ["ETHUSDT.BINANCE no longer followed"]

    asyncio.run(scene())


def test_a_process_that_stood_still_does_not_take_its_own_silence_for_the_venues() -> None:
    async def scene() -> None:
        async with binance_scene() as live:
            await until(lambda: len(live.rows(RowType.TRADE)) > 100, "trades")
            for _ in range(3):
                time.sleep(0.7)  # longer than `stale_s`
                await asyncio.sleep(0.05)
            await live.settled()
            assert (await live.end()).losses == 0

    asyncio.run(scene())


def test_a_maintenance_notice_and_the_cut_after_it_are_survived() -> None:
    async def scene() -> None:
        async with binance_scene() as live:
            await live.injected("maintenance", seconds=0.2)
            await until(lambda: live.server.opened >= 2, "a second connection")
            await live.settled()
            live.check_trades()

    asyncio.run(scene())


def test_a_connection_is_replaced_before_the_venue_cuts_it_without_a_hole() -> None:
    async def scene() -> None:
        settings = hasty(link_max_age_s=0.8, overlap_s=0.4)
        async with binance_scene(rate=150.0, rules=ConnectionRules(age_s=6.0), settings=settings) as live:
            await until(lambda: live.server.opened >= 4, "three renewals")
            await live.settled()
            live.check_trades()
            summary = await live.end()
            assert (summary.gaps, summary.losses) == (0, 0)
            assert summary.dropped["repeated"] > 0, "old and new connection ran side by side"
            assert "age_cut" not in live.server.report()["faults"]["injected"]

    asyncio.run(scene())


def test_a_long_cut_loses_only_what_the_venue_does_not_keep_and_says_so() -> None:
    async def scene() -> None:
        async with binance_scene(rate=3_000.0, kept=50) as live:
            await until(lambda: len(live.rows(RowType.TRADE)) > 100, "trades")
            await live.injected("silence")
            await live.recovered(gaps=3)
            await until(lambda: len(live.statuses(StatusKind.RESYNC)) >= 3, "resync rows")
            await live.settled()
            lost = _lost(live.statuses(StatusKind.RESYNC))
            missing = 0
            for stream in live.venue.streams.streams.values():
                if stream.name.endswith("@trade"):
                    ids = live.trade_ids(stream.name.partition("@")[0].upper())
                    assert len(ids) == len(set(ids))
                    missing += stream.last_id - stream.first_id + 1 - len(ids)
            assert missing == lost > 0

    asyncio.run(scene())


def test_a_venue_that_lets_nobody_in_for_a_while_is_tried_until_it_does() -> None:
    async def scene() -> None:
        async with binance_scene() as live:
            await until(lambda: len(live.rows(RowType.TRADE)) > 100, "trades")
            live.plan.now("http_503", count=8, match="/stream")
            await live.injected("disconnect")
            await until(lambda: live.plan.pending() == 0, "refused handshakes")
            await live.recovered(gaps=3)
            await live.settled()
            live.check_trades()
            details = live.statuses(StatusKind.GAP)
            assert len([line for line in details if "binance-1" in line]) == 3, "one gap row a symbol, not one a try"

    asyncio.run(scene())


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the openssl program is not installed")
def test_a_venue_whose_certificate_nobody_signed_is_not_talked_to_and_the_reason_is_clear() -> None:
    async def scene() -> tuple[list[str], int, Counter[str]]:
        said: list[str] = []
        venue = BinanceVenue(["BTCUSDT"], rate=0.0)
        async with SimulatorServer(venue, tls=True) as server:
            run, stop = _run(hasty(), server.addresses(), said.append)
            task = asyncio.create_task(run.run(stop))
            await until(lambda: bool(said), "a line for the operator")
            stop.set()
            await task
            return said, sum(server.requests.values()), run.station.failures

    said, requests, failures = asyncio.run(scene())
    assert "self-signed certificate" in said[0]
    assert requests == 0
    assert set(failures) == {"tls"}


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the openssl program is not installed")
def test_a_stream_whose_certificate_nobody_signed_is_tried_again_and_the_reason_is_clear(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def reasons() -> set[str]:
        return {getattr(record, "fields", {}).get("reason", "") for record in caplog.records}

    async def scene() -> int:
        async with (
            SimulatorServer(BinanceVenue(["BTCUSDT"], rate=0.0)) as plain,
            SimulatorServer(BinanceVenue(["BTCUSDT"], rate=0.0), tls=True) as secure,
        ):
            addresses = {"rest": plain.addresses()["rest"], "stream": secure.addresses()["stream"]}
            run, stop = _run(hasty(), addresses, lambda text: None)
            task = asyncio.create_task(run.run(stop))
            await until(lambda: any("certificate" in reason for reason in reasons()), "the reason in the log")
            stop.set()
            await task
            return secure.opened

    assert asyncio.run(scene()) == 0


def _run(settings: Settings, addresses: dict[str, str], say: Callable[[str], None]) -> tuple[LiveRun, asyncio.Event]:
    """A run of Binance spot that is not started, and its stop."""
    pointed = pointed_at(settings, "binance", addresses)
    return LiveRun(pointed, spot(pointed, Namespace(channels="")), MemoryOutlet(), Choice(), say=say), asyncio.Event()


def _lost(details: list[str]) -> int:
    """Trades lost by the words of resync rows: `..., 12 trades late, 5 lost`."""
    return sum(int(detail.rpartition(", ")[2].partition(" ")[0]) for detail in details)


@pytest.mark.slow
def test_everything_at_once_for_a_while_ends_with_the_true_books() -> None:
    async def scene() -> None:
        kinds = ("gap", "duplicate", "reordered", "http_500", "html", "truncated_gzip", "disconnect", "old_snapshot")
        plan = FaultPlan(seed=3, rates={FaultKind(kind): 25.0 for kind in kinds})
        async with binance_scene(plan, choice=Choice()) as live:
            await until(lambda: plan.elapsed > 3.0, "three seconds")
            plan.clear()
            await live.settled()
            live.check_trades()
            assert len(plan.injected) >= 5

    asyncio.run(scene())
