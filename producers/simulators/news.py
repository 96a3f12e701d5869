"""A news site on loopback: cnyes' JSON lists and article pages, and the same items as RSS and Atom."""

import asyncio
import html
import random
from collections.abc import Iterable
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any

from aiohttp import web

from producers.simulators.answers import json_answer
from producers.simulators.catalogue import SimulatorOptions
from producers.simulators.server import SimulatorServer
from tapewatch.clock import NANOS
from tapewatch.rfc3339 import to_rfc3339

LIMIT = 30
"""Items of a list page at most, as on the site."""

_XML = '<?xml version="1.0" encoding="utf-8"?>'
_COMPANIES = (("2330", "台積電"), ("2317", "鴻海"), ("2454", "聯發科"), ("2603", "長榮"), ("6547", "高端疫苗"))
_EVENTS = ("{month}月營收創新高", "法說會上修展望", "獲外資買超 {count} 張", "擴產計畫通過", "宣布配息 {price} 元")


@dataclass(frozen=True, slots=True)
class Story:
    """An item. number : the site's id; at : UTC seconds; code, name : of the company, empty for none"""

    number: int
    at: int
    headline: str
    code: str
    name: str

    @property
    def body(self) -> str:
        """The article's HTML."""
        told = f"<p>{self.headline}</p><p>鉅亨網測試 <a href='/x?utm_source=a'>({self.code}-TW)</a></p>"
        return f"{told}<script>x()</script>"


class NewsSite:
    """A site that writes stories. rate : stories a second; at the start there are 40 of the last hour"""

    name = "news"

    def __init__(self, options: SimulatorOptions) -> None:
        self._random = random.Random(f"{options.seed} news")  # noqa: S311 - a story is no secret
        self._rate = options.rate
        self.stories: list[Story] = []
        self._number = 5_900_000

    def addresses(self, http: str, ws: str) -> dict[str, str]:
        """The address of the lists; feeds lie at `/rss` and `/atom` beside them."""
        return {"cnyes": http, "cnyes_pages": http}

    def routes(self, server: SimulatorServer) -> Iterable[web.RouteDef]:
        """Lists, articles, feeds."""
        self._begin(server.now() // NANOS)

        async def page(request: web.Request) -> web.StreamResponse:
            return self._page(request)

        async def article(request: web.Request) -> web.StreamResponse:
            return self._article(int(request.match_info["number"]))

        async def rss(request: web.Request) -> web.StreamResponse:
            return web.Response(body=self.rss(request.url.origin().human_repr()), content_type="application/rss+xml")

        async def atom(request: web.Request) -> web.StreamResponse:
            return web.Response(body=self.atom(request.url.origin().human_repr()), content_type="application/atom+xml")

        return [
            web.get("/media/api/v1/newslist/category/{category}", page),
            web.get(r"/news/id/{number:\d{1,12}}", article),
            web.get("/rss", rss),
            web.get("/atom", atom),
        ]

    async def run(self, server: SimulatorServer) -> None:
        """Write a story every so often."""
        while self._rate > 0:
            await asyncio.sleep(1.0 / self._rate)
            self.write(server.now() // NANOS)

    def sent(self) -> dict[str, Any]:
        """How many stories there are."""
        return {"stories": len(self.stories)}

    def write(self, at: int, headline: str = "") -> Story:
        """A new story. at : UTC seconds; headline : a drawn one where it is empty"""
        code, name = self._random.choice(_COMPANIES)
        event = self._random.choice(_EVENTS).format(
            month=self._random.randint(1, 12),
            count=self._random.randint(1_000, 90_000),
            price=self._random.randint(10, 90) / 10,
        )
        self._number += self._random.randint(1, 40)
        story = Story(self._number, at, headline or f"{name}{event} {self._number}", code, name)
        self.stories.append(story)
        return story

    def rss(self, origin: str) -> bytes:
        """The last stories as RSS 2.0, newest first."""
        items = "".join(
            f"<item><title>{html.escape(each.headline)}</title><link>{origin}/news/id/{each.number}?utm_source=rss</link>"
            f"<guid isPermaLink='false'>{each.number}</guid><pubDate>{formatdate(each.at, usegmt=True)}</pubDate>"
            f"<description>{html.escape(each.body)}</description></item>"
            for each in self._newest()
        )
        head = f"{_XML}<rss version='2.0'><channel><title>news</title><language>zh-tw</language>"
        return f"{head}{items}</channel></rss>".encode()

    def atom(self, origin: str) -> bytes:
        """The last stories as Atom, newest first."""
        items = "".join(
            f"<entry><id>urn:story:{each.number}</id><title type='html'>{html.escape(each.headline)}</title>"
            f"<link href='{origin}/news/id/{each.number}'/>"
            f"<updated>{to_rfc3339(each.at * NANOS)[:19]}Z</updated></entry>"
            for each in self._newest()
        )
        head = f"{_XML}<feed xmlns='http://www.w3.org/2005/Atom'><title>news</title>"
        return f"{head}{items}</feed>".encode()

    def _begin(self, now: int) -> None:
        for place in range(40):
            self.write(now - 3_600 + 90 * place)

    def _newest(self) -> list[Story]:
        return self.stories[: -LIMIT - 1 : -1]

    def _page(self, request: web.Request) -> web.Response:
        """A list page, as the site's own pages ask for it."""
        number = int(request.query.get("page", "1"))
        limit = min(LIMIT, int(request.query.get("limit", "10")))
        newest = self.stories[::-1]
        shown = newest[(number - 1) * limit : number * limit]
        items = {
            "total": len(newest),
            "per_page": limit,
            "current_page": number,
            "last_page": max(1, -(-len(newest) // limit)),
            "data": [_listed(each) for each in shown],
        }
        return json_answer({"items": items, "message": "OK", "statusCode": 200})

    def _article(self, number: int) -> web.Response:
        story = next((each for each in self.stories if each.number == number), None)
        if story is None:
            return web.Response(status=404, text="not found")
        text = f"<!doctype html><title>x</title><main><article>{story.body}</article></main>"
        return web.Response(text=text, content_type="text/html")


def _listed(story: Story) -> dict[str, Any]:
    """A story as the lists carry it: HTML escaped once more."""
    return {
        "newsId": story.number,
        "title": story.headline,
        # Now and then the list is without the text, and the page has to be asked for.
        "content": html.escape(story.body, quote=False) if story.number % 5 else None,
        "summary": story.headline,
        "publishAt": story.at,
        "keyword": [story.name],
        "market": [{"code": story.code, "name": story.name, "symbol": f"TWS:{story.code}:STOCK"}],
    }


def site(options: SimulatorOptions) -> NewsSite:
    """A news site; the catalogue's entry."""
    return NewsSite(options)
