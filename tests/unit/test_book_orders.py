"""Orders followed from book to book, by hand: what is placed, filled, moved, withdrawn, and in what company."""

from math import log, log1p

import pytest

from tests.unit.book_tape import ASK, BID
from tests.unit.calm_book import GROWTHS, Calm, Change

BEHIND, OWN, TOUCH, NEW_TOUCH = 1.1, 2.7, 3.2, 3.7
"""Log of the unusual size: behind the touch where others stand, at a price of its own, at the touch, at a new one."""


def says(size: float, bar: float = BEHIND) -> float:
    """What an order says of which nothing is filled. size : in usual growths"""
    return log(size) - bar + 1.6


def usual(*growths: float) -> float:
    """The usual growth after these, in order: a mean in which none counts for more than five usual ones."""
    total, count = float(GROWTHS), GROWTHS
    for growth in growths:
        total, count = total + min(growth, 5.0 * total / count), count + 1
    return total / count


def only(row: dict[str, float], prefix: str) -> dict[str, float]:
    return {name.removeprefix(prefix): value for name, value in row.items() if name.startswith(prefix)}


def test_order_that_stands_is_told_with_size_place_and_age() -> None:
    row = Calm().book(0.5, {97: 50}).book(0.75, {97: 50}).seconds()[0]
    assert only(row, "stand_") == pytest.approx(
        {
            "other": 0, "lean": 1, "largest": says(40), "second": 0, "age": 0.5, "moves": 0, "opposite": 0, "count": 1,
            "together": 1, "together_sum": says(40), "filled": 0, "unusual": log1p(says(40)), "size": log(40),
            "place": BEHIND, "level": 3, "mirrored": 0, "replaces": 0, "base": log1p(10 / usual(40)), "parts": 1,
            "cuts": 0,
        }
    )  # fmt: skip
    assert (row["stand"], row["present"]) == pytest.approx((says(40), says(40)))
    assert row["added"] == row["largest_added"] == pytest.approx(log1p(40 / usual(40)))


def test_order_that_is_withdrawn_is_told_with_life_and_fades() -> None:
    rows = Calm().book(0.5, asks={103: 50}).book(2.0).book(4.9).seconds()
    assert only(rows[2], "gone_") == pytest.approx(
        {"other": 0, "largest": says(40), "count": 1, "unusual": log1p(says(40))}
    )
    assert only(rows[2], "held_") == pytest.approx(
        {
            "life": 1.5, "opposite": 0, "together": 1, "moves": 0, "age": 0, "filled": 0, "unusual": log1p(says(40)),
            "size": log1p(40), "apart": 0, "level": 2, "mirrored": 0, "replaced": 0, "parts": 1, "cuts": 0,
        }
    )  # fmt: skip
    assert rows[2]["stand"] == 0.0 and rows[2]["present"] == pytest.approx(says(40))
    for after in range(3):
        assert rows[2 + after]["held"] == pytest.approx(says(40) * 0.75**after)
        assert rows[2 + after]["held_age"] == after
        assert rows[2 + after]["lately"] == pytest.approx(says(40) * 0.966**after)
        assert rows[2 + after]["long"] == pytest.approx(says(40) * 0.9885**after)


@pytest.mark.parametrize(
    ("price", "others", "bar"), [(97, 10, BEHIND), (97.5, 0, OWN), (100, 10, TOUCH), (100.5, 0, NEW_TOUCH)]
)
def test_what_is_unusual_depends_on_the_place(price: float, others: float, bar: float) -> None:
    row = Calm().book(0.5, {price: 40 + others}).seconds()[0]
    assert (row["stand"], row["stand_place"]) == pytest.approx((says(40, bar), bar))


@pytest.mark.parametrize(("size", "followed"), [(0.61, 1), (0.60, 0)])
def test_growth_is_followed_from_the_least_weight_on(size: float, followed: int) -> None:
    assert Calm().book(0.5, {97: 10 + size}).seconds()[0]["stand_count"] == followed


# fills


