"""Coinbase's messages to rows: books, numbers of messages, trades by id, two connections at a time, older messages."""

import json
from typing import Any

import pytest

from producers.base.collector import Collector
from producers.base.decoder import DecoderRequest
from producers.base.universe import Listing
from producers.venues.coinbase.decoder import CoinbaseDecoder
from producers.venues.coinbase.messages import REPEATED, Sequences
from producers.venues.decoders import make_decoder
from producers.venues.spoken import NEWER_LEFT
from tapewatch.contract.instruments import Instrument
from tapewatch.contract.rows import Condition, StatusKind
from tapewatch.rfc3339 import from_rfc3339
from tests.unit.coinbase_messages import BOOK, TIME, book, message, past, trades

NOW = from_rfc3339(TIME) + 5_000_000
SECOND = 1_000_000_000


def decoder() -> CoinbaseDecoder:
    return CoinbaseDecoder(Collector(), ["BTC-USD"])


def in_step() -> CoinbaseDecoder:
    made = decoder()
    made.message(book(0, "snapshot", BOOK), NOW)
    return made


def kinds(made: CoinbaseDecoder) -> list[tuple[int, str]]:
    return [(row[3], row[4]) for row in made.collector.statuses]


def accounted(made: CoinbaseDecoder) -> bool:
    counted = made.collector
    return counted.messages.total() == made.given.total() + counted.dropped.total() + counted.refused.total()


def present(row: tuple[Any, ...], at: int) -> list[float]:
    return [value for value in row[at] if value == value]


def test_snapshot_and_updates_make_books_and_quotes_of_the_touch() -> None:
    made = in_step()
    made.message(book(1, "update", [("bid", "68900.00", "2.0"), ("offer", "68901.00", "0.00000000")]), NOW + 1)
    made.message(book(2, "update", [("bid", "60000.00", "1.0")]), NOW + 2)
    first, second, third = made.collector.books
    assert first[1:4] == (from_rfc3339(TIME), NOW, 0)
    assert [present(first, at) for at in (4, 5, 6, 7)] == [
        [68900.0, 68899.5],
        [1.5, 0.75],
        [68901.0, 68901.5],
        [0.5, 1.2],
    ]
    assert [present(second, at) for at in (4, 5, 6, 7)] == [[68900.0, 68899.5], [2.0, 0.75], [68901.5], [1.2]]
    assert present(third, 4) == [68900.0, 68899.5, 60000.0]
    assert [quote[3:7] for quote in made.collector.quotes] == [
        (68900.0, 1.5, 68901.0, 0.5),
        (68900.0, 2.0, 68901.5, 1.2),
    ]
    assert kinds(made) == [] and accounted(made)


def test_change_below_the_tenth_level_gives_no_row() -> None:
    made = decoder()
    deep = [("bid", str(100 - number), "1") for number in range(12)]
    made.message(book(0, "snapshot", [*deep, ("offer", "101", "1")]), NOW)
    made.message(book(1, "update", [("bid", "89", "5")]), NOW)
    assert len(made.collector.books) == 1
    assert made.collector.dropped == {"unchanged_book": 1}


def test_aggressor_is_opposite_to_the_side_that_rested() -> None:
    made = decoder()
    made.message(trades(0, 995098701, 995098700), NOW)
    assert [row[3:] for row in made.collector.trades] == [
        (68900.5, 0.0015, 1, 0, "995098700"),
        (68900.5, 0.0015, -1, 0, "995098701"),
    ]
    assert made.collector.trades[0][1] == from_rfc3339(TIME)


