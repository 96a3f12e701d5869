"""`tapewatch produce news`: polls lists and feeds, and writes what is new to `news`, each item once."""

import argparse
import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import msgspec
from confluent_kafka import KafkaException

from producers.base.answers import HttpError
from producers.base.collector import RefusedMessage
from producers.base.http import Http, TokenBucket
from producers.base.state import FencedError, Ledger, Transaction, refused_letter
from producers.venues.news import cnyes
from producers.venues.news.desk import KEPT, NewsProcessor
from producers.venues.news.items import FEED_LIMIT, HostileFeedError, Item, entries
from tapewatch.clock import WALL, Clock
from tapewatch.contract import topics
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.messages import News, encode
from tapewatch.errors import TapewatchError
from tapewatch.market_log.registry import Registry
from tapewatch.runtime import kafka
from tapewatch.settings import Settings

SOURCE = "news"
CATEGORIES = ("headline", "tw_stock", "wd_stock")
PAGES = 20
"""Pages of a list that are read at most to close a hole."""
PER_SECOND = 1.0
"""Requests to cnyes; it states no limit, its own pages ask about that often."""


class Position(msgspec.Struct):
    """How far the lists have been read: the newest item's id by category."""

    newest: dict[str, int] = {}


def configure(parser: argparse.ArgumentParser) -> None:
    """Arguments of the news source."""
    parser.epilog = "example: tapewatch produce news --feeds https://example.org/rss --every 60"
    parser.add_argument(
        "--categories", default=",".join(CATEGORIES), metavar="LIST",
        help=f"lists of cnyes, none for no list (default: {','.join(CATEGORIES)})",
    )  # fmt: skip
    parser.add_argument("--feeds", default="", metavar="LIST", help="RSS and Atom addresses (default: the setting)")
    parser.add_argument(
        "--every", type=float, default=60.0, metavar="S", help="seconds between two looks (default: 60)"
    )
    parser.add_argument("--once", action="store_true", help="look once and end")
    parser.add_argument("--bodies", action="store_true", help="keep texts too: only where you have the right to")


async def pull(
    settings: Settings, args: argparse.Namespace, stop: asyncio.Event, say: Callable[[str], None]
) -> dict[str, Any]:
    """Look at every list and feed until `stop`; counts of what was done."""
    poller = Poller(settings, args, say)
    try:
        await poller.run(stop)
    finally:
        await poller.close()
    return poller.report()