def test_order_that_trades_explain_is_filled_and_not_withdrawn() -> None:
    rows = Calm().book(0.5, {97: 50}).sell(0.75, 97, 40).book(1.0).book(1.9).seconds()
    assert (rows[1]["stand"], rows[1]["gone_count"], rows[1]["held"]) == (0, 0, 0)
    assert rows[1]["taken"] == pytest.approx(log1p(40 / usual(40)))
    assert rows[1]["removed"] == 0.0


def test_filled_part_says_nothing() -> None:
    filled = Calm().book(0.5, {97: 50}).sell(0.75, 97, 30).book(1.0, {97: 20}).book(2.5)
    rows = filled.book(3.5).seconds()
    assert (rows[1]["stand"], rows[1]["stand_filled"]) == pytest.approx((says(40) / 4, 0.75))
    assert (rows[2]["gone"], rows[2]["held_filled"], rows[2]["held_apart"]) == pytest.approx((says(40) / 4, 0.75, 0))


@pytest.mark.parametrize(("traded", "count"), [(35, 1), (36, 1), (37, 0)])
def test_order_of_which_less_than_a_tenth_is_left_is_filled(traded: float, count: int) -> None:
    rows = Calm().book(0.5, {97: 50}).sell(0.75, 97, traded).book(1.0, {97: 50 - traded}).seconds()
    assert rows[1]["stand_count"] == count


def test_trade_fills_the_older_order_first_and_the_next_with_the_rest() -> None:
    two = Calm().book(0.5, {97: 50}).book(2.0, {97: 70})
    row = two.sell(2.25, 97, 45).book(2.5, {97: 25}).seconds()[2]
    assert (row["stand_count"], row["stand_filled"]) == (1, 0.25)
    assert row["stand"] == pytest.approx(says(20 / usual(40)) * 0.75)


def test_trade_at_one_price_leaves_orders_at_others_alone() -> None:
    row = Calm().book(0.5, {97: 50, 96: 50}).sell(0.6, 97, 20).book(0.75, {97: 30, 96: 50}).seconds()[0]
    assert (row["stand_count"], row["stand_filled"]) == (2, 0)
    assert row["stand_second"] == pytest.approx(says(40) / 2)


@pytest.mark.parametrize(
    ("side", "price", "explained"),
    [("sell", 97, True), ("sell", 96, True), ("sell", 98, False), ("buy", 97, False), ("buy", 96, False)],
)
def test_sells_at_or_through_the_price_explain_what_a_bid_lost(side: str, price: float, explained: bool) -> None:
    scene = Calm().book(0.5, {97: 50})
    (scene.sell if side == "sell" else scene.buy)(0.75, price, 40)
    row = scene.book(1.0).book(1.9).seconds()[1]
    assert row["gone_count"] == (0 if explained else 1)


@pytest.mark.parametrize(
    ("side", "price", "explained"),
    [("buy", 104, True), ("buy", 105, True), ("buy", 103, False), ("sell", 104, False)],
)
def test_buys_at_or_through_the_price_explain_what_an_ask_lost(side: str, price: float, explained: bool) -> None:
    scene = Calm().book(0.5, asks={104: 50})
    (scene.sell if side == "sell" else scene.buy)(0.75, price, 40)
    row = scene.book(1.0).book(1.9).seconds()[1]
    assert row["gone_count"] == (0 if explained else 1)


def test_trade_explains_only_the_next_book() -> None:
    row = Calm().book(0.5, {97: 50}).sell(0.6, 97, 40).book(0.75, {97: 50}).book(1.0).book(1.9).seconds()[1]
    assert row["gone_count"] == 1 and row["gone"] == pytest.approx(says(40))


# company


@pytest.mark.parametrize(("apart", "together"), [(1.5, 2), (1.625, 1)])
def test_orders_of_a_side_within_one_and_a_half_seconds_come_together(apart: float, together: int) -> None:
    row = Calm().book(0.25, {97: 50}).book(0.25 + apart, {97: 50, 95: 20}).seconds()[1]
    second = says(10 / usual(40))
    assert row["stand_together"] == together
    assert row["stand_together_sum"] == pytest.approx(says(40) + second * (together - 1))
    assert (row["stand_count"], row["stand"]) == pytest.approx((2, says(40) + second))


