"""Why rows are refused: one small row for each reason, beside the rows that must pass."""

import math

import numpy as np
import pytest

from tapewatch.clock import NANOS
from tapewatch.contract import frames
from tapewatch.contract.checks import MAX_SKEW_NS, Reason
from tapewatch.contract.rows import RowType, StatusKind
from tests.unit import engine_market as m
from tests.unit.engine_market import NAN, Event, at, bar, book, quote, status, trade

INF = float("inf")
A = "A.SIMX"
BIDS, ASKS = [(99.0, 1.0), (98.0, 1.0)], [(101.0, 1.0), (102.0, 1.0)]


def changed(event: Event, **values: object) -> Event:
    return Event(event.type, event.instrument, event.at, {**event.values, **values}, event.ts_event)


def with_times(event: Event, ts_event: int, ts_recv: int = 0) -> Event:
    return Event(event.type, event.instrument, ts_recv or event.at, event.values, ts_event)


QUOTE, TRADE, BOOK, BAR = (
    quote(A, 1, 99, 101),
    trade(A, 1, 100.0),
    book(A, 1, BIDS, ASKS),
    bar(A, 1, (5, 6, 4, 5), 1.0, 1),
)
ORDER = Event(
    RowType.ORDER, A, at(1), {"action": 1, "side": 1, "price": 100.0, "qty": 1.0, "order_id": "7"}
)  # fmt: skip

