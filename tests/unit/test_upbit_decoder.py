"""Upbit's frames to rows: whole books, trades by id, quotes from tickers, and what is refused."""

from math import nan
from typing import Any

from producers.base.collector import Collector
from producers.base.decoder import DecoderRequest
from producers.venues.upbit.decoder import UpbitDecoder
from tapewatch.contract.rows import Condition, StatusKind
from tests.unit.upbit_messages import MS, book, past, ticker, trade

NOW = MS * 1_000_000 + 5_000_000
SECOND = 1_000_000_000


def decoder(*symbols: str) -> UpbitDecoder:
    return UpbitDecoder(Collector(), symbols or ("KRW-BTC",))


def kinds(made: UpbitDecoder) -> list[tuple[int, str]]:
    return [(row[3], row[4]) for row in made.collector.statuses]


def accounted(made: UpbitDecoder) -> bool:
    counted = made.collector
    return counted.messages.total() == made.given.total() + counted.dropped.total() + counted.refused.total()


def present(row: tuple[Any, ...], at: int) -> list[float]:
    return [value for value in row[at] if value == value]


def test_exponent_numbers_in_binary_frames_make_a_book_and_a_quote_of_its_touch() -> None:
    made = decoder()
    made.message(book(), NOW)
    (row,) = made.collector.books
    assert row[1:4] == (MS * 1_000_000, NOW, MS)
    assert [present(row, at) for at in (4, 5, 6, 7)] == [[116538000.0], [0.08120946], [116539000.0], [0.02054761]]
    (quote,) = made.collector.quotes
    assert quote[3:7] == (116538000.0, 0.08120946, 116539000.0, 0.02054761)
    assert quote[7] != quote[7]


def test_text_frames_are_read_as_binary_ones() -> None:
    made = decoder()
    made.message(book().decode(), NOW)
    assert len(made.collector.books) == 1


def test_trade_takes_the_aggressor_from_ask_bid_and_its_id_as_text() -> None:
    made = decoder()
    made.message(trade(17, side="BID"), NOW)
    made.message(trade(18, side="ASK"), NOW)
    regular = int(Condition.REGULAR)
    assert [row[3:] for row in made.collector.trades] == [
        (46769000.0, 0.00185096, 1, regular, "17"),
        (46769000.0, 0.00185096, -1, regular, "18"),
    ]


def test_repeated_trade_is_dropped_and_a_jump_of_ids_is_no_gap() -> None:
    made = decoder()
    for number in (10, 10, 90, 50, 90):
        made.message(trade(number), NOW)
    assert [row[7] for row in made.collector.trades] == ["10", "90", "50"]
    assert made.collector.dropped == {"repeated": 2}
    assert kinds(made) == []
    assert accounted(made)


def test_ticker_makes_a_quote_of_the_newest_book_with_last_price_and_accumulated_volume() -> None:
    made = decoder()
    made.message(ticker(), NOW)
    assert made.collector.dropped == {"no_book_yet": 1}
    made.message(book(), NOW)
    made.message(ticker(MS + 1), NOW)
    assert made.collector.quotes[-1][3:] == (116538000.0, 0.08120946, 116539000.0, 0.02054761, 116538000.0, 12.5)


def test_older_and_repeated_books_are_dropped() -> None:
    made = decoder()
    for frame in (book(MS + 2), book(MS), book(MS + 2), book(MS + 3)):
        made.message(frame, NOW)
    assert made.collector.dropped == {"stale_book": 1, "repeated": 1, "unchanged_book": 1}
    assert accounted(made)


def test_crossed_book_is_refused_with_a_gap_and_the_next_sound_one_resyncs() -> None:
    made = decoder()
    made.message(book(), NOW)
    made.message(book(MS + 1, ask="1.0E8", bid="1.1E8"), NOW + SECOND)
    made.message(book(MS + 2), NOW + 2 * SECOND)
    assert made.collector.refused == {"crossed": 1}
    assert len(made.collector.books) == 2
    assert kinds(made) == [
        (StatusKind.GAP, "book crossed"),
        (StatusKind.RESYNC, "book crossed; not watched for 1.000 s, trades fetched again 0, lost 0"),
    ]


def test_number_that_float64_cannot_hold_is_refused() -> None:
    made = decoder()
    made.message(trade(1, price="46769000.00000000000000001"), NOW)
    made.message(book(ask="116539000.000000000000001"), NOW)
    assert made.collector.refused == {"not_exact_float": 2}
    assert made.collector.trades == [] and made.collector.books == []
    assert accounted(made)


def test_answer_to_a_ping_is_dropped_and_errors_and_nonsense_are_refused() -> None:
    made = decoder()
    error = b'{"error":{"name":"INVALID_PARAM","message":"codes field is empty."}}'
    for frame in (b'{"status":"UP"}', error, b"<html>", b'{"type":"candle.1s"}', b'{"type":"trade"}', b"[]", b"\xff"):
        made.message(frame, NOW)
    made.message(trade(1, price='"5"'), NOW)
    made.message(trade(3, price="null"), NOW)
    made.message(trade(2, side="?"), NOW)
    made.message(book().replace(b"KRW-BTC", b"KRW-ETH"), NOW)
    assert made.collector.dropped == {"control": 1}
    assert made.collector.refused == {
        "venue_error": 1,
        "malformed_json": 2,
        "unsupported_record": 1,
        "malformed_record": 5,
        "other_symbol": 1,
    }
    assert accounted(made)