@pytest.mark.parametrize(("apart", "together"), [(1.5, 2), (1.625, 1)])
def test_withdrawal_counts_those_gone_with_it_that_came_with_it(apart: float, together: int) -> None:
    scene = Calm().book(0.25, {97: 50}).book(0.25 + apart, {97: 50, 95: 20})
    row = scene.book(2.25).book(2.9).seconds()[2]
    assert (row["gone_count"], row["gone_largest"], row["held_together"]) == pytest.approx((2, says(40), together))


def test_order_that_still_stands_was_not_withdrawn_with_another() -> None:
    gone, stays = (Calm().book(0.25, {97: 50, 95: 20, 94: 20}) for _ in range(2))
    assert gone.book(1.0).book(1.9).seconds()[1]["held_together"] == 3
    assert stays.book(1.0, {95: 20}).book(1.9, {95: 20}).seconds()[1]["held_together"] == 2


@pytest.mark.parametrize(("apart", "both"), [(1.5, True), (1.625, False), (-1.5, True), (-1.625, False)])
def test_other_sides_orders_within_one_and_a_half_seconds_mirror(apart: float, both: bool) -> None:
    scene = Calm()
    if apart > 0:
        scene.book(0.25, {97: 50}).book(0.25 + apart, {97: 50}, {104: 30, 105: 20})
        other = says(20 / usual(40)) + says(10 / usual(40, 20))
    else:
        scene.book(0.25, {}, {104: 30, 105: 20}).book(0.25 - apart, {97: 50}, {104: 30, 105: 20})
        other = says(20) + says(10 / usual(20))
    row = scene.seconds()[1]
    assert row["stand_mirrored"] == pytest.approx(other if both else 0)
    rows = scene.book(2.5, {}, {104: 30, 105: 20}).book(3.0, {}, {104: 30, 105: 20}).seconds()
    assert rows[2]["held_mirrored"] == pytest.approx(other if both else 0)


def test_filled_part_of_the_other_side_mirrors_nothing() -> None:
    scene = Calm().book(0.25, {97: 50}, {104: 30}).buy(0.4, 104, 15)
    assert scene.book(0.5, {97: 50}, {104: 15}).seconds()[0]["stand_mirrored"] == pytest.approx(
        says(20 / usual(40)) / 4
    )


# fleeting


@pytest.mark.parametrize(("life", "fleeting"), [(0.125, 1), (0.25, 0)])
def test_order_that_lived_less_than_a_fifth_of_a_second_is_fleeting_and_no_withdrawal(
    life: float, fleeting: int
) -> None:
    row = Calm().book(0.25, {97: 50}).book(0.25 + life).book(0.9).seconds()[0]
    assert row["fleeting"] == pytest.approx(log1p(fleeting))
    assert row["gone_count"] == 1 - fleeting
    assert row["gone"] == row["held"] == pytest.approx(0 if fleeting else says(40))


# placed in parts


def test_growth_soon_after_belongs_to_the_order() -> None:
    row = Calm().book(0.5, {97: 50}).book(1.75, {97: 70}).seconds()[1]
    assert (row["stand_count"], row["stand_parts"], row["stand_age"]) == (1, 2, 1.5)
    assert (row["stand_size"], row["stand"]) == pytest.approx((log(60), says(60)))
    later = Calm().book(0.5, {97: 50}).book(1.875, {97: 70}).seconds()[1]
    assert (later["stand_count"], later["stand_parts"]) == (2, 1)


def test_growth_that_belongs_to_an_order_may_be_withdrawn_with_it() -> None:
    scene = Calm().book(0.5, {97: 50}).book(1.0, {97: 70}).book(1.5)
    row = scene.book(1.9).seconds()[1]
    assert (row["gone_count"], row["held_apart"], row["held_parts"]) == (1, 0, 2)
    assert row["gone"] == pytest.approx(says(60))


