"""Kraken's messages to rows: the documented checksums, the cut to depth, trades by id, holes, quotes and halts."""

import json
import zlib
from typing import Any

import pytest

from producers.base.collector import Collector
from producers.base.decoder import DecoderRequest
from producers.base.ladder import Level, Levels, padded
from producers.venues.kraken.decoder import KrakenDecoder
from producers.venues.kraken.pair import checksum
from tapewatch.contract.rows import Condition, StatusKind
from tapewatch.rfc3339 import from_rfc3339
from tests.unit.kraken_messages import BTC_ASKS, BTC_BIDS, BTC_CHECKSUM, TIME, book, page, trades

NOW = from_rfc3339(TIME) + 5_000_000
SECOND = 1_000_000_000

MATIC_BIDS = (
    "0.5666 4831.75496356,0.5665 6658.22734739,0.5664 18724.91513344,0.5663 11563.92544914,0.5662 14006.65365711,"
    "0.5661 17454.85679807,0.566 18097.1547,0.5659 33644.89175666,0.5658 148.3464,0.5657 606.70854372"
)
MATIC_ASKS = (
    "0.5668 4410.79769741,0.5669 4655.40412487,0.567 49844.89424998,0.5671 24306.41678,0.5672 29783.25223475,"
    "0.5673 57234.71239278,0.5674 45065.04744,0.5675 5912.76380354,0.5676 42514.92434778,0.5677 36304.0847022"
)
MATIC_CHECKSUM, MATIC_UPDATED = 2_439_117_997, 2_114_181_697


def levels(text: str) -> list[Level]:
    pairs = [pair.split() for pair in text.split(",") if pair]
    return [(float(price), float(qty)) for price, qty in pairs]


def row(bids: list[Level], asks: list[Level]) -> Levels:
    return (*padded(bids), *padded(asks))


def decoder(*symbols: str, depth: int = 10) -> KrakenDecoder:
    return KrakenDecoder(Collector(), symbols or ("BTC/USD",), depth=depth)


def in_step(made: KrakenDecoder | None = None) -> KrakenDecoder:
    made = made or decoder()
    made.message(book("snapshot", "BTC/USD", BTC_BIDS, BTC_ASKS, BTC_CHECKSUM), NOW)
    return made


def kinds(made: KrakenDecoder) -> list[tuple[int, str]]:
    return [(row[3], row[4]) for row in made.collector.statuses]


def accounted(made: KrakenDecoder) -> bool:
    counted = made.collector
    return counted.messages.total() == made.given.total() + counted.dropped.total() + counted.refused.total()


def present(row: tuple[Any, ...], at: int) -> list[float]:
    return [value for value in row[at] if value == value]


def test_checksum_is_the_one_of_krakens_worked_example() -> None:
    assert checksum(row(levels(BTC_BIDS), levels(BTC_ASKS)), 1, 8) == BTC_CHECKSUM


def test_checksum_writes_numbers_at_the_instruments_precision_where_the_wire_left_zeros_out() -> None:
    assert checksum(row(levels(MATIC_BIDS), levels(MATIC_ASKS)), 4, 8) == MATIC_CHECKSUM


def test_checksum_of_quantities_beyond_float_products_is_exact() -> None:
    assert checksum(row([], [(0.00001234, 987_654_321_001.125)]), 8, 5) == zlib.crc32(b"123498765432100112500")


def test_snapshot_and_documented_update_make_books_that_match_the_checksum() -> None:
    made = decoder("MATIC/USD")
    made.message(book("snapshot", "MATIC/USD", MATIC_BIDS, MATIC_ASKS, MATIC_CHECKSUM), NOW)
    made.message(book("update", "MATIC/USD", "0.5657 1098.3947558", "", MATIC_UPDATED), NOW + 1)
    first, second = made.collector.books
    assert first[1:4] == (NOW - 5_000_000, NOW, 1)
    assert present(first, 4)[0] == 0.5666 and present(first, 6)[0] == 0.5668
    assert second[5][9] == 1098.3947558
    (quote,) = made.collector.quotes
    assert quote[3:7] == (0.5666, 4831.75496356, 0.5668, 4410.79769741)
    assert kinds(made) == [] and accounted(made)


def test_checksum_that_differs_is_a_gap_and_the_next_snapshot_a_resync() -> None:
    made = in_step()
    made.message(book("update", "BTC/USD", "45283.5 9.0", "", 1), NOW + SECOND)
    assert list(made.wants) == [DecoderRequest("subscribe", "BTC/USD")]
    made.message(book("update", "BTC/USD", "45283.5 8.0", "", 2), NOW + SECOND)
    in_step_again = book("snapshot", "BTC/USD", BTC_BIDS, BTC_ASKS, BTC_CHECKSUM)
    made.message(in_step_again, NOW + 3 * SECOND)
    assert made.collector.violations == {"checksum": 1}
    assert made.collector.refused == {"checksum": 1}
    assert made.collector.dropped == {"before_snapshot": 1}
    assert kinds(made) == [
        (StatusKind.GAP, "book checksum"),
        (StatusKind.RESYNC, "book checksum; not watched for 2.000 s, trades fetched again 0, lost 0"),
    ]
    assert accounted(made)


