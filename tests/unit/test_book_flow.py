"""Orders followed from book to book: what is withdrawn, what was traded, what both sides do, and what is usual."""

import numpy as np
import pytest

from detectors.book import flow, state
from detectors.book.batch import Tape, features
from detectors.book.orders import place, seen_again
from detectors.book.state import FIELDS
from tests.unit.book_tape import ASK, BID, Order, Trade, column, prices, tape

SPOOF = Order(BID, 3, 40.0, 30.2, 33.4)


def seconds(orders: list[Order], trades: list[Trade] | None = None) -> np.ndarray:
    return features(tape(orders, trades or []))[1]


def test_state_at_birth_is_zeros_and_small() -> None:
    states = flow.create(3)
    assert states.shape == (3, FIELDS) and not states.any()
    assert FIELDS <= 400


def test_order_that_is_placed_and_cancelled_is_seen() -> None:
    quiet, spoofed = seconds([]), seconds([SPOOF])
    assert column(spoofed, "stand_largest")[31] > column(quiet, "stand_largest")[31] + 1.5
    gone = column(spoofed, "gone_largest")
    assert int(np.nanargmax(gone)) in (33, 34)
    assert gone[33:35].max() > np.nanmax(column(quiet, "gone_largest")) + 1.0
    assert column(spoofed, "held_life")[34] == pytest.approx(3.2, abs=0.11)


def test_order_that_is_traded_away_is_not_withdrawn() -> None:
    eaten = [Trade(33.35, BID, 3, 40.0)]
    executed, cancelled = seconds([SPOOF], eaten), seconds([SPOOF])
    assert column(executed, "gone_largest")[33:36].max() < column(cancelled, "gone_largest")[33:36].max() - 1.0
    assert column(executed, "taken")[33] > 2.0


def shifted(own: Tape, begin: float, end: float, by: float) -> Tape:
    """Every price moved between two times, in seconds since the start."""
    low, high = (own.book_ns[0] + round(when * 1e9) for when in (begin, end))
    books = own.books.copy()
    moved = np.flatnonzero((own.book_ns >= low) & (own.book_ns < high))
    books[np.ix_(moved, [*range(10), *range(20, 30)])] += by
    return Tape(own.trade_ns, own.trades, own.quote_ns, own.quotes, own.book_ns, np.round(books, 2))


def test_order_that_the_price_jumped_over_without_trades_was_withdrawn() -> None:
    jumped = features(shifted(tape([SPOOF], []), 32.5, 60.0, -0.5))[1]
    assert np.nanmax(column(jumped, "gone_largest")[32:34]) > 2.0
    eaten = tape([SPOOF], [Trade(32.45, BID, 9, 60.0)])
    traded = features(shifted(eaten, 32.5, 60.0, -0.5))[1]
    assert np.nanmax(column(traded, "gone_largest")[32:34]) < np.nanmax(column(jumped, "gone_largest")[32:34]) - 1.0


def test_order_that_is_missing_when_its_price_comes_back_into_sight_was_withdrawn() -> None:
    bids, asks, qtys = prices(BID), prices(ASK), np.full(10, 5.0)
    for stands, gone in ((0.0, 33.0), (40.0, 0.0)):
        own = flow.create(1)[0]
        own[[state.EDGE_BID, state.EDGE_ASK]] = bids[7], asks[9]
        place(own, -bids[8], 40.0, 5.0, 40.0, 1.1, 8, 30.0)
        shown = qtys.copy()
        shown[8] += stands
        seen_again(own, bids, shown, asks, qtys, 0, 33.0)
        assert own[state.ORDERS + state.GONE] == gone


def test_order_that_stays_is_forgotten() -> None:
    staying = seconds([Order(BID, 3, 40.0, 12.2, 60.0)])
    assert column(staying, "stand_largest")[15] > 2.0
    assert column(staying, "stand_largest")[50] < column(staying, "stand_largest")[15] - 1.0


def test_order_that_follows_to_another_price_keeps_its_age() -> None:
    moving = seconds([Order(BID, 3, 40.0, 30.2, 31.7), Order(BID, 4, 40.0, 31.7, 33.4)])
    assert column(moving, "stand_moves")[32] == 1.0
    assert column(moving, "stand_age")[32] == pytest.approx(2.8, abs=0.11)


def test_refresh_of_both_sides_leans_less_than_layers_of_one() -> None:
    layers = [Order(BID, level, 12.0, 30.2, 33.4) for level in range(2, 6)]
    both = layers + [Order(ASK, order.level, order.qty, order.begin, order.end) for order in layers]
    one_sided, two_sided = seconds(layers), seconds(both)
    assert column(one_sided, "stand_together")[31] >= 4.0
    assert column(one_sided, "stand_lean")[31] > column(two_sided, "stand_lean")[31] + 0.4
    assert column(two_sided, "gone_other")[33:35].max() > column(one_sided, "gone_other")[33:35].max()


def test_flickering_order_at_the_touch_reverts_quotes() -> None:
    rows = features(tape([], [], flicker=(30.0, 33.0)))[1]
    assert column(rows, "quotes")[31] > 2.0
    assert column(rows, "reverted_share")[31] > 0.2
    assert column(rows, "reverted_share")[20] < 0.05


def test_same_rows_give_the_same_bits_and_units_do_not_matter() -> None:
    own = tape([SPOOF], [])
    first, again = features(own)[1], features(own)[1]
    np.testing.assert_array_equal(first, again)
    trades, quotes, books = own.trades * [1, 64.0, 1], own.quotes * [1, 64.0, 1, 64.0], own.books.copy()
    books[:, 10:20] *= 64.0
    books[:, 30:40] *= 64.0
    scaled = features(Tape(own.trade_ns, trades, own.quote_ns, quotes, own.book_ns, books))[1]
    np.testing.assert_allclose(scaled, first, rtol=1e-9, atol=1e-9)


def test_later_rows_do_not_change_earlier_seconds() -> None:
    np.testing.assert_array_equal(seconds([SPOOF])[:30], seconds([])[:30])


def test_book_with_few_levels_and_no_book_are_taken() -> None:
    own = tape([SPOOF], [])
    shallow = own.books.copy()
    for side in (0, 20):
        shallow[:, side + 5 : side + 10] = shallow[:, side + 15 : side + 20] = np.nan
    rows = features(Tape(own.trade_ns, own.trades, own.quote_ns, own.quotes, own.book_ns, shallow))[1]
    assert np.isfinite(rows[20:]).all()
    assert column(rows, "gone_largest")[33:35].max() > 2.0
    bare = features(Tape(own.trade_ns, own.trades, own.quote_ns, own.quotes, own.book_ns[:0], own.books[:0]))[1]
    assert np.isnan(bare).all()
