"""News from a simulated site to a real broker: each story once, over a restart, with the position beside it."""

import argparse
import asyncio
import json
from typing import Any

import msgspec
from confluent_kafka import Message

from producers.base.state import committed_position
from producers.simulators.catalogue import SimulatorOptions
from producers.simulators.news import NewsSite
from producers.simulators.server import SimulatorServer
from producers.venues.news.source import Poller
from tapewatch.contract import topics
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.messages import News, decode
from tapewatch.market_log.registry import register
from tapewatch.runtime import kafka
from tapewatch.settings import Settings
from tapewatch.settings.venues import NewsSettings, VenueSettings

OPTIONS = {"every": 1.0, "once": True, "bodies": False, "dry_run": False, "json": True}


async def look(settings: Settings, feed: str, categories: str = "headline") -> dict[str, Any]:
    given = argparse.Namespace(**OPTIONS, categories=categories, feeds=feed)
    poller = Poller(settings, given, lambda _: None)
    try:
        await poller.run(asyncio.Event())
    finally:
        await poller.close()
    return poller.report()


def there(settings: Settings, topic: str) -> list[Message]:
    """All on a topic of one partition, of other tests too."""
    found: list[Message] = []
    if topic in kafka.existing_topics(kafka.admin(settings)):
        kafka.read_all(settings, topic, found.append)
    return found


def test_each_story_is_sent_once_over_looks_and_restarts_and_a_hole_is_closed(settings: Settings) -> None:
    async def scene() -> None:
        site = NewsSite(SimulatorOptions(seed=9, rate=0))
        async with SimulatorServer(site) as server:
            address = server.addresses()["cnyes"]
            ours = msgspec.structs.replace(settings, venues=VenueSettings(news=NewsSettings(cnyes=address)))
            kafka.create_topics(ours, topics.shared_topics(ours.topics))
            register(ours, [Instrument("2330.XTAI", name="台積電"), Instrument("6547.ROCO", name="高端疫苗")])
            before = len(there(ours, topics.NEWS))
            assert (await look(ours, " "))["sent"] == 30
            assert "sent" not in {name for name, count in (await look(ours, " ")).items() if count}
            # More stories than a page holds appear before the next look.
            fresh = [site.write(1_740_000_000 + number) for number in range(50)]
            assert (await look(ours, " "))["sent"] == 50
            news = [decode(News, message.value()) for message in there(ours, topics.NEWS)[before:]]
            assert len(news) == len({one.id for one in news}) == 80
            assert [one.headline for one in news[-50:]] == [story.headline for story in fresh]
            assert {name for one in news for name in one.instruments} == {"2330.XTAI", "6547.ROCO"}
            assert json.loads(committed_position(ours, "news") or b"")["newest"] == {"headline": fresh[-1].number}
            # The feed tells the same stories under ids of its own: marked, and after that known.
            report = await look(ours, f"{address}/rss", categories="none")
            assert (report["sent"], report["duplicates"]) == (30, 30)
            assert (await look(ours, f"{address}/rss", categories="none"))["repeated"] == 30

    asyncio.run(scene())


def test_hostile_feed_is_a_dead_letter(settings: Settings) -> None:
    async def scene() -> None:
        site = NewsSite(SimulatorOptions(seed=9, rate=0))
        site.rss = lambda origin: b'<!DOCTYPE r [<!ENTITY a "b">]><rss version="2.0"/>'  # type: ignore[method-assign]
        async with SimulatorServer(site) as server:
            before = len(there(settings, "news.dlq"))
            report = await look(settings, f"{server.addresses()['cnyes']}/rss", categories="none")
        assert report["refused"] == 1
        letters = [dict(message.headers()) for message in there(settings, "news.dlq")[before:]]
        assert [letter["reason"] for letter in letters] == [b"entities"]

    asyncio.run(scene())