def test_book_is_cut_to_its_depth_so_that_levels_out_of_scope_never_come_back() -> None:
    made = in_step()
    better = [(45284.0, 2.0), *levels(BTC_BIDS)[:9]]
    crc = checksum(row(better, levels(BTC_ASKS)), 1, 8)
    made.message(book("update", "BTC/USD", "45284.0 2.00000000", "", crc), NOW)
    back = [*levels(BTC_BIDS)[:9], (45276.0, 1.0)]
    crc = checksum(row(back, levels(BTC_ASKS)), 1, 8)
    made.message(book("update", "BTC/USD", "45284.0 0,45276.0 1.00000000", "", crc), NOW)
    assert made.collector.violations == {}
    assert present(made.collector.books[-1], 4) == [price for price, _ in back]


def test_hand_made_fixture_whose_checksum_is_another_books_is_refused() -> None:
    made = decoder()
    bids, asks = "105944.20 0.136,105935.40 0.024,105920.10 0.052", "105944.30 0.136,105946.90 0.095,105955.80 0.003"
    made.message(book("snapshot", "BTC/USD", bids, asks, MATIC_CHECKSUM), NOW)
    assert made.collector.books == [] and made.collector.refused == {"checksum": 1}
    made.message(book("snapshot", "BTC/USD", bids, asks, 1_302_676_013), NOW)
    assert present(made.collector.books[0], 4) == [105944.2, 105935.4, 105920.1]
    assert present(made.collector.books[0], 7) == [0.136, 0.095, 0.003]


def test_precision_told_by_the_instrument_channel_wins_over_the_snapshots_texts() -> None:
    made = decoder("MATIC/USD")
    pairs = [{"symbol": "MATIC/USD", "status": "online", "price_precision": 4, "qty_precision": 8}]
    told = {"channel": "instrument", "type": "snapshot", "data": {"assets": [], "pairs": pairs}}
    made.message(json.dumps(told).encode(), NOW)
    bids, asks = "0.566 4831.75", "0.567 4410.7"
    crc = checksum(row(levels(bids), levels(asks)), 4, 8)
    made.message(book("snapshot", "MATIC/USD", bids, asks, crc), NOW)
    assert len(made.collector.books) == 1


def test_update_that_a_second_connection_repeats_is_dropped() -> None:
    made = in_step()
    better = [(45283.5, 2.0), *levels(BTC_BIDS)[1:]]
    update = book("update", "BTC/USD", "45283.5 2.0", "", checksum(row(better, levels(BTC_ASKS)), 1, 8))
    made.message(update, NOW)
    made.message(update, NOW)
    older = book("snapshot", "BTC/USD", BTC_BIDS, BTC_ASKS, BTC_CHECKSUM, "2023-10-06T17:35:55.440294Z")
    made.message(older, NOW)
    assert made.collector.dropped == {"repeated": 1, "stale_snapshot": 1}
    assert len(made.collector.books) == 2 and accounted(made)


def test_trades_take_the_takers_side_and_repeats_are_dropped() -> None:
    made = decoder()
    made.message(trades(10_218_208, 10_218_209), NOW)
    made.message(trades(10_218_209), NOW)
    assert [row[3:] for row in made.collector.trades] == [
        (105944.2, 0.00027625, -1, 0, "10218208"),
        (105944.2, 0.00027625, 1, 0, "10218209"),
    ]
    assert made.collector.dropped == {"repeated": 1} and accounted(made)


def test_first_snapshot_of_trades_tells_the_last_price_and_gives_no_rows() -> None:
    made = decoder()
    made.message(trades(4, 5, 6, kind="snapshot"), NOW)
    made.message(trades(7), NOW)
    assert [row[7] for row in made.collector.trades] == ["7"]
    assert made.collector.dropped == {"repeated": 3}
    in_step(made)
    assert made.collector.quotes[0][7:] == (105944.2, 0.00027625)


def test_hole_in_trade_ids_is_asked_for_and_filled_with_late_trades() -> None:
    made = in_step()
    made.message(trades(10), NOW)
    made.message(trades(13), NOW + SECOND)
    assert kinds(made) == [(StatusKind.GAP, "trades 11 to 12 missing")]
    (want,) = made.wants
    assert want == DecoderRequest("trades", "BTC/USD", from_rfc3339(TIME), 12)
    made.answer(want, page(10, 11, 12, 13), NOW + 2 * SECOND)
    late = int(Condition.LATE)
    assert [(row[7], row[6]) for row in made.collector.trades] == [("10", 0), ("13", 0), ("11", late), ("12", late)]
    assert made.collector.trades[-1][1] == from_rfc3339(TIME)
    assert kinds(made)[-1][1].endswith("trades fetched again 2, lost 0")
    assert accounted(made)