def test_number_that_jumps_is_a_gap_and_fresh_snapshots_are_the_resync() -> None:
    made = in_step()
    made.message(trades(1, 10), NOW)
    made.message(book(4, "update", [("bid", "68900.00", "9")]), NOW + SECOND)
    assert kinds(made) == [(StatusKind.GAP, "2 messages missing")]
    assert list(made.wants) == [DecoderRequest("reconnect", "*")]
    assert made.collector.dropped == {"before_snapshot": 1}
    made.message(book(5, "snapshot", BOOK), NOW + 2 * SECOND)
    assert len(kinds(made)) == 1
    made.message(trades(6, 9, 10, 11, kind="snapshot"), NOW + 3 * SECOND)
    assert kinds(made)[1] == (
        StatusKind.RESYNC,
        "2 messages missing; not watched for 2.000 s, trades fetched again 1, lost 0",
    )
    assert (made.collector.trades[-1][7], made.collector.trades[-1][6]) == ("11", int(Condition.LATE))
    assert accounted(made)


def test_repeated_message_is_dropped() -> None:
    made = in_step()
    update = book(1, "update", [("bid", "68900.00", "2.0")])
    for data in (book(0, "snapshot", BOOK), update, update):
        made.message(data, NOW)
    assert made.collector.dropped == {"repeated": 2}
    assert kinds(made) == [] and accounted(made)


def test_connections_are_told_apart_while_one_replaces_the_other() -> None:
    made = in_step()
    made.message(trades(1, 10), NOW)
    made.message(book(0, "snapshot", BOOK), NOW)  # the new connection's first
    made.message(trades(1, 10, kind="snapshot"), NOW)
    made.message(book(2, "update", [("bid", "68900.00", "3")]), NOW)  # the new one: numbers are ambiguous, newest wins
    made.message(book(3, "update", [("bid", "68900.00", "4")]), NOW)
    made.message(book(2, "update", [("bid", "68900.00", "3")]), NOW)  # the old one, late
    assert present(made.collector.books[-1], 5)[0] == 4.0
    assert made.collector.dropped["older_connection"] == 1
    assert kinds(made) == [] and accounted(made)


def test_hole_of_trades_is_asked_for() -> None:
    made = in_step()
    made.message(trades(1, 10), NOW)
    made.message(trades(2, 14), NOW)
    (want,) = made.wants
    assert want == DecoderRequest("trades", "BTC-USD", from_rfc3339(TIME), 13)
    made.answer(want, json.dumps({"trades": past(14, 13, 12, 10, 9), "best_bid": "1"}).encode(), NOW + SECOND)
    assert [row[7] for row in made.collector.trades] == ["10", "14", "12", "13"]
    assert kinds(made)[-1][1] == ("trades 11 to 13 missing; not watched for 1.000 s, trades fetched again 2, lost 1")
    assert accounted(made)


@pytest.mark.parametrize("newer_first", [False, True])
def test_answer_gives_up_nothing_that_was_missed_since_it_was_asked_for(*, newer_first: bool) -> None:
    made = in_step()
    made.message(trades(1, 10), NOW)
    made.message(trades(2, 14), NOW)
    made.lost(["BTC-USD"], "reset", NOW)
    made.message(book(0, "snapshot", BOOK), NOW)
    made.message(trades(1, 18, 19, kind="snapshot"), NOW)
    earlier, later = made.wants
    assert (earlier.upto, later.upto) == (13, 17)
    answers = [(earlier, past(14, 13, 12, 11)), (later, past(19, 18, 17, 16, 15, 14, 13, 12, 11))]
    for want, found in reversed(answers) if newer_first else answers:
        made.answer(want, json.dumps({"trades": found, "best_bid": "1"}).encode(), NOW + SECOND)
    assert sorted(int(row[7]) for row in made.collector.trades) == list(range(10, 20))
    assert [kind for kind, _ in kinds(made)] == [StatusKind.GAP, StatusKind.RESYNC]
    assert kinds(made)[-1][1].endswith("lost 0")
    assert accounted(made)


def test_lost_connection_comes_back_with_the_snapshots_of_the_next() -> None:
    made = in_step()
    made.message(trades(1, 10), NOW)
    made.lost(["BTC-USD"], "reset", NOW + SECOND)
    made.message(book(0, "snapshot", BOOK), NOW + 91 * SECOND)
    made.message(trades(1, 10, 11, 12, kind="snapshot"), NOW + 91 * SECOND)
    assert kinds(made) == [
        (StatusKind.GAP, "reset"),
        (StatusKind.RESYNC, "reset; not watched for 90.000 s, trades fetched again 2, lost 0"),
    ]