def test_lost_connection_is_a_gap_until_book_and_trades_are_there_again() -> None:
    made = decoder()
    made.message(book(), NOW)
    made.message(trade(10), NOW)
    made.lost(["KRW-BTC"], "connection reset", NOW + SECOND)
    made.lost(["KRW-BTC"], "connection refused", NOW + 2 * SECOND)
    assert kinds(made) == [(StatusKind.GAP, "connection reset")]
    made.message(trade(14), NOW + 90 * SECOND)
    made.message(book(stream="SNAPSHOT"), NOW + 91 * SECOND)
    assert list(made.wants) == [DecoderRequest("trades", "KRW-BTC", upto=NOW + 91 * SECOND)]
    assert len(kinds(made)) == 1
    made.answer(made.wants.popleft(), past(14, 13, 12, 10, 9), NOW + 92 * SECOND)
    late = int(Condition.LATE)
    assert [(row[7], row[6]) for row in made.collector.trades] == [("10", 0), ("14", 0), ("12", late), ("13", late)]
    assert kinds(made)[1] == (
        StatusKind.RESYNC,
        "connection reset; not watched for 91.000 s, trades fetched again 2, lost 0",
    )
    assert made.collector.dropped["repeated"] == 3
    assert accounted(made)


def test_unanswered_question_for_trades_says_that_the_loss_is_unknown() -> None:
    made = decoder()
    made.message(trade(10), NOW)
    made.lost(["KRW-BTC"], "reset", NOW)
    made.message(book(), NOW + SECOND)
    made.answer(made.wants.popleft(), b"", NOW + 2 * SECOND)
    assert kinds(made)[-1][1].endswith("trades fetched again 0, lost unknown")


def test_trades_older_than_the_log_takes_are_counted_as_lost() -> None:
    made = decoder()
    made.message(trade(10), NOW)
    made.lost(["KRW-BTC"], "reset", NOW)
    later = NOW + 2_000 * SECOND
    made.message(book(MS + 2_000_000), later)
    made.answer(made.wants.popleft(), past(12, 11, 10), later)
    assert made.collector.dropped["too_old"] == 2
    assert kinds(made)[-1][1].endswith("trades fetched again 0, lost 2")


def test_break_during_the_question_asks_again() -> None:
    made = decoder()
    made.message(trade(10), NOW)
    made.lost(["KRW-BTC"], "reset", NOW)
    made.message(book(), NOW + SECOND)
    want = made.wants.popleft()
    made.lost(["KRW-BTC"], "reset", NOW + 2 * SECOND)
    made.answer(want, past(11, 10), NOW + 3 * SECOND)
    made.message(book(MS + 1), NOW + 4 * SECOND)
    assert list(made.wants) == [DecoderRequest("trades", "KRW-BTC", upto=NOW + 4 * SECOND)]
    made.answer(made.wants.popleft(), past(12, 11, 10), NOW + 5 * SECOND)
    assert kinds(made)[-1][1] == "reset; not watched for 5.000 s, trades fetched again 2, lost 0"


def test_answer_from_before_a_break_does_not_end_the_gap_that_the_break_opened() -> None:
    made = decoder()
    made.message(trade(10), NOW)
    made.lost(["KRW-BTC"], "reset", NOW)
    made.message(book(), NOW + SECOND)
    made.lost(["KRW-BTC"], "reset", NOW + 2 * SECOND)
    made.message(book(MS + 1), NOW + 3 * SECOND)
    earlier, later = made.wants
    made.answer(earlier, past(11, 10), NOW + 4 * SECOND)
    assert len(kinds(made)) == 1
    made.answer(later, past(12, 11, 10), NOW + 5 * SECOND)
    assert [row[7] for row in made.collector.trades] == ["10", "11", "12"]
    assert kinds(made)[-1][1] == "reset; not watched for 5.000 s, trades fetched again 2, lost 0"


def test_snapshot_of_a_book_at_rest_is_dated_by_its_receipt() -> None:
    made = decoder()
    made.message(book(MS - 3_600_000, stream="SNAPSHOT"), NOW)
    assert made.collector.books[0][1:3] == (NOW, NOW)


def test_last_trade_of_a_subscription_is_no_trade_row_but_the_last_price() -> None:
    made = decoder()
    made.message(trade(10, stream="SNAPSHOT"), NOW)
    made.message(book(), NOW)
    assert made.collector.trades == []
    assert made.collector.quotes[0][7] == 46769000.0
    assert made.collector.dropped == {"snapshot_trade": 1}


def test_market_that_stops_trading_is_halted_and_resumed_once() -> None:
    made = decoder()
    for number, state in enumerate(("ACTIVE", "PREVIEW", "PREVIEW", "ACTIVE")):
        made.message(ticker(MS + number, state), NOW)
    assert kinds(made) == [(StatusKind.HALT, "PREVIEW"), (StatusKind.RESUME, "ACTIVE")]


def test_thin_book_has_no_levels_of_nothing() -> None:
    made = decoder()
    empty = b'{"ask_price":0,"bid_price":5.0,"ask_size":0,"bid_size":1}'
    frame = b'{"type":"orderbook","code":"KRW-BTC","timestamp":%d,"orderbook_units":[%s]}' % (MS, empty)
    made.message(frame, NOW)
    assert [len(present(made.collector.books[0], at)) for at in (4, 6)] == [1, 0]
    assert str(made.collector.quotes[0][5]) == str(nan)
