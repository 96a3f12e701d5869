"""cnyes: JSON list pages and the HTML of articles, as the site's own pages ask for them."""

import re
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from producers.venues.news.items import Item
from producers.venues.news.text import BODY_LIMIT, plain
from tapewatch.clock import LATEST_NS, NANOS

SOURCE = "cnyes"
LIST = "/media/api/v1/newslist/category/"
"""Path of a list; a category follows, such as headline, tw_stock, wd_stock."""
PAGE_ITEMS = 30
"""Items of a page: the site itself asks for no more."""
ARTICLE = "/news/id/"
"""Path of an article's page."""
PAGE = f"https://news.cnyes.com{ARTICLE}"
CATEGORY = re.compile(r"[a-z0-9_]{1,40}")

_PARTS = 20
"""Parts of a page that are looked at."""


class _Market(msgspec.Struct):
    """An instrument that the editors attached. symbol : such as TWS:2330:STOCK"""

    code: str | int = ""
    symbol: str = ""


class _Entry(msgspec.Struct, rename="camel"):
    """One item of a list, as far as it is used."""

    news_id: Annotated[int, Meta(ge=1)]
    title: str
    publish_at: Annotated[int, Meta(ge=0, le=LATEST_NS // NANOS)]
    content: str | None = None
    summary: str | None = None
    market: list[_Market] | None = None


class _Items(msgspec.Struct):
    data: list[msgspec.Raw]
    last_page: int = 1


class _Page(msgspec.Struct):
    items: _Items


@dataclass(frozen=True, slots=True)
class ListPage:
    """A list page. items : newest first, as it came; bad : raw items that are none; last : number of the last page"""

    items: list[Item]
    bad: list[bytes]
    last: int


def list_page(body: bytes, received: int) -> ListPage:
    """Read a list page; ValueError where it is none."""
    try:
        page = msgspec.json.decode(body, type=_Page).items
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise ValueError(f"no list page: {error}") from error
    items: list[Item] = []
    bad: list[bytes] = []
    for raw in page.data:
        try:
            items.append(_item(msgspec.json.decode(raw, type=_Entry), received))
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            bad.append(bytes(raw))
    return ListPage(items, bad, page.last_page)


def _item(entry: _Entry, received: int) -> Item:
    marks = [market.symbol.rpartition(":")[0] or f"{market.code}-TW" for market in entry.market or ()]
    return Item(
        source=SOURCE,
        own_id=str(entry.news_id),
        headline=entry.title,
        url=f"{PAGE}{entry.news_id}",
        published=entry.publish_at * NANOS,
        received=received,
        body=entry.content or entry.summary or "",
        codes=tuple(mark[:40] for mark in marks[:50]),
        whole=bool(entry.content),
    )


def article_text(page: str) -> str:
    """The text of an article's page: of its JSON-LD where that holds it, else of <article> or <main>; may be empty."""
    for part in _parts(page, "script"):
        head, _, script = part.partition(">")
        text = _article_body(script) if "application/ld+json" in head else ""
        if text:
            return plain(text)
    found = [plain(part.partition(">")[2]) for name in ("article", "main") for part in _parts(page, name)]
    return max(found, key=len, default="")[:BODY_LIMIT]


def _parts(page: str, name: str) -> list[str]:
    """What lies between `<name` and `</name>`, the first twenty times: in one pass, whatever the page holds."""
    found: list[str] = []
    start = page.find(f"<{name}")
    while start >= 0 and len(found) < _PARTS:
        end = page.find(f"</{name}", start)
        if end < 0:
            break
        found.append(page[start + 1 + len(name) : end])
        start = page.find(f"<{name}", end)
    return found


def _article_body(text: str) -> str:
    try:
        tree: Any = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return ""
    for each in tree if isinstance(tree, list) else [tree]:
        if isinstance(each, dict) and isinstance(each.get("articleBody"), str):
            return str(each["articleBody"])
    return ""
