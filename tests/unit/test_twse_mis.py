"""MIS answers as rows: units, absent values, times after the close, and what gives no row."""

import math

import pytest

from producers.base.decoder import DecoderRequest
from producers.venues.twse.instruments import asked_for, mis_channel, taiwan_instrument, yahoo_symbol
from producers.venues.twse.mis import instruments_of
from tapewatch.contract.rows import StatusKind
from tapewatch.errors import TapewatchError
from tests.unit.taiwan import TSMC, VACCINE, Feed, at, mis_answer, mis_row


def test_lots_become_shares_and_levels_lose_their_trailing_bar() -> None:
    feed = Feed()
    feed.mis(at("10:00:01"), mis_row())
    (quote,) = feed.quotes
    assert quote[1:] == (at("10:00:00"), at("10:00:01"), 1000.0, 21_000.0, 1005.0, 11_000.0, 1005.0, 500_000.0)
    (book,) = feed.decoder.collector.books
    assert book[3] == at("10:00:00") // 1_000_000
    assert book[4][:5] == [1000.0, 995.0, 990.0, 985.0, 980.0]
    assert book[5][:5] == [21_000.0, 22_000.0, 23_000.0, 24_000.0, 25_000.0]
    assert book[6][:5] == [1005.0, 1010.0, 1015.0, 1020.0, 1025.0]
    assert book[7][:5] == [11_000.0, 12_000.0, 13_000.0, 14_000.0, 15_000.0]
    assert all(math.isnan(value) for side in book[4:] for value in side[5:])
    assert feed.accounted()


def test_interval_without_a_trade_keeps_the_last_price_of_the_day() -> None:
    feed = Feed()
    feed.mis(at("10:00:01"), mis_row())
    feed.mis(at("10:00:06"), mis_row(event=at("10:00:05"), z="-", tv="-", v="502"))
    assert feed.quotes[1][7:] == (1005.0, 502_000.0)


def test_first_look_without_a_trade_has_no_price_and_no_volume() -> None:
    feed = Feed()
    feed.mis(at("10:00:01"), mis_row(z="-", tv="-", v="-"))
    assert math.isnan(feed.quotes[0][7]) and feed.quotes[0][8] == 0.0


@pytest.mark.parametrize(("prices", "lots"), [("a", "f"), ("b", "g")])
def test_limit_up_and_down_leave_one_side_absent(prices: str, lots: str) -> None:
    feed = Feed()
    feed.mis(at("10:00:01"), mis_row(TSMC, 0, **{prices: "-", lots: "-"}))
    price, quantity = (5, 6) if prices == "a" else (3, 4)
    assert math.isnan(feed.quotes[0][price]) and feed.quotes[0][quantity] == 0.0


def test_market_orders_at_price_zero_are_no_level() -> None:
    feed = Feed()
    feed.mis(at("10:00:01"), mis_row(b="0.0000_1000.0000_995.0000_", g="7_21_22_"))
    assert feed.quotes[0][3:5] == (1000.0, 21_000.0)


def test_after_the_close_rows_carry_the_time_of_the_match_and_old_ones_give_none() -> None:
    feed = Feed()
    closed = mis_row(event=at("14:30:00"), t="13:30:00")
    feed.mis(at("13:30:04"), closed)
    assert feed.quotes[0][1] == at("13:30:00")
    late = Feed()
    late.mis(at("16:14:06"), closed)
    assert not late.quotes and late.decoder.collector.dropped == {"after_close": 1}


def test_old_snapshot_of_a_quiet_instrument_is_the_book_of_this_moment() -> None:
    feed = Feed()
    feed.mis(at("10:00:01"), mis_row(event=at("09:31:00")))
    assert feed.quotes[0][1:3] == (at("10:00:01"), at("10:00:01"))


def test_repeated_snapshot_is_dropped_and_an_older_one_too() -> None:
    feed = Feed()
    feed.mis(at("10:00:01"), mis_row())
    feed.mis(at("10:00:06"), mis_row())
    feed.mis(at("10:00:11"), mis_row(event=at("09:59:50"), v="499"))
    assert len(feed.quotes) == 1
    assert feed.decoder.collector.dropped == {"unchanged": 1, "older": 1}
    assert feed.accounted()


def test_volume_that_steps_back_is_held() -> None:
    feed = Feed()
    feed.mis(at("10:00:01"), mis_row())
    feed.mis(at("10:00:06"), mis_row(event=at("10:00:05"), v="498"))
    assert feed.quotes[1][8] == 500_000.0 and feed.decoder.held == 1


def test_volume_begins_anew_on_another_day() -> None:
    feed = Feed()
    feed.mis(at("10:00:01"), mis_row())
    tomorrow = 86_400 * 1_000_000_000
    feed.mis(
        at("10:00:01") + tomorrow, mis_row(event=at("10:00:00") + tomorrow, d="20260303", t="10:00:00", v="7", z="-")
    )
    assert feed.quotes[1][8] == 7_000.0 and math.isnan(feed.quotes[1][7])


