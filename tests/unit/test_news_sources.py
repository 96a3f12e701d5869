"""cnyes lists and articles, RSS and Atom: what they give, what is refused, what is sent once or marked."""

import argparse
import asyncio
import json
from collections import Counter
from typing import Any

import msgspec
import pytest

from producers.simulators.catalogue import SimulatorOptions
from producers.simulators.faults import Fault, FaultKind, FaultPlan
from producers.simulators.news import NewsSite
from producers.simulators.server import SimulatorServer
from producers.venues.news import cnyes
from producers.venues.news.desk import NewsProcessor
from producers.venues.news.items import HostileFeedError, Item, entries
from producers.venues.news.source import Poller
from tapewatch.clock import NANOS
from tapewatch.contract.instruments import Instrument
from tapewatch.rfc3339 import to_rfc3339
from tapewatch.settings import Settings
from tapewatch.settings.venues import NewsSettings, ProduceSettings, VenueSettings

NOW = 1_740_000_000 * NANOS


def item(number: int, headline: str = "台積電法說會", at: int = NOW, **more: Any) -> Item:
    return Item("cnyes", str(number), headline, f"https://news.cnyes.com/news/id/{number}", at, NOW, **more)


def entry(**changed: Any) -> dict[str, Any]:
    return {"newsId": 7, "title": "a", "publishAt": 1_739_999_000, "content": "&lt;p&gt;b&lt;/p&gt;", **changed}


def page(*data: Any) -> bytes:
    return json.dumps({"items": {"data": list(data), "last_page": 3}, "statusCode": 200}).encode()


def test_list_page_gives_items_with_the_editors_marks() -> None:
    market = [{"code": "2330", "name": "台積電", "symbol": "TWS:2330:STOCK"}, {"code": 2317}]
    found = cnyes.list_page(page(entry(market=market), entry(newsId=8, summary=None, market=None)), NOW)
    assert found.last == 3
    assert [one.own_id for one in found.items] == ["7", "8"]
    assert found.items[0].codes == ("TWS:2330", "2317-TW")
    assert found.items[0].url == "https://news.cnyes.com/news/id/7"


def test_bad_item_of_a_list_costs_only_itself() -> None:
    bad = [entry(newsId="x"), entry(publishAt=-1), {"title": "b"}, 3, entry(publishAt=10**18)]
    found = cnyes.list_page(page(*bad, entry()), NOW)
    assert len(found.items) == 1
    assert len(found.bad) == 5


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"items":null}', b"[" * 100_000])
def test_body_that_is_no_list_page_is_an_error(body: bytes) -> None:
    with pytest.raises(ValueError, match="no list page"):
        cnyes.list_page(body, NOW)


def test_article_text_is_that_of_json_ld_or_of_the_article() -> None:
    ld = '<script type="application/ld+json">[{"articleBody":"<p>aus\\u0041</p>"}]</script><article>x</article>'
    assert cnyes.article_text(ld) == "ausA"
    assert cnyes.article_text("<main><nav>n</nav><p>text</p><script>x()</script></main>") == "n\ntext"
    assert cnyes.article_text("<html>") == ""


def test_item_twice_is_sent_once_and_the_same_text_is_marked() -> None:
    desk, counts = NewsProcessor(), Counter[str]()
    later = NOW + 86_400 * NANOS
    first, _ = desk.sort([item(1), item(1), item(2, "台積電 法說會!", at=NOW - NANOS)], counts)
    desk.recall(first)
    assert [one.duplicate_of for one in first] == ["", first[0].id]
    again, _ = desk.sort([item(1), item(3, "<b>台積電</b>法說會"), item(4, "台積電法說會 2")], counts)
    assert [one.duplicate_of for one in again] == [first[0].id, ""]
    assert (counts["repeated"], counts["duplicates"]) == (2, 2)
    weekly = msgspec.structs.replace(first[0], id="0" * 32, url="", published=to_rfc3339(later + 9 * 86_400 * NANOS))
    fresh = NewsProcessor()
    fresh.recall([weekly])
    assert fresh.sort([item(5)], counts)[0][0].duplicate_of == ""


def test_item_without_headline_or_id_is_refused_with_its_reason() -> None:
    desk, counts = NewsProcessor(), Counter[str]()
    news, refused = desk.sort([item(1, "<p>!</p>"), Item("h", "", "a", "", 0, NOW), item(2, at=-1)], counts)
    assert not news
    assert [bad.reason for bad in refused] == ["no_headline", "no_id", "bad_time"]


def test_message_has_no_body_unless_asked_and_was_public_when_it_was_received() -> None:
    late = item(1, at=NOW + 3_600 * NANOS, body="<p>(2330-TW)</p>")
    for with_body in (False, True):
        desk = NewsProcessor(with_body)
        desk.know([Instrument("2330.XTAI")])
        (news,), _ = desk.sort([late], Counter())
        assert news.published == news.received == to_rfc3339(NOW)
        assert news.instruments == ("2330.XTAI",)
        assert news.body == ("(2330-TW)" if with_body else "")


def rss(*items: str) -> bytes:
    head = '<?xml version="1.0"?><rss version="2.0"><channel><title>t</title><language>en-us</language>'
    return f"{head}{''.join(items)}</channel></rss>".encode()