def test_hole_that_opens_while_another_is_asked_for_has_a_question_of_its_own() -> None:
    made = in_step()
    for number in (10, 12, 15):
        made.message(trades(number), NOW)
    earlier, later = made.wants
    assert (earlier.upto, later.upto) == (11, 14)
    made.answer(earlier, page(10, 11), NOW)
    assert len(kinds(made)) == 1
    made.answer(later, page(12, 13, 14, 15), NOW)
    assert sorted(int(row[7]) for row in made.collector.trades) == list(range(10, 16))
    assert kinds(made)[-1][1].endswith("trades fetched again 3, lost 0")
    assert accounted(made)


def test_what_the_venue_does_not_send_again_is_lost_and_said_so() -> None:
    made = in_step()
    made.message(trades(10), NOW)
    made.message(trades(15), NOW)
    made.answer(made.wants.popleft(), page(12), NOW)
    assert kinds(made)[-1] == (
        StatusKind.RESYNC,
        "trades 11 to 14 missing; not watched for 0.000 s, trades fetched again 1, lost 3",
    )


def test_trade_that_comes_out_of_order_fills_its_own_hole() -> None:
    made = in_step()
    for number in (10, 12, 11):
        made.message(trades(number), NOW)
    assert [kind for kind, _ in kinds(made)] == [StatusKind.GAP, StatusKind.RESYNC]
    assert [(row[7], row[6]) for row in made.collector.trades][-1] == ("11", int(Condition.LATE))


def test_lost_connection_is_made_good_by_the_snapshots_of_the_new_one() -> None:
    made = in_step()
    made.message(trades(10), NOW)
    made.lost(["BTC/USD"], "reset", NOW + SECOND)
    made.message(trades(9, 10, 11, 12, kind="snapshot"), NOW + 2 * SECOND)
    assert len(kinds(made)) == 1
    in_step(made)
    assert kinds(made)[-1][1].endswith("trades fetched again 2, lost 0")
    made.lost(["BTC/USD"], "reset", NOW + 3 * SECOND)
    made.message(trades(60, 61, kind="snapshot"), NOW + 4 * SECOND)
    in_step(made)
    want = made.wants.popleft()
    made.answer(want, page(*range(13, 60)), NOW + 5 * SECOND)
    assert kinds(made)[-1][1].endswith("trades fetched again 49, lost 0")
    assert accounted(made)


def test_ticker_gives_the_books_touch_or_its_own_where_there_is_no_book() -> None:
    made = decoder()
    told = (
        b'{"channel":"ticker","type":"update","data":[{"symbol":"BTC/USD","bid":45283.0,"bid_qty":1.5,"ask":45284.0,'
        b'"ask_qty":2,"last":45283.5,"volume":10.0,"vwap":1.0,"low":1,"high":2,"change":0,"change_pct":0}]}'
    )
    made.message(told, NOW)
    in_step(made)
    made.message(told, NOW)
    assert [quote[3:8] for quote in made.collector.quotes] == [
        (45283.0, 1.5, 45284.0, 2.0, 45283.5),
        (45283.5, 0.1, 45285.2, 0.001, 45283.5),
        (45283.5, 0.1, 45285.2, 0.001, 45283.5),
    ]


@pytest.mark.parametrize("state", ["maintenance", "cancel_only"])
def test_exchange_or_pair_that_stops_trading_halts_its_instruments(state: str) -> None:
    made = decoder()
    for system in (state, state, "online"):
        told = {"channel": "status", "type": "update", "data": [{"system": system, "api_version": "v2"}]}
        made.message(json.dumps(told).encode(), NOW)
    assert kinds(made) == [(StatusKind.HALT, state), (StatusKind.RESUME, "online")]


def test_no_message_raises_and_each_is_accounted_for() -> None:
    made = in_step()
    for data in (
        b'{"channel":"heartbeat"}',
        b'{"method":"subscribe","success":true,"result":{"channel":"book"},"time_in":"x"}',
        b'{"method":"subscribe","success":false,"error":"Currency pair not supported FOO/BAR"}',
        b'{"error":"Already subscribed"}',
        b'{"channel":"ohlc","type":"update","data":[]}',
        b'{"channel":"book","type":"update"}',
        b"<html>maintenance</html>",
        b"[]",
        b"",
        trades(-1),
        trades(2**63),
        trades(5).replace(b"105944.20", b'"x"'),
        trades(6).replace(b"105944.20", b"105944.2000000000000000001"),
        trades(7).replace(b"17:35:55.440295Z", b"yesterday"),
        trades(8).replace(b'"sell"', b'"?"'),
        trades(9).replace(b"BTC/USD", b"ETH/USD"),
        book("update", "BTC/USD", "45283.5 null", "", 1),
    ):
        made.message(data, NOW)
    made.answer(DecoderRequest("trades", "BTC/USD"), b'{"error":["EGeneral:Too many requests"]}', NOW)
    made.answer(DecoderRequest("trades", "BTC/USD"), b'{"result":{"X":[["1"]],"last":"x"}}', NOW)
    assert accounted(made)
    assert made.collector.refused["venue_error"] == 2
    assert made.collector.refused["not_exact_float"] == 1