@pytest.mark.parametrize(("qty", "parts"), [(0.24, 2), (0.22, 1)])
def test_part_of_an_order_may_be_smaller_than_what_is_followed(qty: float, parts: int) -> None:
    row = Calm().book(0.5, {97: 50}).book(0.75, {97: 50 + qty}).seconds()[0]
    assert (row["stand_count"], row["stand_parts"]) == (1, parts)


# moves


@pytest.mark.parametrize(("qty", "moved"), [(28, 1), (28.1, 0), (22, 1), (21.9, 0)])
def test_order_of_about_the_same_size_has_moved(qty: float, moved: int) -> None:
    row = Calm().book(0.25, {97: 35}).book(1.0, {95: 10 + qty}).seconds()[1]
    assert (row["stand_moves"], row["stand_age"]) == ((1, 1.75) if moved else (0, 1.0))
    assert row["stand_replaces"] == 1 - moved
    assert row["gone_count"] == 1 - moved


@pytest.mark.parametrize(("back", "moves", "age"), [(1.25, 1, 1.75), (1.5, 0, 0.5)])
def test_order_may_move_within_a_moment(back: float, moves: int, age: float) -> None:
    row = Calm().book(0.25, {97: 35}).book(1.0).book(back, {95: 35}).seconds()[1]
    assert (row["stand_moves"], row["stand_age"], row["gone_count"]) == (moves, age, 1 - moves)


def test_order_that_comes_back_at_its_price_has_not_moved() -> None:
    row = Calm().book(0.25, {97: 35}).book(1.0).book(1.25, {97: 36}).book(1.9, {97: 36}).seconds()[1]
    assert (row["stand_count"], row["stand_moves"], row["stand_age"], row["gone_count"]) == (1, 0, 1.75, 0)


def test_order_does_not_move_to_the_other_side() -> None:
    row = Calm().book(0.25, {97: 35}).book(1.0, {}, {104: 35}).seconds()[1]
    assert (row["stand_moves"], row["stand_age"], row["stand_replaces"]) == (0, 1.0, 0)


@pytest.mark.parametrize(("there", "to", "bar"), [(97.5, 96, BEHIND), (96, 96.5, BEHIND), (97.5, 96.5, OWN)])
def test_order_that_moves_keeps_the_more_unusual_of_its_places(there: float, to: float, bar: float) -> None:
    size = 40 / usual(40) if there == 97.5 and to == 96 else 40
    others = {97.5: 0, 96: 10, 96.5: 0}
    row = Calm().book(0.25, {there: 40 + others[there]}).book(0.75, {to: 40 + others[to]}).seconds()[0]
    assert row["stand_moves"] == 1
    assert row["stand"] == pytest.approx(says(size, bar))


def test_order_that_moved_is_withdrawn_once_with_its_whole_life() -> None:
    scene = Calm().book(0.25, {97: 35}).book(1.0, {95: 35}).book(1.25, {93: 35}).book(1.5)
    row = scene.book(1.9).seconds()[1]
    assert (row["gone_count"], row["held_moves"], row["held_life"], row["held_level"]) == (1, 2, 1.25, 7)


# withdrawn in parts


@pytest.mark.parametrize(("lost", "gone", "apart"), [(28, 1, 0.3), (27, 0, 0), (40, 1, 0), (45, 1, 0.125)])
def test_loss_of_seven_tenths_withdraws_an_order(lost: float, gone: int, apart: float) -> None:
    row = Calm().book(0.25, {97: 50}).book(1.0, {97: 50 - lost}).book(1.9, {97: 50 - lost}).seconds()[1]
    assert (row["gone_count"], row["stand_count"], row["held_cuts"]) == (gone, 1 - gone, 0)
    assert row["held_apart"] == pytest.approx(apart)
    assert row["stand_cuts"] == 1 - gone