REFUSED: list[tuple[Reason, str, Event]] = [
    (Reason.UNREGISTERED_INSTRUMENT, "unknown id", quote("NOBODY.SIMX", 1, 99, 101)),
    (Reason.MALFORMED_INSTRUMENT, "no venue", quote("A", 1, 99, 101)),
    (Reason.MALFORMED_INSTRUMENT, "lower case", quote("a.simx", 1, 99, 101)),
    (Reason.MALFORMED_INSTRUMENT, "empty", quote("", 1, 99, 101)),
    (Reason.MALFORMED_INSTRUMENT, "every instrument has no quote", quote("*", 1, 99, 101)),
    (Reason.NOT_A_NUMBER, "no side", quote(A, 1, NAN, NAN)),
    (Reason.NOT_A_NUMBER, "absent bid with a quantity", quote(A, 1, NAN, 101, bid_qty=5.0)),
    (Reason.NOT_A_NUMBER, "infinite ask", quote(A, 1, 99, INF)),
    (Reason.NOT_A_NUMBER, "infinite last", quote(A, 1, 99, 101, last=INF)),
    (Reason.NOT_A_NUMBER, "NaN trade price", trade(A, 1, NAN)),
    (Reason.NOT_A_NUMBER, "NaN trade quantity", trade(A, 1, 100.0, NAN)),
    (Reason.NOT_A_NUMBER, "infinite level", book(A, 1, [(INF, 1.0)], ASKS)),
    (Reason.NOT_A_NUMBER, "NaN high", bar(A, 1, (5, NAN, 4, 5), 1.0, 1)),
    (Reason.NOT_A_NUMBER, "NaN order price", changed(ORDER, price=NAN)),
    (Reason.PRICE_NOT_POSITIVE, "zero bid", quote(A, 1, 0.0, 101)),
    (Reason.PRICE_NOT_POSITIVE, "negative last", quote(A, 1, 99, 101, last=-1.0)),
    (Reason.PRICE_NOT_POSITIVE, "zero trade price", trade(A, 1, 0.0)),
    (Reason.PRICE_NOT_POSITIVE, "negative level", book(A, 1, [(-99.0, 1.0)], ASKS)),
    (Reason.PRICE_NOT_POSITIVE, "zero low", bar(A, 1, (5, 6, 0, 5), 1.0, 1)),
    (Reason.BAD_QUANTITY, "NaN bid quantity", quote(A, 1, 99, 101, bid_qty=NAN)),
    (Reason.BAD_QUANTITY, "negative ask quantity", quote(A, 1, 99, 101, ask_qty=-1.0)),
    (Reason.BAD_QUANTITY, "negative volume", quote(A, 1, 99, 101, volume=-1.0)),
    (Reason.BAD_QUANTITY, "zero trade", trade(A, 1, 100.0, 0.0)),
    (Reason.BAD_QUANTITY, "empty level", book(A, 1, [(99.0, 0.0)], ASKS)),
    (Reason.BAD_QUANTITY, "negative bar volume", bar(A, 1, (5, 6, 4, 5), -1.0, 1)),
    (Reason.BAD_QUANTITY, "negative trades", bar(A, 1, (5, 6, 4, 5), 1.0, -1)),
    (Reason.CROSSED_QUOTE, "bid above ask", quote(A, 1, 101.5, 101)),
    (Reason.CROSSED_BOOK, "best bid above best ask", book(A, 1, [(101.5, 1.0)], ASKS)),
    (Reason.UNSORTED_BOOK, "bids rise", book(A, 1, BIDS[::-1], ASKS)),
    (Reason.UNSORTED_BOOK, "asks fall", book(A, 1, BIDS, ASKS[::-1])),
    (Reason.UNSORTED_BOOK, "a price stands twice", book(A, 1, [(99.0, 1.0)] * 2, ASKS)),
    (Reason.UNSORTED_BOOK, "a level after an absent one", book(A, 1, [(99.0, 1.0), (NAN, NAN), (98.0, 1.0)], ASKS)),
    (Reason.ABSURD_TS_EVENT, "zero", with_times(QUOTE, -1)),
    (Reason.ABSURD_TS_EVENT, "long ago", with_times(QUOTE, at(1) - MAX_SKEW_NS - 1)),
    (Reason.ABSURD_TS_EVENT, "far ahead", with_times(QUOTE, at(1) + MAX_SKEW_NS + 1)),
    (Reason.ABSURD_TS_EVENT, "beyond all dates", with_times(QUOTE, 2**63 - 1)),
    (Reason.ABSURD_TS_EVENT, "before all dates", with_times(QUOTE, -(2**63))),
    (Reason.LATE, "an earlier second", quote(A, -5, 99, 101)),
    (Reason.UNKNOWN_CODE, "aggressor 2", trade(A, 1, 100.0, side=2)),
    (Reason.UNKNOWN_CODE, "condition 7", trade(A, 1, 100.0, condition=7)),
    (Reason.UNKNOWN_CODE, "condition -1", trade(A, 1, 100.0, condition=-1)),
    (Reason.UNKNOWN_CODE, "order action 5", changed(ORDER, action=5)),
    (Reason.UNKNOWN_CODE, "order side 0", changed(ORDER, side=0)),
    (Reason.UNKNOWN_CODE, "status kind 0", changed(status(StatusKind.OPEN, 1, A), kind=0)),
    (Reason.UNKNOWN_CODE, "status kind 10", changed(status(StatusKind.OPEN, 1, A), kind=10)),
    (Reason.BAD_BAR, "low above close", bar(A, 1, (5, 6, 5, 4.5), 1.0, 1)),
    (Reason.BAD_BAR, "high below open", bar(A, 1, (7, 6, 4, 5), 1.0, 1)),
    (Reason.ABSURD_TS_RECV, "zero", with_times(QUOTE, at(1), -1)),
    (Reason.ABSURD_TS_RECV, "beyond all dates", with_times(QUOTE, at(1), 2**63 - 1)),
]

OF_REPLAYS = {Reason.SEALED, Reason.EARLY}
"""What only a replayed row can be: see test_dead_letter_replays.py."""

ACCEPTED: list[tuple[str, Event]] = [
    ("two sides", QUOTE),
    ("locked quote", quote(A, 1, 101, 101)),
    ("bid only", quote(A, 1, 99, NAN, ask_qty=0.0)),
    ("ask only", quote(A, 1, NAN, 101, bid_qty=NAN)),
    ("empty bid size", quote(A, 1, 99, 101, bid_qty=0.0)),
    ("full book", book(A, 1, [(99.0 - i, 1.0) for i in range(10)], [(101.0 + i, 1.0) for i in range(10)])),
    ("one-sided book", book(A, 1, BIDS, [])),
    ("empty book", book(A, 1, [], [])),
    ("locked book", book(A, 1, [(101.0, 1.0)], ASKS)),
    ("every condition", trade(A, 1, 100.0, condition=6)),
    ("cut order", changed(ORDER, action=2)),
    ("flat bar without volume", bar(A, 1, (5, 5, 5, 5), 0.0, 0)),
    ("status of all", status(StatusKind.OPEN, 1)),
    ("skew that may be", with_times(QUOTE, at(1) - MAX_SKEW_NS)),
    ("the same second", quote(A, 0.001, 99, 101)),
]