def test_rss_and_atom_of_the_site_give_its_stories() -> None:
    site = NewsSite(SimulatorOptions(seed=3))
    stories = [site.write(1_740_000_000 + number) for number in range(3)]
    for document in (site.rss("https://h.example"), site.atom("https://h.example")):
        found = entries(document, "h.example", NOW)
        assert [one.headline for one in found] == [story.headline for story in stories]
        assert [one.published for one in found] == [story.at * NANOS for story in stories]
    assert entries(site.rss("https://h.example"), "h", NOW)[0].own_id == str(stories[0].number)


def test_entry_without_id_takes_its_address_and_without_time_that_of_receipt() -> None:
    (one,) = entries(rss("<item><title>a</title><link>https://h.example/a?utm_source=b</link></item>"), "h", NOW)
    assert one.own_id == "https://h.example/a"
    (news,), _ = NewsProcessor().sort([one], Counter())
    assert news.published == to_rfc3339(NOW)
    assert news.language == "en-us"


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (b"", "not_a_feed"),
        (b"<html><body>busy</body></html>", "not_a_feed"),
        (b'<!DOCTYPE r [<!ENTITY a "b">]><rss version="2.0"/>', "entities"),
        (b'<!doctype r SYSTEM "file:///etc/passwd" [<!entity a SYSTEM "file:///etc/passwd">]><rss/>', "entities"),
        ('<?xml version="1.0"?><rss version="2.0"/>'.encode("utf-16"), "unusual_encoding"),
        (b'<?xml version="1.0" encoding="utf-7"?><rss version="2.0"/>', "unusual_encoding"),
        (rss("x" * (2 << 20)), "too_large"),
        (b"file:///etc/passwd", "not_a_feed"),
        (b"https://h.example/rss", "not_a_feed"),
    ],
)
def test_document_that_could_do_harm_is_refused_before_it_is_parsed(document: bytes, reason: str) -> None:
    with pytest.raises(HostileFeedError) as caught:
        entries(document, "h", NOW)
    assert caught.value.reason == reason


def test_hostile_entries_become_harmless_text() -> None:
    hostile = rss(
        "<item><title>&lt;script&gt;alert(1)&lt;/script&gt;A \u202eB</title><link>javascript:alert(1)</link>"
        "<guid>g</guid><pubDate>the day after</pubDate></item>"
    )
    (news,), _ = NewsProcessor().sort(entries(hostile, "h", NOW), Counter())
    assert (news.headline, news.url) == ("A B", "")


def polled(plan: FaultPlan, **arguments: Any) -> tuple[dict[str, Any], NewsSite]:
    """What a look at a simulated site gives, on the screen."""

    async def scene() -> tuple[dict[str, Any], NewsSite]:
        site = NewsSite(SimulatorOptions(seed=5, rate=0))
        async with SimulatorServer(site, plan) as server:
            address = server.addresses()["cnyes"]
            fast = ProduceSettings(backoff_first_s=0.01, backoff_cap_s=0.02, request_timeout_s=2)
            settings = Settings(
                produce=fast, venues=VenueSettings(news=NewsSettings(cnyes=address, cnyes_pages=address))
            )
            given = {"categories": "headline,tw_stock", "feeds": f"{address}/rss", "every": 1.0, "once": True,
                     "bodies": False, "dry_run": True, "json": True, **arguments}  # fmt: skip
            poller = Poller(settings, argparse.Namespace(**given), lambda _: None)
            poller.know(Instrument(f"{code}.XTAI", name=name) for code, name in (("2330", "台積電"), ("2317", "鴻海")))
            try:
                await poller.run(asyncio.Event())
            finally:
                await poller.close()
            return poller.report(), site

    return asyncio.run(scene())


def test_look_at_a_site_gives_each_story_once_and_its_feed_as_repeats() -> None:
    report, site = polled(FaultPlan())
    # A list page and the feed show 30 of 40 stories; the feed's have ids of their own.
    assert report["repeated"] == 30
    assert report["duplicates"] == 30
    own = [one for one in report["news"] if not one["duplicate_of"]]
    assert [one["headline"] for one in own] == [story.headline for story in site.stories[-30:]]
    found = {one["instruments"] and one["instruments"][0] for one in own}
    assert {"2330.XTAI", "2317.XTAI"} <= found


def test_text_that_a_list_does_not_carry_is_taken_from_the_article() -> None:
    report, site = polled(FaultPlan(), bodies=True, categories="headline", feeds=" ")
    assert report["articles"] == sum(story.number % 5 == 0 for story in site.stories[-30:]) > 0
    assert all("-TW)" in one["body"] and "x()" not in one["body"] for one in report["news"])


@pytest.mark.parametrize(
    "kind",
    [FaultKind.HTTP_429, FaultKind.HTTP_500, FaultKind.HTTP_503, FaultKind.HTML, FaultKind.TRUNCATED_GZIP],
)
def test_bad_answer_is_asked_for_again(kind: FaultKind) -> None:
    report, _ = polled(FaultPlan(script=[Fault(kind, seconds=1)]))
    assert report["sent"] == 60


def test_site_that_is_down_is_counted_and_no_error() -> None:
    report, _ = polled(FaultPlan(script=[Fault(FaultKind.HTTP_503, count=3)]), categories="headline", feeds=" ")
    assert report["failed"] == 1
