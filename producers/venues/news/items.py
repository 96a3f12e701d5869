"""What a page or feed tells of one piece of news, before it becomes a message.

RSS and Atom documents to items; a document that could harm the parser is refused before it is parsed.
"""

import calendar
import io
import re
from dataclasses import dataclass
from typing import Any

from producers.venues.news.symbols import SymbolFinder
from producers.venues.news.text import canonical, clean_url, language, plain, tidy
from tapewatch.clock import LATEST_NS, NANOS
from tapewatch.contract.messages import News, stable_id
from tapewatch.errors import TapewatchError
from tapewatch.rfc3339 import to_rfc3339


class UnfitItemError(Exception):
    """An item that gives no message. reason : dead-letter reason"""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Item:
    """One item as it was received, texts as they came.

    source : cnyes, or a feed's host; own_id : the source's id; published : UTC ns, 0 where it does not say
    language : as the source says, may be empty; codes : marked codes that came beside the text
    whole : whether the body is the whole text, not a summary
    """

    source: str
    own_id: str
    headline: str
    url: str
    published: int
    received: int
    body: str = ""
    language: str = ""
    codes: tuple[str, ...] = ()
    whole: bool = True

    @property
    def id(self) -> str:
        """The message's id: the same each time the item is fetched."""
        return stable_id(self.source, self.own_id)


def news_of(item: Item, finder: SymbolFinder, with_body: bool) -> News:
    """The message of an item; UnfitItemError where headline or id are missing.

    What was received was public then, whatever the source says: `published` is never later than `received`.
    """
    headline = tidy(plain(item.headline).replace("\n", " "))
    if not item.own_id:
        raise UnfitItemError("no_id")
    if not canonical(headline):
        raise UnfitItemError("no_headline")
    if not 0 <= item.published < LATEST_NS:
        raise UnfitItemError("bad_time")
    body = plain(item.body) if item.body else ""
    return News(
        id=item.id,
        source=item.source,
        published=to_rfc3339(min(item.published or item.received, item.received)),
        received=to_rfc3339(item.received),
        language=item.language or language(f"{headline}\n{body}"),
        headline=headline,
        body=body if with_body else "",
        url=clean_url(item.url),
        instruments=finder.find(headline, body, item.codes),
    )


FEED_LIMIT = 2 << 20
"""Bytes of a feed."""
ENTRIES = 500
"""Entries of one document that are read."""
_ENCODING = re.compile(rb"""^\s*<\?xml[^>]{0,200}?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
# All of these write markup as ASCII does, so that what is looked for below cannot hide.
_ENCODINGS = re.compile(
    rb"utf-?8|us-ascii|ascii|iso-8859-\d{1,2}|windows-125\d|big5(-hkscs)?|gb2312|gbk|gb18030|euc-(kr|jp|tw)|shift[_-]jis|ks_c_5601-1987",
    re.IGNORECASE,
)


class HostileFeedError(Exception):
    """A document that is not parsed. reason : dead-letter reason"""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def entries(document: bytes, source: str, received: int) -> list[Item]:
    """The entries of an RSS or Atom document, oldest first where it is newest first; HostileFeedError for no feed.

    source : name of the feed, normally its host
    """
    _check(document)
    feed = _parsed(document)
    if not feed.get("version"):
        raise HostileFeedError("not_a_feed")
    tag = str(feed.feed.get("language") or "")
    language = tag if re.fullmatch(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,2}", tag) else ""
    return [_item(entry, source, language, received) for entry in reversed(feed.entries[:ENTRIES])]


def _check(document: bytes) -> None:
    """Refuse entities (they can grow without bound or name files), unusual encodings, size."""
    if len(document) > FEED_LIMIT:
        raise HostileFeedError("too_large")
    body = document.removeprefix(b"\xef\xbb\xbf")
    if b"\x00" in body or body[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise HostileFeedError("unusual_encoding")
    declared = _ENCODING.match(body)
    if declared is not None and not _ENCODINGS.fullmatch(declared[1]):
        raise HostileFeedError("unusual_encoding")
    if re.search(rb"<!\s*(ENTITY|DOCTYPE[^>]{0,2000}\[)", body, re.IGNORECASE):
        raise HostileFeedError("entities")


def _parsed(document: bytes) -> Any:
    try:
        import feedparser
    except ImportError as error:
        raise TapewatchError(
            "RSS and Atom need feedparser", "Install the extra: pip install 'tapewatch[live]'."
        ) from error
    # As a stream: a text could be taken for an address or a file's name.
    try:
        return feedparser.parse(io.BytesIO(document), sanitize_html=False, resolve_relative_uris=False)
    except (ValueError, LookupError, RecursionError, AttributeError, TypeError, AssertionError) as error:
        raise HostileFeedError("not_a_feed") from error


def _item(entry: Any, source: str, language: str, received: int) -> Item:
    url = str(entry.get("link") or "")
    body = str(entry.get("summary") or "")
    for content in entry.get("content") or ():
        body = max(body, str(content.get("value") or ""), key=len)
    return Item(
        source=source,
        own_id=str(entry.get("id") or "")[:2_000] or clean_url(url),
        headline=str(entry.get("title") or ""),
        url=url,
        published=_nanos(_moment(entry)),
        received=received,
        body=body,
        language=language,
        codes=tuple(str(tag.get("term") or "")[:40] for tag in (entry.get("tags") or ())[:20]),
    )


def _moment(entry: Any) -> Any:
    """When it was published, else when it was changed."""
    # Asked as a plain mapping: feedparser's own falls back from one to the other, with a warning.
    return next(
        (entry[name] for name in ("published_parsed", "updated_parsed") if dict.__contains__(entry, name)), None
    )


def _nanos(moment: Any) -> int:
    """UTC nanoseconds of a struct_time in UTC; 0 where there is none, as for a date that was not understood."""
    if moment is None:
        return 0
    try:
        return max(0, calendar.timegm(moment)) * NANOS
    except (ValueError, OverflowError, TypeError):
        return 0