@pytest.mark.parametrize(("lost", "cuts"), [(6, 1), (5.9, 0)])
def test_part_counts_from_fifteen_hundredths_of_the_order_on(lost: float, cuts: int) -> None:
    row = Calm().book(0.25, {97: 50}).book(1.0, {97: 50 - lost}).seconds()[1]
    assert (row["stand_count"], row["stand_cuts"]) == (1, cuts)


@pytest.mark.parametrize(("second", "gone"), [(20, 1), (19.9, 0)])
def test_order_of_which_seven_tenths_went_in_parts_is_withdrawn(second: float, gone: int) -> None:
    left = 42 - second
    scene = Calm().book(0.25, {97: 50}).book(1.0, {97: 42}).book(1.25, {97: left})
    row = scene.book(1.9, {97: left}).seconds()[1]
    assert (row["gone_count"], row["held_cuts"], row["stand_cuts"]) == ((1, 2, 0) if gone else (0, 0, 2))
    assert row["held_apart"] == pytest.approx(0.3 if gone else 0)


@pytest.mark.parametrize(("others", "gone"), [(16, 1), (17, 0)])
def test_parts_withdraw_an_order_only_where_little_more_is_left_than_others_had(others: int, gone: int) -> None:
    scene = Calm().book(0.25, {97: 50})
    for k in range(others):
        scene.book(0.3 + k / 100, {97: 50 + (k + 1) / 8})
    left = 22 + others / 8
    scene.book(1.0, {97: left + 20}).book(1.25, {97: left})
    assert scene.book(1.9, {97: left}).seconds()[1]["gone_count"] == gone


@pytest.mark.parametrize(("left", "gone"), [(13.5, 1), (14, 0)])
def test_order_whose_price_holds_less_than_its_least_part_is_withdrawn(left: float, gone: int) -> None:
    row = Calm().book(0.25, {97.5: 40}).book(1.0, {97.5: left}).book(1.9, {97.5: left}).seconds()[1]
    assert row["gone_count"] == gone
    assert row["held_apart"] == pytest.approx(left / 40 if gone else 0)


def test_withdrawal_that_is_far_larger_than_the_order_lies_wholly_apart() -> None:
    row = Calm().book(0.25, {97: 15}).book(1.0, {97: 0}).book(1.9, {97: 0}).seconds()[1]
    assert (row["gone_count"], row["held_apart"]) == (1, 1)


def test_small_losses_leave_an_order_as_it_is() -> None:
    scene = Calm().book(0.25, {97: 11})
    for k in range(8):
        scene.book(0.375 + k / 8, {97: 11 - 0.15 * (k + 1)})
    assert scene.seconds()[1]["stand_count"] == 1


def test_of_two_orders_at_a_price_the_one_nearest_in_size_is_withdrawn() -> None:
    scene = Calm().book(0.25, {97: 50}).book(1.75, {97: 70})
    row = scene.book(2.25, {97: 50}).book(2.9, {97: 50}).seconds()[2]
    assert (row["gone_count"], row["held_life"], row["stand_age"]) == (1, 0.5, 2.75)
    alike = Calm().book(0.25, {97: 50}).book(1.75, {97: 90}).book(2.25, {97: 50}).book(2.9, {97: 50}).seconds()[2]
    assert (alike["gone_count"], alike["held_life"], alike["stand_age"]) == (1, 2.0, 1.25)
    both = Calm().book(0.25, {97: 50}).book(1.75, {97: 70}).book(2.25).book(2.9).seconds()[2]
    assert (both["gone_count"], both["held_apart"], both["stand_count"]) == (2, 0.5, 0)


def test_one_loss_withdraws_at_most_three_orders() -> None:
    scene, held = Calm(), 10.0
    for k in range(4):
        held += 10.0
        scene.book(0.25 + 1.5 * k, {97: held})
    row = scene.book(5.25, {97: 0}).book(5.9, {97: 0}).seconds()[5]
    assert (row["gone_count"], row["stand_count"]) == (3, 1)


# the price jumps, and levels lie out of sight

LOW, HIGH = [float(price) for price in range(81, 101)], [float(price) for price in range(101, 121)]
FALLEN = dict.fromkeys(LOW, 0.0), dict.fromkeys(LOW, 10.0)
RISEN = dict.fromkeys(HIGH, 10.0), dict.fromkeys(HIGH, 0.0)


