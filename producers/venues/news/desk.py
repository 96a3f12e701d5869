"""From items to messages: what was sent before is left out, what repeats another text is marked, symbols are found.

What has been sent already: an item twice is not sent again, the same text under another id is marked.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterable

import msgspec

from producers.base.collector import RefusedMessage
from producers.venues.news.items import Item, UnfitItemError, news_of
from producers.venues.news.symbols import SymbolFinder
from producers.venues.news.text import canonical
from tapewatch.clock import NANOS
from tapewatch.contract.instruments import Instrument
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


class NewsProcessor:
    """Sorts items. with_body : whether messages carry the text; symbols are found in it anyway"""

    def __init__(self, with_body: bool = False) -> None:
        self._with_body = with_body
        self._seen = ItemHistory()
        self._finder = SymbolFinder(())
        self._known: dict[str, str] = {}

    def know(self, instruments: Iterable[Instrument]) -> None:
        """Take up reference data."""
        given = list(instruments)
        known = {instrument.id: instrument.name for instrument in given}
        if known != self._known:
            self._known, self._finder = known, SymbolFinder(given)

    def recall(self, sent: Iterable[News]) -> None:
        """Remember what was sent, oldest first."""
        for news in sent:
            self._seen.add(news)

    def is_new(self, item: Item) -> bool:
        """Whether the item was not sent before."""
        return item.id not in self._seen

    def sort(self, items: Iterable[Item], counts: Counter[str]) -> tuple[list[News], list[RefusedMessage]]:
        """New items as messages in the order given, and what gives none; `counts` is kept.

        Nothing is remembered before `recall` is called.
        """
        news: list[News] = []
        refused: list[RefusedMessage] = []
        fresh = ItemHistory()
        for item in items:
            counts["items"] += 1
            if item.id in self._seen or item.id in fresh:
                counts["repeated"] += 1
                continue
            try:
                made = news_of(item, self._finder, self._with_body)
            except UnfitItemError as error:
                raw = msgspec.json.encode({"source": item.source, "id": item.own_id, "headline": item.headline[:2_000]})
                refused.append(RefusedMessage(error.reason, f"{item.source} {item.own_id}"[:200], raw, item.received))
                continue
            original = self._seen.original(made) or fresh.original(made)
            if original:
                made = msgspec.structs.replace(made, duplicate_of=original)
                counts["duplicates"] += 1
            fresh.add(made)
            news.append(made)
        counts["with_instruments"] += sum(1 for each in news if each.instruments)
        return news, refused
