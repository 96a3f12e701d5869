"""From items to messages: what was sent before is left out, what repeats another text is marked, symbols are found."""

from collections import Counter
from collections.abc import Iterable

import msgspec

from producers.base.collector import RefusedMessage
from producers.venues.news.items import Item, UnfitItemError, news_of
from producers.venues.news.seen import ItemHistory
from producers.venues.news.symbols import SymbolFinder
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.messages import News


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