def on(side: int, qty: float, *prices: float) -> tuple[Change, Change]:
    """What differs from the calm book: a quantity at prices of a side."""
    changes = dict.fromkeys(prices, qty)
    return (changes, {}) if side == BID else ({}, changes)


@pytest.mark.parametrize("side", [BID, ASK])
@pytest.mark.parametrize(
    ("through", "traded", "filled"),
    [(0, 0, 0), (0, 26, 0.65), (0, 27, None), (5, 60, None), (-1, 60, 0), (5, 20, 0.5)],
)
def test_order_that_the_price_jumped_over_is_filled_as_far_as_trades_reach_it(
    side: int, through: int, traded: float, filled: float | None
) -> None:
    scene = Calm().book(0.25, *on(side, 50, 97 if side == BID else 104))
    if traded:
        (scene.sell(0.5, 97 - through, traded) if side == BID else scene.buy(0.5, 104 + through, traded))
    jumped = FALLEN if side == BID else RISEN
    row = scene.book(1.0, *jumped).book(1.9, *jumped).seconds()[1]
    if filled is None:
        assert (row["gone_count"], row["stand_count"], row["held"]) == (0, 0, 0)
    else:
        assert (row["gone_count"], row["held_level"], row["held_apart"]) == (1, 0, 1)
        assert (row["held_filled"], row["held"]) == pytest.approx((filled, says(40) * (1 - filled)))


@pytest.mark.parametrize("unit", [1.0, 2.0**-10])
@pytest.mark.parametrize("side", [BID, ASK])
def test_trades_fill_orders_that_the_price_jumped_over_once(side: int, unit: float) -> None:
    scene = Calm(unit).book(0.25, *on(side, 50, *((97, 96) if side == BID else (104, 105))))
    (scene.sell(0.5, 90, 50) if side == BID else scene.buy(0.5, 111, 50))
    jumped = FALLEN if side == BID else RISEN
    row = scene.book(1.0, *jumped).book(1.9, *jumped).seconds()[1]
    assert row["gone_count"] == 1 and row["held_filled"] == 0.25


@pytest.mark.parametrize("side", [BID, ASK])
def test_order_that_the_price_jumped_away_from_stands(side: int) -> None:
    scene = Calm().book(0.25, *on(side, 50, 97 if side == BID else 104))
    jumped = RISEN if side == BID else FALLEN
    row = scene.book(1.0, *jumped).book(1.9, *jumped).seconds()[1]
    assert (row["gone_count"], row["stand_count"]) == (0, 0)
    back = scene.book(2.0, *on(side, 50, 97 if side == BID else 104)).seconds()[2]
    assert (back["stand_count"], back["stand_age"]) == (1, 2.75)


@pytest.mark.parametrize("side", [BID, ASK])
@pytest.mark.parametrize(("by", "level"), [(9, 3), (10, 0)])
def test_price_jumps_where_none_of_ten_levels_lies_where_the_side_was(side: int, by: int, level: int) -> None:
    passed = [100.0 - k if side == BID else 101.0 + k for k in range(by)]
    moved = on(side, 0, *passed)
    moved[1 - side].update(dict.fromkeys(passed, 10))
    scene = Calm().book(0.25, *on(side, 50, 97 if side == BID else 104)).book(1.0, *moved)
    row = scene.book(1.9, *moved).seconds()[1]
    assert (row["gone_largest"], row["held_level"]) == pytest.approx((says(40), level))


def test_order_that_is_no_longer_followed_takes_no_trades_from_others() -> None:
    scene = Calm()
    for k in range(4):
        scene.book(0.5 + 7 * k, {}, {104: 50})
    scene.book(28.5, {}, {104: 50, 105: 50}).book(30.75, {}, {104: 50, 105: 50}).buy(30.875, 110, 40)
    row = scene.book(31.0, RISEN[0], RISEN[1]).book(31.9, RISEN[0], RISEN[1]).seconds()[31]
    assert (row["gone_count"], row["stand_count"], row["held"]) == (0, 0, 0)


