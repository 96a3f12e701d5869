"""Yahoo stands in for MIS and gives the feed back: switches are status rows, volumes never step back, rows add up."""

import random
from typing import Any

import pytest

from producers.base.decoder import DecoderRequest
from producers.venues.twse.arbiter import MIS, NOBODY, YAHOO
from tapewatch.contract.rows import Condition, StatusKind
from tests.unit.taiwan import TSMC, VACCINE, Feed, at, chart_answer, mis_row, yahoo_quote


def kinds(feed: Feed) -> list[tuple[Any, Any]]:
    """Kind and detail of the feed's own status rows."""
    return [(row[3], row[4]) for row in feed.statuses if row[0] == 0]


def failing_feed() -> Feed:
    """MIS answered at 10:00:01 and failed ever since; it is 10:00:17."""
    feed = Feed()
    feed.mis(at("10:00:01"), mis_row(), mis_row(VACCINE))
    for second in (6, 11, 17):
        feed.mis_fails(at(f"10:00:{second:02d}"))
    return feed


def test_yahoo_is_asked_after_the_first_failure_and_not_before() -> None:
    feed = Feed()
    feed.mis(at("10:00:01"), mis_row())
    assert not feed.decoder.arbiter.wants_yahoo(at("10:00:02"))
    feed.mis_fails(at("10:00:06"))
    assert feed.decoder.arbiter.wants_yahoo(at("10:00:06"))


def test_feed_is_nobodys_until_yahoo_answers() -> None:
    feed = failing_feed()
    assert feed.decoder.arbiter.in_charge == NOBODY
    assert kinds(feed) == [(StatusKind.GAP, "mis: timeout for 16 s")]
    feed.yahoo(at("10:00:20"), yahoo_quote(event=at("10:00:19")))
    assert kinds(feed)[1] == (StatusKind.RESYNC, "yahoo in charge; touch only, no books; 19 s not watched")
    assert feed.quotes[-1][1:] == (at("10:00:19"), at("10:00:20"), 1001.0, 0.0, 1004.0, 0.0, 1004.0, 510_000.0)
    assert len(feed.decoder.collector.books) == 2 and feed.accounted()


def test_mis_takes_back_after_it_has_been_good_for_a_while() -> None:
    feed = failing_feed()
    feed.yahoo(at("10:00:20"), yahoo_quote(event=at("10:00:19")))
    for second in (25, 30, 35):
        feed.mis(at(f"10:00:{second}"), mis_row(event=at(f"10:00:{second}"), v="520"))
    assert feed.decoder.arbiter.in_charge == YAHOO
    assert feed.decoder.collector.dropped["not_in_charge"] == 3
    feed.mis(at("10:00:40"), mis_row(event=at("10:00:40"), v="521"))
    assert feed.decoder.arbiter.in_charge == MIS
    assert kinds(feed)[-1] == (StatusKind.RESYNC, "mis in charge; 0 s not watched")
    assert feed.quotes[-1][8] == 521_000.0
    feed.yahoo(at("10:00:41"), yahoo_quote(event=at("10:00:41")))
    assert feed.decoder.collector.dropped["not_in_charge"] == 4 and feed.accounted()


def test_relapse_starts_the_waiting_time_anew() -> None:
    feed = failing_feed()
    feed.yahoo(at("10:00:20"), yahoo_quote(event=at("10:00:19")))
    feed.mis(at("10:00:25"), mis_row(event=at("10:00:25")))
    feed.yahoo(at("10:00:41"), yahoo_quote(event=at("10:00:40")))
    feed.mis(at("10:00:45"), mis_row(event=at("10:00:45")))
    assert feed.decoder.arbiter.in_charge == YAHOO


def test_mis_that_returns_first_takes_over_at_once() -> None:
    feed = failing_feed()
    feed.mis(at("10:00:20"), mis_row(event=at("10:00:20")))
    assert kinds(feed)[1] == (StatusKind.RESYNC, "mis in charge; 19 s not watched")


def test_lagging_mis_loses_the_feed_only_to_something_newer() -> None:
    feed = Feed()
    feed.mis(at("10:00:01"), mis_row())
    for minute, second in ((0, 30), (1, 0), (1, 6)):
        feed.mis(at(f"10:{minute:02d}:{second:02d}"), mis_row())
    assert feed.decoder.arbiter.in_charge == MIS and feed.decoder.arbiter.wants_yahoo(at("10:01:06"))
    feed.yahoo(at("10:01:07"), yahoo_quote(event=at("09:59:59")))
    assert feed.decoder.arbiter.in_charge == MIS and not kinds(feed)
    feed.yahoo(at("10:01:10"), yahoo_quote(event=at("10:01:09")))
    assert kinds(feed) == [
        (StatusKind.GAP, "mis: lags 70 s behind"),
        (StatusKind.RESYNC, "yahoo in charge; touch only, no books; 70 s not watched"),
    ]