def test_first_message_that_is_not_number_0_is_a_gap() -> None:
    made = decoder()
    made.message(book(3, "update", BOOK), NOW)
    assert kinds(made) == [(StatusKind.GAP, "3 messages missing")]
    assert list(made.wants) == [DecoderRequest("reconnect", "*")]


def test_crossed_book_and_inexact_level_are_refused_and_asked_for_anew() -> None:
    made = in_step()
    made.message(book(1, "update", [("bid", "68905.00", "1")]), NOW)
    made.message(book(2, "snapshot", BOOK), NOW)
    made.message(book(3, "update", [("bid", "68900.0000000000000000001", "1")]), NOW)
    made.message(book(4, "snapshot", BOOK), NOW)
    made.message(book(5, "update", [("ask", "68900.5", "1")]), NOW)
    assert made.collector.violations == {"crossed": 1}
    assert made.collector.refused == {"crossed": 1, "not_exact_float": 1, "malformed_record": 1}
    assert [kind for kind, _ in kinds(made)] == [7, 8, 7, 8, 7]
    assert len(made.wants) == 3 and accounted(made)


def test_ticker_gives_its_own_touch_only_while_there_is_no_book() -> None:
    made = decoder()
    ticker = {"product_id": "BTC-USD", "price": "68900.5", "best_bid": "68890", "best_bid_quantity": "1"}
    ticker |= {"best_ask": "68910", "best_ask_quantity": "2", "type": "ticker", "volume_24_h": "1234"}
    event = {"type": "update", "tickers": [ticker]}
    made.message(message("ticker", 0, event), NOW)
    made.message(book(1, "snapshot", BOOK), NOW)
    made.message(message("ticker", 2, event), NOW)
    assert [quote[3:8] for quote in made.collector.quotes] == [
        (68890.0, 1.0, 68910.0, 2.0, 68900.5),
        (68900.0, 1.5, 68901.0, 0.5, 68900.5),
        (68900.0, 1.5, 68901.0, 0.5, 68900.5),
    ]


def test_product_that_goes_offline_is_halted() -> None:
    made = decoder()
    for number, status in enumerate(("online", "offline", "offline", "online")):
        made.message(
            message("status", number, {"type": "update", "products": [{"id": "BTC-USD", "status": status}]}), NOW
        )
    assert kinds(made) == [(StatusKind.HALT, "offline"), (StatusKind.RESUME, "online")]


def test_older_level2_messages_make_books_too() -> None:
    made = decoder()
    snapshot = {
        "type": "snapshot",
        "product_id": "BTC-USD",
        "bids": [["19816.10", "1.0"]],
        "asks": [["19816.94", "0.5"]],
    }
    update = {"type": "l2update", "product_id": "BTC-USD", "changes": [["buy", "19816.20", "2.0"]], "time": TIME}
    made.message(json.dumps(snapshot).encode(), NOW)
    made.message(json.dumps(update).encode(), NOW)
    assert present(made.collector.books[-1], 4) == [19816.2, 19816.1]
    assert made.collector.books[-1][1] == from_rfc3339(TIME) and accounted(made)


def test_no_message_raises_and_each_is_accounted_for() -> None:
    made = in_step()
    for data in (
        message("heartbeats", 1, {"current_time": "x", "heartbeat_counter": 3}),
        message("subscriptions", 2, {"subscriptions": {"level2": ["BTC-USD"]}}),
        message("candles", 3),
        b'{"type":"error","message":"authentication failure"}',
        b"<html>",
        b"",
        b"[]",
        b"\xff\xfe",
        message("l2_data", 3, {"type": "update"}),
        message("market_trades", 3, {"type": "update", "trades": past(1)}, time="yesterday"),
        trades(3, 5).replace(b'"BUY"', b'"?"'),
        trades(4, 6).replace(b"68900.50", b"68900.500000000000000000001"),
        trades(5, 7).replace(b'"7"', b'"x"'),
        trades(6, 7).replace(b"BTC-USD", b"ETH-USD"),
        trades(7, 7).replace(b"0.00150000", b"0"),
    ):
        made.message(data, NOW)
    made.answer(DecoderRequest("trades", "BTC-USD"), b"<html>", NOW)
    assert accounted(made)
    assert made.collector.trades == [] and len(made.collector.books) == 1