HIGHER: tuple[Change, Change] = ({101: 2, 102: 2}, {101: 0, 102: 0})
LOWER: tuple[Change, Change] = ({100: 0, 99: 0}, {100: 2, 99: 2})


@pytest.mark.parametrize("side", [BID, ASK])
@pytest.mark.parametrize(("left", "gone"), [(10, 1), (13.9, 1), (14, 0), (50, 0)])
def test_order_that_is_missing_where_its_price_is_seen_again_was_withdrawn(side: int, left: float, gone: int) -> None:
    price, away = (92, HIGHER) if side == BID else (109, LOWER)
    there, again = on(side, 50, price), on(side, left, price)
    again[1 - side].update(dict.fromkeys(away[side], 2))
    rows = Calm().book(0.25, *there).book(1.0, *away).book(2.0, *again).book(2.9, *again).seconds()
    assert (rows[0]["stand_count"], rows[1]["stand_count"], rows[1]["gone_count"]) == (1, 0, 0)
    assert (rows[2]["gone_count"], rows[2]["stand_count"]) == (gone, 1 - gone)
    if gone:
        assert (rows[2]["held_level"], rows[2]["held_apart"], rows[2]["held_life"]) == (9, 1, 1.75)


def test_order_is_missing_where_a_better_and_a_worse_price_are_seen_but_not_its_own() -> None:
    row = Calm().book(0.25, {92: 50}).book(1.0, *HIGHER).book(2.0, {92: 0}).book(2.9, {92: 0}).seconds()[2]
    assert (row["gone_count"], row["held_level"]) == (1, 9)


@pytest.mark.parametrize("shown", [1, 4])
def test_side_of_few_levels_is_seen_as_a_whole(shown: int) -> None:
    row = Calm().book(0.25, {97: 50}).book(1.0, shown=shown).book(1.9, shown=shown).seconds()[1]
    assert row["gone_count"] == 1


# seats


def crowd() -> tuple[Calm, dict[float, float], list[float]]:
    """Sixteen orders on the bid side, the lightest of 2, and what they say."""
    scene, growths, said = Calm(), list[float](), list[float]()
    sizes = [[10.0] * 9, [10.0] * 6 + [2.0]]
    bids: dict[float, float] = {}
    for wave, at in zip(sizes, (0.25, 1.75), strict=True):
        for level, size in enumerate(wave, start=1):
            bids[100 - level] = bids.get(100 - level, 10.0) + size
            said.append(says(size / usual(*growths)))
            growths.append(size)
        scene.book(at, dict(bids))
    said.append(says(4.0 / usual(*growths)))
    return scene, bids, said


def test_sixteen_orders_are_followed_and_the_lightest_makes_room() -> None:
    scene, bids, said = crowd()
    full = scene.seconds()[1]
    assert (full["stand_count"], full["stand"]) == pytest.approx((16, sum(said[:16])))
    row = scene.book(3.25, bids | {91: bids[91] + 4}).seconds()[3]
    assert (row["stand_count"], row["stand"]) == pytest.approx((16, sum(said) - said[15]))


def test_growth_lighter_than_all_that_are_followed_is_not_followed() -> None:
    scene, bids, said = crowd()
    row = scene.book(3.25, bids | {91: bids[91] + 1.5}).seconds()[3]
    assert (row["stand_count"], row["stand"]) == pytest.approx((16, sum(said[:16])))


def test_order_out_of_sight_makes_room_before_the_lightest() -> None:
    scene, bids, _ = crowd()
    scene.book(3.25, bids | {101: 10}, {101: 0})
    row = scene.book(3.5, bids | {101: 10, 99: bids[99] + 1.5}, {101: 0}).seconds()[3]
    assert row["stand_count"] == 16


# what it replaces, and how long it is followed