def test_delayed_yahoo_never_takes_over() -> None:
    feed = failing_feed()
    feed.yahoo(at("10:00:20"), yahoo_quote(event=at("09:40:20")))
    assert feed.decoder.arbiter.in_charge == NOBODY
    assert feed.decoder.collector.dropped["not_in_charge"] == 1 and feed.accounted()


def test_yahoo_that_falls_silent_leaves_a_gap() -> None:
    feed = failing_feed()
    feed.yahoo(at("10:00:20"), yahoo_quote(event=at("10:00:19")))
    feed.mis_fails(at("10:00:51"))
    assert feed.decoder.arbiter.in_charge == NOBODY
    assert kinds(feed)[-1] == (StatusKind.GAP, "yahoo: no answer; mis not back")


def test_volume_holds_where_yahoo_counts_less() -> None:
    feed = failing_feed()
    feed.yahoo(at("10:00:20"), yahoo_quote(event=at("10:00:19"), regularMarketVolume=480_000))
    assert feed.quotes[-1][8] == 500_000.0 and feed.decoder.held == 1


def test_chart_without_touch_is_kept_as_a_late_trade_of_the_growth() -> None:
    feed = failing_feed()
    feed.decoder.answer(DecoderRequest("yahoo", TSMC), chart_answer(event=at("10:00:19")), at("10:00:20"))
    assert feed.decoder.collector.trades == [
        (feed.decoder.collector.code(TSMC), at("10:00:19"), at("10:00:20"), 1004.0, 10_000.0, 0, Condition.LATE, None)
    ]
    feed.decoder.answer(DecoderRequest("yahoo", TSMC), chart_answer(event=at("10:00:24")), at("10:00:25"))
    assert feed.decoder.collector.dropped["no_touch"] == 1 and feed.accounted()


@pytest.mark.parametrize(
    ("quote", "reason"),
    [
        ({"regularMarketPrice": None}, "no_price"),
        ({"regularMarketPrice": "1004"}, "bad_value"),
        ({"symbol": "AAPL"}, "bad_value"),
        ({"bid": 1010.0}, "book_crossed"),
        ({"regularMarketTime": "noon"}, "malformed"),
    ],
)
def test_quote_of_yahoo_that_cannot_be_is_refused(quote: dict[str, Any], reason: str) -> None:
    feed = failing_feed()
    feed.yahoo(at("10:00:20"), yahoo_quote(event=at("10:00:19"), **quote), yahoo_quote(VACCINE, event=at("10:00:19")))
    assert feed.decoder.collector.refused == {reason: 1} and feed.accounted()


def test_documents_without_quotes_are_refused() -> None:
    feed = failing_feed()
    for body in (b"<html>", b"{}", b'{"chart":{"result":null,"error":{"code":"Not Found","description":"x"}}}', b"[]"):
        feed.decoder.answer(DecoderRequest("yahoo", ""), body, at("10:00:20"))
    assert feed.decoder.collector.refused == {"not_json": 1, "no_rows": 1, "unknown_symbol": 1, "malformed": 1}
    assert feed.accounted()


@pytest.mark.parametrize("seed", range(20))
def test_any_order_of_failures_and_answers_adds_up(seed: int) -> None:
    draw = random.Random(seed)
    feed = Feed()
    now, lots = at("10:00:00"), 500
    for _ in range(300):
        now += draw.randrange(500, 9_000) * 1_000_000
        lots += draw.randrange(4)
        event = now - draw.randrange(0, 90_000 if draw.random() < 0.2 else 900) * 1_000_000
        kind = draw.random()
        if kind < 0.45:
            feed.mis(now, mis_row(event=event, v=str(lots)), mis_row(VACCINE, event=event, v=str(lots - 400)))
        elif kind < 0.7:
            feed.mis_fails(now)
        else:
            feed.yahoo(now, yahoo_quote(event=event, regularMarketVolume=lots * 1000 - draw.randrange(3000)))
    assert feed.accounted()
    for code in {row[0] for row in feed.quotes}:
        volumes = [row[8] for row in feed.quotes if row[0] == code]
        assert volumes == sorted(volumes)
    alternating = [kind for kind, _ in kinds(feed)]
    assert all(kind in (StatusKind.GAP, StatusKind.RESYNC) for kind in alternating)
    assert len(alternating) == feed.decoder.arbiter.switches


def test_prints_of_the_close_on_yahoo_do_not_take_the_feed_from_a_quiet_mis() -> None:
    feed = Feed()
    feed.mis(at("13:30:03"), mis_row(event=at("13:30:00")))
    feed.mis(at("13:31:01"), mis_row(event=at("13:30:00")))
    feed.yahoo(at("13:31:02"), yahoo_quote(event=at("13:30:07")))
    assert feed.decoder.arbiter.in_charge == MIS and not kinds(feed)


def test_new_session_begins_with_mis() -> None:
    feed = failing_feed()
    feed.decoder.opened([], at("10:10:00"))
    assert kinds(feed)[-1] == (StatusKind.RESYNC, "mis in charge; a session begins")
    feed.mis(at("10:10:05"), mis_row(event=at("10:10:04")))
    assert len(feed.quotes) == 3 and feed.accounted()
