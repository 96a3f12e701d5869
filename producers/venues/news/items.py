"""What a page or feed tells of one piece of news, before it becomes a message."""

from dataclasses import dataclass

from producers.venues.news.symbols import SymbolFinder
from producers.venues.news.text import canonical, clean_url, language, plain, tidy
from tapewatch.clock import LATEST_NS
from tapewatch.contract.messages import News, stable_id
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
