"""The book's heat map: what waits lands in the cell of its price and time."""

import numpy as np

from console.api.books import heat

NAN = float("nan")


def book(bid: float, ask: float, quantity: float = 10.0) -> np.ndarray:
    return np.array([[bid, bid - 1], [quantity, 2 * quantity], [ask, ask + 1], [3 * quantity, 4 * quantity]])


def test_quantity_lands_in_the_cell_of_its_price():
    made = heat([0], np.array([book(100, 101)]), [0.0], 10)
    assert made.step == 1.0
    assert made.low == 98.5
    assert made.quantity == [20.0, 10.0, 30.0, 40.0]
    assert (made.bid, made.ask, made.most) == ([100.0], [101.0], 40.0)


def test_book_stays_in_force_until_the_next_and_nothing_is_known_before_the_first():
    made = heat([1, 3], np.array([book(100, 101), book(100, 101, 5.0)]), [0.0, 1.0, 2.0, 3.0], 10)
    columns = np.array(made.quantity).reshape(4, made.rows)
    assert columns[0].tolist() == [0, 0, 0, 0]
    assert columns[1].tolist() == columns[2].tolist() == [20.0, 10.0, 30.0, 40.0]
    assert columns[3].tolist() == [10.0, 5.0, 15.0, 20.0]
    assert made.bid == [None, 100.0, 100.0, 100.0]


def test_empty_side_is_no_price():
    levels = np.array([[[100.0, NAN], [5.0, NAN], [NAN, NAN], [NAN, NAN]]])
    made = heat([0], levels, [0.0], 10)
    assert (made.bid, made.ask) == ([100.0], [None])
    assert sum(made.quantity) == 5.0


def test_rows_grow_taller_where_prices_do_not_fit():
    made = heat([0, 1], np.array([book(100, 101), book(200, 201)]), [0.0, 1.0], 20)
    assert made.rows <= 20
    assert made.step > 1


def test_no_books_give_an_empty_grid():
    assert heat([], np.empty((0, 4, 5)), [], 10).t == []
    assert heat([0], np.full((1, 4, 5), NAN), [0.0], 10).t == []