def test_unknown_symbol_is_refused_once_and_dropped_afterwards() -> None:
    feed = Feed()
    unknown = {"tv": "-", "s": "-", "c": "", "z": "-"}
    feed.mis(at("10:00:01"), unknown, mis_row())
    feed.mis(at("10:00:06"), unknown, mis_row())
    collector = feed.decoder.collector
    assert [refused.where for refused in collector.take_refused()] == ["otc_6547.tw"]
    assert collector.refused == {"unknown_symbol": 1} and collector.dropped == {"unknown_again": 1, "unchanged": 1}
    assert len(feed.quotes) == 1 and feed.accounted()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"msgArray":[],"rtcode":"5001","rtmessage":"Empty Query."}', "rtcode_5001"),
        (b'{"msgArray":[],"rtcode":"0000"}', "no_rows"),
        (b"<html><body>busy</body></html>", "not_json"),
        (b'{"msgArray":"x","rtcode":"0000"}', "not_json"),
        (b"\r\n\r\n", "not_json"),
    ],
)
def test_answer_that_is_no_good_is_one_refused_message(body: bytes, reason: str) -> None:
    feed = Feed()
    feed.decoder.answer(DecoderRequest("mis", feed.batch), body, at("10:00:01"))
    assert feed.decoder.collector.refused == {reason: 1} and feed.accounted()
    assert feed.decoder.arbiter.wants_yahoo(at("10:00:01"))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"v": "many"}, "bad_value"),
        ({"tlong": "now"}, "bad_value"),
        ({"ex": "nyse"}, "bad_value"),
        ({"f": "11_12_"}, "level_mismatch"),
        ({"a": "x_", "f": "1_"}, "bad_value"),
        ({"a": "999.0000_", "f": "1_"}, "book_crossed"),
        ({"b": "1000.0000_1001.0000_", "g": "1_2_"}, "book_unsorted"),
        ({"g": "0_22_23_24_25_"}, "book_bad_quantity"),
    ],
)
def test_row_that_cannot_be_is_refused_alone(changes: dict[str, str], reason: str) -> None:
    feed = Feed()
    feed.mis(at("10:00:01"), mis_row(TSMC, 0, **changes), mis_row(VACCINE))
    assert feed.decoder.collector.refused == {reason: 1}
    assert len(feed.quotes) == 1 and feed.accounted()


def test_unsound_book_is_a_gap_until_the_next_sound_one() -> None:
    feed = Feed()
    feed.mis(at("10:00:01"), mis_row(a="999.0000_", f="1_"))
    feed.mis(at("10:00:06"), mis_row(event=at("10:00:05")))
    assert [row[3] for row in feed.statuses] == [StatusKind.GAP, StatusKind.RESYNC]
    assert feed.decoder.collector.violations == {"crossed": 1}


def test_trial_matching_begins_and_ends_with_a_status_and_its_price_is_not_taken() -> None:
    feed = Feed()
    feed.mis(at("10:00:01"), mis_row())
    feed.mis(at("10:00:06"), mis_row(event=at("10:00:05"), ts="1", ip="4", z="1050.0000"))
    feed.mis(at("10:02:06"), mis_row(event=at("10:02:05"), z="1010.0000"))
    assert [(row[3], row[4]) for row in feed.statuses] == [
        (StatusKind.AUCTION, "trial matching, opening or closing delayed"),
        (StatusKind.RESUME, "trial matching ended"),
    ]
    assert [row[7] for row in feed.quotes] == [1005.0, 1005.0, 1010.0]


def test_halt_and_resumption_are_statuses_though_the_snapshot_repeats() -> None:
    feed = Feed()
    for time in ("10:00:01", "10:05:01", "10:30:01"):
        feed.mis(at(time), mis_row(st="10:05:00", rt="10:30:00"))
    assert [(row[3], row[4]) for row in feed.statuses if row[0]] == [
        (StatusKind.HALT, "halted until 10:30:00"),
        (StatusKind.RESUME, "trading resumed"),
    ]
    assert len(feed.quotes) == 1


def test_halt_without_end_lasts_all_day() -> None:
    feed = Feed()
    feed.mis(at("08:59:30"), mis_row(event=at("08:59:25"), st="08:00:00", rt="99:99:99"))
    assert not feed.statuses
    feed.mis(at("09:00:01"), mis_row(event=at("09:00:00"), st="08:00:00", rt="99:99:99"))
    assert feed.statuses[0][3:] == (StatusKind.HALT, "halted until 99:99:99")


def test_closing_match_begins_no_other_session() -> None:
    feed = Feed()
    feed.mis(at("13:25:06"), mis_row(event=at("13:25:05"), ts="1"))
    feed.mis(at("13:30:04"), mis_row(event=at("13:30:00"), v="900"))
    assert [row[3] for row in feed.statuses] == [StatusKind.AUCTION]
    assert feed.quotes[-1][8] == 900_000.0


def test_instrument_that_is_not_watched_gives_no_row() -> None:
    feed = Feed()
    feed.mis(at("10:00:01"), mis_row("2317.XTAI"))
    assert feed.decoder.collector.dropped == {"not_watched": 1} and feed.accounted()


def test_reference_data_come_from_the_answer() -> None:
    share, fund = instruments_of(mis_answer(mis_row(), mis_row("0050.XTAI", u="-", n="元大台灣50")))
    assert (share.id, share.name, share.lot, share.price_limit) == (TSMC, "台積電", 1000.0, 0.1)
    assert share.ticks[-1].size == 5.0 and (share.session.open, share.session.close) == ("09:00", "13:30")
    assert (fund.kind, fund.price_limit, fund.ticks[-1].size) == ("etf", 0.0, 0.05)


def test_symbols_are_known_by_every_name_they_go_by() -> None:
    assert asked_for(["2330", "2330.TW", "tse_2330.tw", "6547.TWO", "otc_6547.tw", "00631l.XTAI"]) == [
        TSMC,
        VACCINE,
        "00631L.XTAI",
    ]
    assert mis_channel(VACCINE) == "otc_6547.tw" and yahoo_symbol(VACCINE) == "6547.TWO"
    assert taiwan_instrument(VACCINE).currency == "TWD"
    with pytest.raises(TapewatchError, match="not a Taiwanese symbol"):
        asked_for(["AAPL.XNAS"])
