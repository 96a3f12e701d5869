"""Queue-aware fills on hand-made books whose result is known."""

import numpy as np
import pytest

from detectors.trading import state
from detectors.trading.orders import NO_SLOT, NOT_HELD, OFF_LOT, OFF_TICK, TOO_SMALL, flatten, outstanding
from detectors.trading.queue import place_of
from detectors.trading.venues import VenueRules
from tests.unit.trading_market import FREE_OF_FEES, Lane

LONG_ONLY = VenueRules("TEST", "USD", (("0", "0.05"),), "10", 0, 0, least_value="50")


def resting_bid(qty: int = 5) -> Lane:
    """A buy order at 100.00 behind 10 others."""
    lane = Lane()
    lane.place(state.BUY, 100_00, qty)
    lane.quote(1, (100_00, 10), (100_02, 8))
    return lane


def test_an_order_stands_behind_what_is_visible_at_its_price() -> None:
    lane = resting_bid()
    assert lane.p[place_of(0) + state.AHEAD] == 10
    assert lane.kinds() == [state.OPEN]


def test_trades_at_the_price_eat_the_queue_first_then_fill_in_parts() -> None:
    lane = resting_bid()
    lane.trade(2, 100_00, 9, -1)
    assert lane.fills() == []
    lane.trade(3, 100_00, 3, -1)
    assert lane.fills() == [(100_00, 2, 1)]
    lane.trade(4, 100_00, 30, -1)
    assert lane.fills() == [(100_00, 2, 1), (100_00, 3, 1)]
    assert lane.p[state.POSITION] == 5
    assert lane.p[place_of(0) + state.STATUS] == state.FREE


def test_buyers_trades_do_not_fill_a_bid() -> None:
    lane = resting_bid()
    lane.trade(2, 100_00, 50, 1)
    assert lane.fills() == []


def test_a_trade_through_the_price_fills_whatever_stood_ahead() -> None:
    lane = resting_bid()
    lane.trade(2, 99_99, 4, -1)
    assert lane.fills() == [(100_00, 4, 1)]


def test_a_shrinking_level_moves_the_order_forward_in_proportion() -> None:
    lane = resting_bid()
    lane.quote(2, (100_00, 30), (100_02, 8))
    lane.quote(3, (100_00, 15), (100_02, 8))
    assert lane.p[place_of(0) + state.AHEAD] == 5


def test_what_trades_explain_is_not_taken_for_a_cancellation() -> None:
    lane = resting_bid()
    lane.quote(2, (100_00, 20), (100_02, 8))
    lane.trade(3, 100_00, 4, -1)
    lane.quote(4, (100_00, 16), (100_02, 8))
    assert lane.p[place_of(0) + state.AHEAD] == 6


def test_no_more_stands_ahead_than_is_visible() -> None:
    lane = resting_bid()
    lane.quote(2, (100_00, 3), (100_02, 8))
    assert lane.p[place_of(0) + state.AHEAD] <= 3


def test_an_order_alone_at_the_best_price_is_first() -> None:
    lane = Lane()
    lane.place(state.BUY, 100_01, 5)
    lane.quote(1, (100_00, 10), (100_02, 8))
    lane.trade(2, 100_01, 2, -1)
    assert lane.fills() == [(100_01, 2, 1)]


def test_an_order_beyond_the_visible_levels_queues_when_its_price_shows() -> None:
    lane = Lane()
    lane.place(state.BUY, 99_90, 5)
    lane.quote(1, (100_00, 10), (100_02, 8))
    assert lane.p[place_of(0) + state.AHEAD] == state.UNKNOWN
    lane.quote(2, (99_90, 7), (100_02, 8))
    assert lane.p[place_of(0) + state.AHEAD] == 7


def test_a_level_that_comes_back_into_sight_never_adds_to_the_queue() -> None:
    lane = resting_bid()
    lane.quote(2, (100_01, 1), (100_02, 8))
    lane.quote(3, (100_00, 90), (100_02, 8))
    assert lane.p[place_of(0) + state.AHEAD] == 10


def test_an_order_that_the_other_side_reaches_trades_once_with_what_is_new() -> None:
    lane = resting_bid(20)
    lane.quote(2, (99_98, 5), (100_00, 6))
    lane.quote(3, (99_98, 5), (100_00, 6))
    assert lane.fills() == [(100_00, 6, 1)]
    lane.quote(4, (99_98, 5), (100_00, 9))
    assert lane.fills() == [(100_00, 6, 1), (100_00, 3, 1)]


def test_a_market_order_walks_the_visible_book_and_its_rest_is_gone() -> None:
    lane = Lane()
    lane.place(state.BUY, state.MARKET, 20)
    lane.book(1, [(100_00, 10)], [(100_02, 8), (100_03, 4), (100_07, 5)])
    assert lane.fills() == [(100_02, 8, 0), (100_03, 4, 0), (100_07, 5, 0)]
    assert lane.kinds()[-1] == state.CANCELLED
    assert lane.p[state.POSITION] == 17