class Poller:
    """Looks at lists and feeds, and hands new items to the ledger, or to the screen."""

    def __init__(
        self, settings: Settings, args: argparse.Namespace, say: Callable[[str], None], clock: Clock = WALL
    ) -> None:
        self._settings, self._say, self._clock = settings, say, clock
        self._once, self._every, self._bodies = bool(args.once), float(args.every), bool(args.bodies)
        self._dry, self._json = bool(args.dry_run), bool(getattr(args, "json", False))
        self._categories = _categories(args.categories)
        feeds = [word.strip() for word in args.feeds.split(",") if word.strip()] or list(settings.venues.news.feeds)
        options: dict[str, Any] = {"clock": clock, "attempts": 3}
        self._cnyes = Http(settings.produce, settings.venues.news.cnyes, bucket=TokenBucket(PER_SECOND, 2.0), **options)
        self._pages = Http(
            settings.produce,
            settings.venues.news.cnyes_pages,
            bucket=self._cnyes.bucket,
            expect_json=False,
            body_limit=FEED_LIMIT,
            **options,
        )
        self._feeds = {feed: _feed(settings, feed, options) for feed in feeds}
        if not feeds and not self._categories:
            raise TapewatchError("no list and no feed to look at", "Give --categories or --feeds.")
        self._ledger = None if self._dry else Ledger(settings, SOURCE, clock=clock)
        self._registry: Registry | None = None
        self._position = Position()
        self._stop = asyncio.Event()
        self.desk = NewsProcessor(self._bodies)
        self.counts: Counter[str] = Counter()
        self.printed: list[Any] = []

    def know(self, instruments: Iterable[Instrument]) -> None:
        """Find these instruments; those of the registry take their place once it has been read."""
        self.desk.know(instruments)

    async def run(self, stop: asyncio.Event) -> None:
        """Look at once and then every so often. FencedError where a second one was started."""
        await asyncio.to_thread(self._begin)
        self._stop = stop
        while not stop.is_set():
            before = self.counts["sent"]
            for category in self._categories:
                await self._list(category)
            for address, (service, path) in self._feeds.items():
                if not stop.is_set():
                    await self._feed(address, service, path)
            self._say(f"news: {self.counts['sent'] - before} new, {self.counts['repeated']} seen before")
            if self._once:
                return
            try:
                await asyncio.wait_for(stop.wait(), self._every)
            except TimeoutError:
                continue

    async def close(self) -> None:
        """End all connections."""
        await self._cnyes.close()
        await self._pages.close()
        for service, _ in self._feeds.values():
            await service.close()
        if self._registry is not None:
            self._registry.close()
        if self._ledger is not None:
            self._ledger.close()

    def report(self) -> dict[str, Any]:
        """Counts: what was looked at, sent, seen before, marked as repeating another, refused, failed."""
        found: dict[str, Any] = dict(sorted(self.counts.items()))
        return {**found, "news": self.printed} if self._dry and self._json else found

    def _begin(self) -> None:
        """Take up the position, what has been sent, and what is registered."""
        try:
            if self._ledger is not None:
                committed = self._ledger.position()
                self._position = msgspec.json.decode(committed, type=Position) if committed else Position()
                self.desk.recall(_sent(self._settings))
            self._registry = Registry(self._settings)
            self._look_up()
        except TapewatchError as error:
            if not self._dry:
                raise
            self._registry = None
            self._say(f"no instruments are known, so none are found: {error.message}")

    def _look_up(self) -> None:
        if self._registry is not None and topics.INSTRUMENTS in kafka.existing_topics(kafka.admin(self._settings)):
            self._registry.refresh()
            self.desk.know(self._registry.instruments.values())

    async def _list(self, category: str) -> None:
        """Pages of a list until one that holds nothing new, at most 20."""
        newest = self._position.newest.get(category, 0)
        items: list[Item] = []
        refused: list[RefusedMessage] = []
        for number in range(1, PAGES + 1):
            if self._stop.is_set():
                # What was read of the list is read again at the next start: its position has not moved.
                return
            path = f"{cnyes.LIST}{category}"
            try:
                answer = await self._cnyes.get(path, {"page": str(number), "limit": str(cnyes.PAGE_ITEMS)})
                page = cnyes.list_page(answer.body, answer.received)
            except HttpError as error:
                self._failed(path, error.reason)
                return
            except ValueError:
                refused.append(RefusedMessage("no_list_page", path, answer.body[:65_536], answer.received))
                break
            items += page.items
            refused += [RefusedMessage("malformed_item", path, raw, answer.received) for raw in page.bad]
            known = not newest or not page.items or min(int(item.own_id) for item in page.items) <= newest
            if known or number >= page.last:
                break
        else:
            self.counts["hole"] += 1
            self._say(
                f"news: {category} went on for more than {PAGES} pages since the last look: older items are missing"
            )
        reached = max([newest, *(int(item.own_id) for item in items)])
        if self._bodies:
            items = [await self._whole(item) for item in items]
        await self._write(items[::-1], refused, {**self._position.newest, category: reached})

    async def _whole(self, item: Item) -> Item:
        """The item with its article's text, where the list did not carry it and the page can be had."""
        if item.whole or not self.desk.is_new(item):
            return item
        try:
            answer = await self._pages.get(f"{cnyes.ARTICLE}{item.own_id}")
        except HttpError as error:
            self._failed(f"article {item.own_id}", error.reason)
            return item
        self.counts["articles"] += 1
        return replace(item, body=cnyes.article_text(answer.body.decode("utf-8", "replace")) or item.body)

    async def _feed(self, address: str, service: Http, path: str) -> None:
        host = urlsplit(address).hostname or ""
        try:
            answer = await service.get(path)
            # Other people's markup is parsed beside the loop: it may take a while.
            items = await asyncio.to_thread(entries, answer.body, host, answer.received)
        except HttpError as error:
            self._failed(address, error.reason)
            return
        except HostileFeedError as error:
            refused = RefusedMessage(error.reason, address, answer.body[:65_536], answer.received)
            await self._write([], [refused], self._position.newest)
            return
        await self._write(items, [], self._position.newest)

    async def _write(self, items: Iterable[Item], refused: list[RefusedMessage], newest: dict[str, int]) -> None:
        """New items, refusals and position together; where Kafka does not take them, they come again at the next look.

        FencedError where another instance has taken over.
        """
        counts = Counter[str]()
        try:
            if self._registry is not None:
                await asyncio.to_thread(self._look_up)
            news, bad = self.desk.sort(items, counts)
            refused += bad
            if self._ledger is None:
                self._print(news, refused)
            elif news or refused or newest != self._position.newest:
                position = msgspec.json.encode(Position(newest))
                await asyncio.to_thread(self._ledger.write, lambda one: _fill(one, news, refused, position))
        except FencedError:
            raise
        except (TapewatchError, KafkaException) as error:
            self._failed("Kafka", str(error))
            return
        self._position = Position(newest)
        self.desk.recall(news)
        self.counts += counts + Counter(sent=len(news), refused=len(refused))

    def _print(self, news: list[News], refused: list[RefusedMessage]) -> None:
        for each in news:
            if self._json:
                self.printed.append(msgspec.to_builtins(each))
            else:
                print(encode(each).decode(), flush=True)
        for bad in refused:
            self._say(json.dumps({"refused": bad.reason, "where": bad.where}))

    def _failed(self, where: str, reason: str) -> None:
        self.counts["failed"] += 1
        self._say(f"news: {where}: {reason}; again at the next look")


def _fill(one: Transaction, news: list[News], refused: list[RefusedMessage], position: bytes) -> None:
    """What goes out together."""
    for each in news:
        one.message(each, each.id.encode())
    for bad in refused:
        one.refuse(refused_letter(topics.NEWS, SOURCE, bad))
    one.position(position)


def _categories(text: str) -> list[str]:
    names = [word.strip() for word in text.split(",") if word.strip() and word.strip() != "none"]
    for name in names:
        if not cnyes.CATEGORY.fullmatch(name):
            raise TapewatchError(f"{name!r} is no category of cnyes", "Write such as headline,tw_stock.")
    return names


def _feed(settings: Settings, address: str, options: dict[str, Any]) -> tuple[Http, str]:
    """The service and the path of a feed's address."""
    parts = urlsplit(address)
    base = f"{parts.scheme}://{parts.netloc}"
    service = Http(settings.produce, base, expect_json=False, body_limit=FEED_LIMIT, **options)
    return service, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _sent(settings: Settings) -> Iterator[News]:
    """The newest records of `news`, oldest first: at least as many items as are remembered, where there are so many."""
    reader = kafka.consumer(settings)
    try:
        low, high = kafka.watermarks(reader, topics.NEWS, 0)
        # Each look is a transaction, whose end takes an offset too.
        for message in kafka.read_range(reader, topics.NEWS, 0, max(low, high - 2 * KEPT), high):
            try:
                yield msgspec.json.decode(message.value() or b"", type=News)
            except msgspec.DecodeError:
                continue
    finally:
        reader.close()