def refused(events: list[Event]) -> list[tuple[int, str]]:
    """Row and reason of what a driver refuses of one frame, whose partition has seen second 0.9 before."""
    driver = m.new_driver([A])
    m.send(driver, [quote(A, 0.9, 99, 101)], [A])
    m.send(driver, events, m.names_in(events))
    found = []
    for letter in driver.collect().get("market.driver.dlq", []):
        headers = dict(letter.headers)
        found.append((int(headers["row"]), headers["reason"].decode()))
        kept = frames.to_rows(letter.value)
        assert len(kept) == 1
        assert headers["origin_offset"] == b"1"
    return found


@pytest.mark.parametrize(
    ("reason", "what", "event"), REFUSED, ids=lambda value: value if isinstance(value, str) else ""
)
def test_bad_row_is_refused_with_its_reason(reason: Reason, what: str, event: Event) -> None:
    assert refused([event]) == [(0, reason.label)]


@pytest.mark.parametrize(("what", "event"), ACCEPTED, ids=lambda value: value if isinstance(value, str) else "")
def test_sound_row_is_accepted(what: str, event: Event) -> None:
    assert refused([event]) == []


def test_every_reason_has_a_row_here() -> None:
    # What lies in another partition is told in test_admission.py.
    assert {reason for reason, _, _ in REFUSED} == set(Reason) - {Reason.ACCEPTED, Reason.WRONG_PARTITION, *OF_REPLAYS}


@pytest.mark.parametrize("place", [0, 1, 2])
def test_other_rows_of_a_frame_with_one_bad_row_are_used(place: int) -> None:
    rows = [quote(A, 1.1, 99, 101), quote(A, 1.2, 98, 102), quote(A, 1.3, 97, 103)]
    rows[place] = changed(rows[place], bid_price=500.0)
    driver = m.new_driver([A])
    for part in (rows, [status(StatusKind.HEARTBEAT, 2)]):
        m.send(driver, part, [A, "*"])
    assert m.feature(driver, A, "quote_rate_1s") == {1: 2.0}
    (letter,) = driver.collect()["market.driver.dlq"]
    kept = frames.to_rows(letter.value)
    assert kept.columns["bid_price"].tolist() == [500.0]
    assert kept.instruments == [A]
    assert dict(letter.headers)["row"] == str(place).encode()


def test_refused_row_does_not_move_the_clock() -> None:
    far = quote(A, 100, 102, 101)
    driver = m.new_driver([A])
    for event in (quote(A, 1, 99, 101), far, quote(A, 2, 99, 101)):
        m.send(driver, [event], [A])
    assert m.feature(driver, A, "spread_bps") == {1: 200.0}
    assert dict(driver.task.tally.refused) == {"crossed_quote": 1}


def test_all_reasons_of_one_frame_are_kept_apart() -> None:
    rows = [quote(A, 1, 99, 101), quote(A, 1, 102, 101), quote("X.SIMX", 1, 99, 101), quote(A, 1, NAN, NAN)]
    assert refused(rows) == [(1, "crossed_quote"), (2, "unregistered_instrument"), (3, "not_a_number")]


def test_check_says_how_many_rows_it_refused() -> None:
    rows = [quote(A, 1 + number / 100, 99.0 if number % 3 else 102.0, 101.0) for number in range(60)]
    driver = m.new_driver([A])
    m.send(driver, rows, [A])
    assert driver.task.tally.rows["quote"] == 40
    assert driver.task.tally.refused["crossed_quote"] == 20
    assert math.isclose(driver.task.clock_ns, at(1.59))
    assert np.int64(driver.task.admission.clock[0]) == at(1) // NANOS
