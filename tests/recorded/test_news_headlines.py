"""Recorded headlines of cnyes, 2023 and early 2025, through the live code: repeats, language, instruments."""

import csv
import gzip
import os
from collections import Counter
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from detectors.sentiment.same import DuplicateIndex, Headline
from producers.venues.news.desk import NewsProcessor
from producers.venues.news.items import Item
from producers.venues.news.symbols import SymbolFinder
from producers.venues.news.text import canonical
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.messages import News, from_rfc3339

FOLDER = Path(os.environ.get("TAPEWATCH_TEST_DATA", "")) / "news"
FILES = sorted(FOLDER.glob("cnyes_headlines_*.csv.gz")) if os.environ.get("TAPEWATCH_TEST_DATA") else []
pytestmark = pytest.mark.skipif(not FILES, reason="no recorded headlines: set TAPEWATCH_TEST_DATA")

NAMES = {
    "2330": "台積電", "2317": "鴻海", "2454": "聯發科", "2603": "長榮", "2618": "長榮航",
    "2303": "聯電", "2412": "中華電", "2382": "廣達", "3231": "緯創", "2327": "國巨",
    "2308": "台達電", "3008": "大立光", "1216": "統一", "2912": "統一超",
}  # fmt: skip


@pytest.fixture(scope="module")
def items() -> list[Item]:
    """Every recorded headline as an item, oldest first, received when it was published."""
    found: list[Item] = []
    for file in FILES:
        with gzip.open(file, "rt", encoding="utf-8-sig") as lines:
            rows = csv.reader(lines)
            next(rows)
            for time, title, link in rows:
                at = datetime.strptime(time, "%Y-%m-%d %H:%M").replace(tzinfo=ZoneInfo("Asia/Taipei"))
                ns = int(at.timestamp()) * 1_000_000_000
                found.append(Item("cnyes", link.rpartition("/")[2], title, link, ns, ns))
    return sorted(found, key=lambda item: item.published)


@pytest.fixture(scope="module")
def sent(items: list[Item]) -> tuple[list[News], Counter[str]]:
    desk, counts = NewsProcessor(), Counter[str]()
    desk.know([Instrument(f"{code}.XTAI", name=name) for code, name in NAMES.items()])
    news: list[News] = []
    for start in range(0, len(items), 500):
        found, refused = desk.sort(items[start : start + 500], counts)
        assert not refused
        desk.recall(found)
        news += found
    return news, counts


def test_every_headline_is_sent_once_and_repeats_within_three_days_are_marked(
    items: list[Item], sent: tuple[list[News], Counter[str]]
) -> None:
    news, counts = sent
    assert len(items) == len(news) == 39_278
    assert len({one.id for one in news}) == len(news)
    assert len({canonical(item.headline) for item in items}) == 39_254
    marked = [one for one in news if one.duplicate_of]
    assert counts["duplicates"] == len(marked) == 4
    by_id = {one.id: one for one in news}
    assert all(canonical(by_id[one.duplicate_of].headline) == canonical(one.headline) for one in marked)


def test_headlines_are_told_to_be_traditional_chinese(sent: tuple[list[News], Counter[str]]) -> None:
    tags = Counter(one.language for one in sent[0])
    assert tags["zh-Hant"] > 39_000
    assert tags["zh-Hans"] < 40


def test_instruments_are_found_by_name_and_code(sent: tuple[list[News], Counter[str]]) -> None:
    found = Counter(instrument for one in sent[0] for instrument in one.instruments)
    named = sum("台積電" in one.headline for one in sent[0])
    assert found["2330.XTAI"] >= named > 900
    assert "1216.XTAI" not in found
    assert not any("國巨" in one.headline and "美國巨" in one.headline for one in sent[0]
                   if "2327.XTAI" in one.instruments)  # fmt: skip


def test_numbers_of_headlines_are_no_codes_even_where_every_code_is_listed(items: list[Item]) -> None:
    finder = SymbolFinder([Instrument(f"{code}.XTAI") for code in range(1_000, 10_000)])
    hits = [item.headline for item in items if finder.find(item.headline)]
    assert 0 < len(hits) < 150
    # What is left stands in parentheses or names its venue.
    assert all(any(mark in headline for mark in ("(", "\uff08", "-TW", ".TW")) for headline in hits)


def test_rewordings_of_the_recordings_are_those_that_a_reader_found_to_be_some(
    items: list[Item], sent: tuple[list[News], Counter[str]]
) -> None:
    # Five seconds of CPU: 39,278 headlines.
    same, by_id, found = DuplicateIndex(48.0), {one.id: one.headline for one in sent[0]}, []
    for one in sent[0]:
        headline = Headline(one.id, one.language, one.headline, from_rfc3339(one.published), frozenset(one.instruments))
        original = one.duplicate_of or same.original(headline)
        if original:
            found.append((by_id[original], one.headline))
        else:
            same.add(headline)
    assert len(found) == 14
    assert ("中國恒大在美聲請破產保護", "中國恒大在美聲請破產保護 目的是什麼\uff1f") in found
    assert not any("重點新聞摘要" in one for pair in found for one in pair)
    assert len(same) < 500
