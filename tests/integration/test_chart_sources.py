"""Yahoo and Kiwoom into real Kafka, from simulators: restarts repeat nothing, reference data of others stays."""

import argparse
import asyncio
import uuid
from typing import Any

import msgspec

from producers.base.metrics import FeedMetrics
from producers.base.outlet import KafkaOutlet
from producers.base.runner import LiveRun
from producers.base.universe import Choice
from producers.simulators.kiwoom import KiwoomVenue
from producers.simulators.server import SimulatorServer, Venue
from producers.simulators.yahoo import YahooVenue
from producers.venues.bar_log import latest_bars
from producers.venues.kiwoom import history as kiwoom_history
from producers.venues.yahoo import daily_source, source
from tapewatch.clock import NANOS, WALL
from tapewatch.contract import topics
from tapewatch.contract.frames import Decoder, FrameHeaders
from tapewatch.contract.instruments import Instrument, Tick
from tapewatch.contract.messages import Factor, decode
from tapewatch.market_log.registry import Registry, register
from tapewatch.runtime import kafka
from tapewatch.settings import Settings
from tests.eventually import eventually_async


def pointed_at(settings: Settings, venue: Venue, server: SimulatorServer) -> Settings:
    section = msgspec.structs.replace(getattr(settings.venues, venue.name), per_second=1e6, **server.addresses())
    venues = msgspec.structs.replace(settings.venues, **{venue.name: section})
    return msgspec.structs.replace(settings, venues=venues)


def bars(settings: Settings, feed: str) -> list[tuple[int, float]]:
    """Opening and close of every bar in the log."""
    found: list[tuple[int, float]] = []
    decoder = Decoder()

    def take(message: Any) -> None:
        if FrameHeaders.from_kafka(message.headers()).type == "bar":
            view = decoder.open(message.value())
            found.extend(zip(view.column("ts_open").tolist(), view.column("close").tolist(), strict=True))

    kafka.read_all(settings, topics.market(feed), take)
    return found


def test_history_of_kiwoom_lies_in_kafka_once_in_order_of_time(settings: Settings) -> None:
    now = WALL.now() // NANOS // 60 * 60
    venue, feed = KiwoomVenue(["005930"], begins=now - 60 * 1_500), f"k{uuid.uuid4().hex[:10]}"

    async def pull() -> dict[str, Any]:
        async with SimulatorServer(venue) as server:
            args = argparse.Namespace(symbols="005930", since=0, feed=feed, every=0.0, minutes=1, dry_run=False)
            ours = pointed_at(settings, venue, server)
            return await kiwoom_history.pull(ours, args, asyncio.Event(), print)

    first = asyncio.run(pull())
    second = asyncio.run(pull())
    assert first["rows"] >= 1_499
    assert second["rows"] <= 1
    found = bars(settings, feed)
    assert [opened for opened, _ in found] == [(now - 60 * 1_500 + 60 * place) * NANOS for place in range(len(found))]
    assert all(close == venue.bar("005930", opened // NANOS).close for opened, close in found)


def test_daily_series_lie_in_factors_once_and_ticks_of_others_stay(settings: Settings) -> None:
    symbol = f"S{uuid.uuid4().hex[:8].upper()}"
    venue = YahooVenue([symbol])
    kafka.create_topics(settings, topics.shared_topics(settings.topics))
    register(settings, [Instrument(f"{symbol}.XNAS", "ours", ticks=(Tick(0.0, 0.01),))])

    async def pull() -> dict[str, Any]:
        async with SimulatorServer(venue) as server:
            args = argparse.Namespace(symbols=symbol, since="2010-01-04", every=1.0, once=True, dry_run=False)
            return await daily_source.pull(pointed_at(settings, venue, server), args, asyncio.Event(), print)

    first, second = asyncio.run(pull()), asyncio.run(pull())
    assert first["factors"] > 0
    assert second["factors"] == 0
    found: list[Factor] = []
    kafka.read_all(settings, topics.FACTORS, lambda message: found.append(decode(Factor, message.value())))
    ours = [factor for factor in found if factor.instrument == f"{symbol}.XNAS"]
    assert len(ours) == first["factors"] == len({factor.id for factor in ours})
    registry = Registry(settings)
    registry.refresh()
    registry.close()
    assert registry.instruments[f"{symbol}.XNAS"].ticks == (Tick(0.0, 0.01),)


def test_live_feed_that_starts_again_sends_no_bar_twice(settings: Settings) -> None:
    venue = YahooVenue(["AAPL"], null_every=0)

    async def run() -> None:
        async with SimulatorServer(venue) as server:
            ours = pointed_at(settings, venue, server)
            args = argparse.Namespace(symbols=("AAPL",), interval="1m", delayed=0.0, calendar="", dry_run=False)
            connector = source.connect(ours, args)
            metrics, stop = FeedMetrics(source.FEED), asyncio.Event()
            outlet = KafkaOutlet(ours, source.FEED, metrics, partitions=1)
            live = LiveRun(ours, connector, outlet, Choice(symbols=("AAPL",)), metrics=metrics)
            ending = asyncio.create_task(live.run(stop))
            await live.ready.wait()
            await eventually_async(lambda: connector.decoder.collector.messages["chart"], what="a chart")
            await asyncio.sleep(0.1)
            stop.set()
            await ending

    asyncio.run(run())
    latest = latest_bars(settings, source.FEED, WALL.now() - 1_800 * NANOS)
    asyncio.run(run())
    found = bars(settings, source.FEED)
    assert len(found) == len(set(found)) >= 1
    assert latest["AAPL.XNAS"] in [opened for opened, _ in found]