@pytest.mark.parametrize(("qty", "replaces"), [(20, 1), (19.9, 0), (80, 1), (80.1, 0), (30, 1)])
def test_similar_order_of_the_side_replaces_one_that_has_just_gone(qty: float, replaces: int) -> None:
    row = Calm().book(0.25, {97: 50}).book(0.75, {95: 10 + qty}).seconds()[0]
    assert (row["stand_count"], row["stand_replaces"]) == (2, replaces if qty > 40 else 0)
    later = Calm().book(0.25, {97: 50}).book(0.75, {95: 10 + qty}).book(1.25, {95: 10 + qty}).seconds()[1]
    assert (later["stand_count"], later["stand_replaces"]) == (1, replaces)
    other = Calm().book(0.25, {97: 50}).book(0.75, {}, {106: 10 + qty}).book(1.25, {}, {106: 10 + qty}).seconds()[1]
    assert (other["stand_count"], other["stand_replaces"]) == (1, 0)


@pytest.mark.parametrize(("qty", "replaced"), [(30, 1), (60, 1), (90, 0), (10, 0)])
def test_strongest_withdrawal_counts_similar_orders_that_came_when_another_had_gone(qty: float, replaced: int) -> None:
    other = 0.75 * qty
    scene = Calm().book(0.25, {97: 50}).book(0.75).book(1.25, {95: 10 + other}).book(1.75, {93: 10 + qty})
    row = scene.book(1.9, {93: 10 + qty}).seconds()[1]
    assert row["held_replaced"] == replaced
    assert row["held_life"] == 0.5


@pytest.mark.parametrize(("end", "gone"), [(30.5, 1), (30.625, 0)])
def test_order_that_stood_for_longer_than_half_a_minute_is_no_longer_followed(end: float, gone: int) -> None:
    scene = Calm()
    for k in range(5):
        scene.book(0.5 + 7 * k, {97: 50})
    row = scene.book(end).book(end + 0.375).seconds()[30]
    assert (row["gone_count"], row["held_life"]) == (gone, 30.0 * gone)


def test_order_counts_as_standing_for_twenty_seconds() -> None:
    scene = Calm()
    for k in range(5):
        scene.book(1.0 + 6 * k, {97: 50})
    rows = scene.seconds()
    assert (rows[20]["stand_count"], rows[20]["stand_age"]) == (1, 20)
    assert rows[21]["stand_count"] == 0


@pytest.mark.parametrize(("later", "count"), [(10.0, 1), (10.125, 0)])
def test_book_after_ten_silent_seconds_is_not_compared(later: float, count: int) -> None:
    assert Calm().book(0.5).book(0.5 + later, {97: 50}).seconds()[10]["stand_count"] == count


# trades beside it


def test_trades_on_the_other_side_since_it_was_placed_are_told() -> None:
    scene = Calm().buy(0.125, 101, 5).book(0.25, {97: 50}).buy(0.5, 101, 8).sell(0.625, 100, 3)
    assert scene.seconds()[0]["stand_opposite"] == pytest.approx(log1p(8 / usual(40)))
    row = scene.book(0.75).book(1.5).seconds()[1]
    assert row["held_opposite"] == pytest.approx(log1p(8 / usual(40)))


def test_of_two_equal_withdrawals_the_later_counted_is_told() -> None:
    scene = Calm().book(0.25, {100: 50}, {101: 50}).buy(0.375, 101, 8).book(0.5, {100: 50}, {101: 50})
    row = scene.book(0.75).book(1.5).seconds()[1]
    assert (row["gone"], row["gone_other"]) == pytest.approx((says(40, TOUCH), says(40, TOUCH)))
    assert row["held_opposite"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("qty", "replaced"), [(80, 1), (80.5, 0), (20, 1), (19.5, 0)])
def test_order_that_comes_when_another_has_gone_is_similar_up_to_a_factor_of_two(qty: float, replaced: int) -> None:
    scene = Calm().book(0.25, {100: 50}).book(0.75).book(1.25, {100: 10 + 0.75 * qty}).book(1.75, {100.5: qty})
    assert scene.seconds()[1]["held_replaced"] == replaced
