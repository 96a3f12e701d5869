"""What has been sent already: an item twice is not sent again, the same text under another id is marked."""

from collections import OrderedDict

from producers.venues.news.text import canonical
from tapewatch.clock import NANOS
from tapewatch.contract.messages import News, from_rfc3339, stable_id

KEPT = 50_000
"""Items that are remembered."""
WINDOW_NS = 3 * 86_400 * NANOS
"""The same headline later than that is another piece of news, such as a weekly column."""


class ItemHistory:
    """Remembers the last 50,000 items."""

    def __init__(self) -> None:
        self._ids: OrderedDict[str, None] = OrderedDict()
        self._texts: OrderedDict[str, tuple[str, int]] = OrderedDict()
        self._urls: OrderedDict[str, str] = OrderedDict()

    def __contains__(self, id_: str) -> bool:
        return id_ in self._ids

    def original(self, news: News) -> str:
        """Id of the item whose text or address this one repeats, empty for none."""
        known = self._texts.get(_text_key(news.headline))
        if known is not None and abs(from_rfc3339(news.published) - known[1]) <= WINDOW_NS:
            return known[0]
        return self._urls.get(news.url, "") if news.url else ""

    def add(self, news: News) -> None:
        """Remember an item that was sent."""
        self._ids[news.id] = None
        first = news.duplicate_of or news.id
        # The window runs from the first of its kind on.
        if not news.duplicate_of:
            self._texts[_text_key(news.headline)] = (first, from_rfc3339(news.published))
        if news.url:
            self._urls.setdefault(news.url, first)
        for kept in (self._ids, self._texts, self._urls):
            while len(kept) > KEPT:
                kept.popitem(last=False)


def _text_key(headline: str) -> str:
    return stable_id(canonical(headline))
