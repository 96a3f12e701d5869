"""What a live producer does while Kafka does not keep up: it waits, then sheds, and says both."""

import asyncio

from tapewatch.contract.rows import RowType, StatusKind
from tests.unit.live_scene import binance_scene, hasty, until

BEHIND = 1_000_000
"""Frames on their way, above every limit."""


def test_short_stall_of_kafka_only_delays_what_a_socket_brings() -> None:
    async def scene() -> None:
        async with binance_scene(symbols=("BTCUSDT",), settings=hasty(hold_s=60.0)) as live:
            await until(lambda: len(live.rows(RowType.TRADE)) > 50, "trades")
            live.outlet.waiting = BEHIND
            await until(lambda: live.run.held == 1, "a stop of reading")
            await asyncio.sleep(0.2)
            live.outlet.waiting = 0
            await live.settled()
            live.check_trades()
            summary = await live.end()
            assert (summary.held, summary.shed, summary.gaps, summary.losses) == (1, 0, 0, 0)

    asyncio.run(scene())


def test_long_stall_of_kafka_closes_the_socket_and_is_a_gap_row() -> None:
    async def scene() -> None:
        async with binance_scene(symbols=("BTCUSDT", "ETHUSDT"), settings=hasty(hold_s=0.3)) as live:
            await until(lambda: len(live.rows(RowType.TRADE)) > 50, "trades")
            live.outlet.waiting = BEHIND
            await until(lambda: live.run.station.shed >= 1, "a connection that is closed")
            closed = sum(link.connections for link in live.run.station.links)
            await asyncio.sleep(0.5)
            assert sum(link.connections for link in live.run.station.links) == closed, "no connection while it stalls"
            live.outlet.waiting = 0
            await live.recovered()
            await until(live.in_step, "books and ids in step")
            gaps = live.statuses(StatusKind.GAP)
            assert any("not read for 0.3 s: Kafka did not keep up" in gap for gap in gaps)
            summary = await live.end()
            assert summary.shed >= 1
            assert summary.gaps >= 1

    asyncio.run(scene())