def test_a_marketable_limit_takes_up_to_its_price_and_rests_with_the_rest() -> None:
    lane = Lane()
    lane.place(state.SELL, 99_99, 20)
    lane.book(1, [(100_00, 6), (99_99, 3), (99_98, 50)], [(100_02, 8)])
    assert lane.fills() == [(100_00, 6, 0), (99_99, 3, 0)]
    assert lane.p[place_of(2) + state.AHEAD] == 0
    lane.trade(2, 99_99, 4, 1)
    assert lane.fills()[-1] == (99_99, 4, 1)


def test_an_order_meets_the_first_quote_after_its_latency() -> None:
    lane = Lane()
    lane.quote(1, (100_00, 10), (100_02, 8))
    lane.place(state.BUY, state.MARKET, 1, arrives=100)
    lane.quote(99, (100_00, 10), (100_03, 8))
    lane.trade(100, 100_03, 8, 1)
    assert lane.fills() == []
    lane.quote(105, (100_00, 10), (100_09, 8))
    assert lane.fills() == [(100_09, 1, 0)]


def test_an_order_may_fill_until_its_cancel_takes_effect() -> None:
    lane = resting_bid()
    assert lane.cancel(state.BUY, 50) == 1
    lane.trade(49, 100_00, 12, -1)
    lane.trade(50, 100_00, 12, -1)
    assert lane.fills() == [(100_00, 2, 1)]
    assert lane.kinds()[-1] == state.CANCELLED
    assert lane.cancel(state.BUY, 60) == 0


def test_what_a_replaced_order_still_gets_is_taken_off_its_replacement() -> None:
    lane = resting_bid()
    lane.place(state.BUY, 100_01, 5, arrives=50, replaces=1)
    assert outstanding(lane.p, state.BUY) == 5
    lane.trade(40, 100_00, 13, -1)
    lane.quote(50, (100_00, 10), (100_02, 8))
    assert outstanding(lane.p, state.BUY) == 2
    lane.trade(60, 100_01, 9, -1)
    assert lane.p[state.POSITION] == 5


def test_a_replacement_is_not_sent_when_the_order_filled_first() -> None:
    lane = resting_bid()
    lane.place(state.BUY, 100_01, 5, arrives=50, replaces=1)
    lane.trade(40, 100_00, 30, -1)
    lane.quote(50, (100_00, 10), (100_01, 8))
    assert (lane.p[state.POSITION], outstanding(lane.p, state.BUY)) == (5, 0)


def test_a_quote_changes_the_touch_of_the_last_book() -> None:
    lane = Lane()
    lane.book(1, [(100_00, 10), (99_99, 5)], [(100_02, 8), (100_03, 4), (100_05, 2)])
    lane.quote(2, (100_01, 3), (100_03, 1))
    assert lane.p[state.BIDS : state.BIDS + 3].tolist() == [100_01, 100_00, 99_99]
    assert lane.p[state.ASKS : state.ASKS + 3].tolist() == [100_03, 100_05, 0]
    assert lane.p[state.ASK_QTY : state.ASK_QTY + 3].tolist() == [1, 2, 0]


@pytest.mark.parametrize(
    ("side", "price", "qty", "reason"),
    [
        (state.BUY, 100_01, 10, OFF_TICK), (state.BUY, 100_05, 15, OFF_LOT), (state.BUY, 100_05, 0, OFF_LOT),
        (state.BUY, 4_95, 10, TOO_SMALL), (state.SELL, 100_05, 10, NOT_HELD), (state.SELL, state.MARKET, 10, NOT_HELD),
    ],
)  # fmt: skip
def test_an_order_against_the_rules_is_refused(side: int, price: int, qty: int, reason: int) -> None:
    lane = Lane(LONG_ONLY)
    lane.quote(1, (100_00, 10), (100_05, 8))
    assert lane.place(side, price, qty) == reason


def test_orders_cannot_together_sell_more_than_is_held() -> None:
    lane = Lane(LONG_ONLY)
    lane.quote(1, (100_00, 10), (100_05, 80))
    lane.place(state.BUY, state.MARKET, 20)
    lane.quote(2, (100_00, 10), (100_05, 80))
    assert lane.place(state.SELL, 100_10, 20) > 0
    assert lane.place(state.SELL, 100_15, 10) == NOT_HELD


def test_a_second_replacement_waits_for_the_first() -> None:
    lane = resting_bid()
    assert lane.place(state.BUY, 100_01, 5, 50, 1) > 0
    assert lane.place(state.BUY, 100_02, 5, 50, 1) == NO_SLOT


def test_flattening_sells_what_is_beyond_the_visible_book_at_its_deepest_price() -> None:
    lane = Lane(FREE_OF_FEES)
    lane.place(state.BUY, state.MARKET, 20)
    lane.book(1, [(100_00, 6), (99_99, 3)], [(100_02, 30)])
    events, counts = np.zeros((20, state.EVENT_WIDTH), np.int64), np.zeros(1, np.int64)
    flatten(lane.p, lane.terms, 0, 1, events, counts)
    taken = [(int(each[state.E_PRICE]), int(each[state.E_QTY])) for each in events[: counts[0]]]
    assert taken == [(100_00, 6), (99_99, 3), (99_99, 11)]
    assert lane.p[state.POSITION] == 0