def test_numbers_of_two_connections() -> None:
    sequences = Sequences()
    assert [sequences.take(number) for number in (0, 1, 2, 0)] == [(0, 0), (0, 0), (0, 0), (1, 0)]
    assert [sequences.take(number) for number in (3, 1, 6, 2)] == [(0, 0), (1, 0), (0, 2), (1, 0)]
    assert sequences.take(1) == (REPEATED, 0)


def test_numbers_of_the_connection_that_is_left() -> None:
    sequences = Sequences()
    for number in (0, 1, 2, 3, 0):
        sequences.take(number)
    assert sequences.one_left(newer=True)
    assert sequences.take(4) == (1, 3), "4 is not the next of the connection that ended"
    assert not sequences.one_left(newer=True), "of the newer one nothing was ever heard"
    assert sequences.one_left(newer=False)
    assert [sequences.take(number) for number in (5, 0)] == [(1, 0), (2, 0)]
    assert not sequences.one_left(newer=False), "snapshots of the newer one count, and it is gone"


def test_a_tape_tells_which_connection_was_left() -> None:
    """After the old connection's end a number where it stood is a hole of the new one, live and from a tape."""
    taped = make_decoder("coinbase", Collector(), {})
    instrument = Instrument(id="BTC-USD.COINBASE", name="BTC-USD", currency="USD", kind="spot")
    taped.follow([Listing("BTC-USD", instrument)], NOW)
    for data in (book(0, "snapshot", BOOK), trades(1, 10), trades(2, 11), trades(3, 12), book(0, "snapshot", BOOK)):
        taped.decoder.message(data, NOW)
    taped.note(NEWER_LEFT, None, "", NOW)
    assert not taped.decoder.wants
    taped.decoder.message(book(4, "update", [("bid", "68900.00", "2.0")]), NOW)
    assert list(taped.decoder.wants) == [DecoderRequest("reconnect", "*")]
    assert [row[3:5] for row in taped.decoder.collector.statuses] == [(StatusKind.GAP, "3 messages missing")]


def test_a_renewal_that_failed_takes_its_snapshots_with_it() -> None:
    made = in_step()
    made.message(book(1, "update", [("bid", "68900.00", "2.0")]), NOW)
    made.one_left(newer=False, received=NOW)
    assert kinds(made) == [] and not made.wants, "nothing was heard of the newer one"
    made.message(book(0, "snapshot", BOOK), NOW)
    made.one_left(newer=False, received=NOW)
    assert made.out_of_step() == {"BTC-USD"}
    assert list(made.wants) == [DecoderRequest("reconnect", "*")]
    assert [kind for kind, _ in kinds(made)] == [StatusKind.GAP]


def test_a_book_of_the_connection_that_ended_is_out_of_step_until_the_newer_ones_snapshot_comes() -> None:
    made = in_step()
    made.message(book(1, "update", [("bid", "68900.00", "2.0")]), NOW)
    made.message(trades(0, 10), NOW)
    assert kinds(made) == []
    made.one_left(newer=True, received=NOW)
    assert made.out_of_step() == {"BTC-USD"} and not made.wants
    assert [kind for kind, _ in kinds(made)] == [StatusKind.GAP]
    made.message(book(1, "snapshot", BOOK), NOW)
    assert made.out_of_step() == set()
    assert [kind for kind, _ in kinds(made)] == [StatusKind.GAP, StatusKind.RESYNC]
