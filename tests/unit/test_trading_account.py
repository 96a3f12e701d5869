"""Exact accounting: cash and position value never appear or vanish, whatever is traded in whatever parts."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.trading import state
from detectors.trading.account import equity, portion, settle_fill, unrealised
from detectors.trading.queue import place_of
from detectors.trading.units import FEE_UNIT, LEAST_FEE, MAKER_PPM, TAKER_PPM, TAX_PPM, TERMS

FILLS = st.lists(
    st.tuples(
        st.sampled_from([state.BUY, state.SELL]), st.integers(1, 10**7), st.integers(1, 10**6), st.integers(0, 1)
    ),
    max_size=30,
)
RATES = st.tuples(st.integers(0, 5000), st.integers(0, 5000), st.integers(0, 5000), st.integers(1, 200))


def terms_of(rates: tuple[int, int, int, int], least: int = 0) -> np.ndarray:
    terms = np.zeros(TERMS, dtype=np.int64)
    terms[[MAKER_PPM, TAKER_PPM, TAX_PPM, FEE_UNIT]] = rates
    terms[LEAST_FEE] = least
    return terms


@settings(deadline=None)
@given(FILLS, RATES, st.integers(1, 10**7))
def test_cash_and_position_value_never_appear_or_vanish(
    fills: list[tuple[int, int, int, int]], rates: tuple[int, int, int, int], mark: int
) -> None:
    p, terms = np.zeros(state.WIDTH, dtype=np.int64), terms_of(rates)
    start = p[state.CASH] = 10**15
    cash, held, charges = Fraction(int(start)), 0, 0
    for number, (side, price, qty, maker) in enumerate(fills):
        at = place_of(0 if side == state.BUY else 2)
        p[at : at + state.STRIDE] = 0
        fee, tax = settle_fill(p, at, terms, side, price, qty, maker)
        signed = qty if side == state.BUY else -qty
        cash, held, charges = cash - price * signed - fee - tax, held + signed, charges + fee + tax
        assert (p[state.CASH], p[state.POSITION]) == (cash, held), number
        assert p[state.FEES] + p[state.TAXES] == charges
        assert p[state.CASH] == start - p[state.COST] + p[state.REALISED] - p[state.FEES] - p[state.TAXES]
        assert held != 0 or p[state.COST] == 0
        assert held * int(p[state.COST]) >= 0
    p[state.MARK_BID] = p[state.MARK_ASK] = mark
    assert equity(p) == start + p[state.REALISED] + unrealised(p) - p[state.FEES] - p[state.TAXES]


@settings(deadline=None)
@given(st.integers(1, 10**7), st.lists(st.integers(1, 10**5), min_size=1, max_size=20), RATES, st.integers(0, 10**6))
def test_an_order_filled_in_parts_costs_what_one_fill_costs(
    price: int, parts: list[int], rates: tuple[int, int, int, int], least: int
) -> None:
    terms, at = terms_of(rates, least), place_of(2)
    whole, split = np.zeros(state.WIDTH, dtype=np.int64), np.zeros(state.WIDTH, dtype=np.int64)
    settle_fill(whole, at, terms, state.SELL, price, sum(parts), 1)
    for part in parts:
        settle_fill(split, at, terms, state.SELL, price, part, 1)
    assert split[: state.CLOCK].tolist() == whole[: state.CLOCK].tolist()


@settings(deadline=None)
@given(st.integers(1, 10**7), st.integers(1, 10**6), RATES)
def test_fees_are_the_rate_rounded_up_to_the_unit(price: int, qty: int, rates: tuple[int, int, int, int]) -> None:
    p = np.zeros(state.WIDTH, dtype=np.int64)
    fee, tax = settle_fill(p, place_of(2), terms_of(rates), state.SELL, price, qty, 0)
    unit = rates[3]
    for charged, ppm in ((fee, rates[1]), (tax, rates[2])):
        exact = Fraction(price * qty * ppm, 10**6)
        assert exact <= charged < exact + unit
        assert charged % unit == 0


def test_twse_round_trip_costs_fee_twice_and_tax_once() -> None:
    terms = terms_of((1425, 1425, 3000, 100), 2000)
    p = np.zeros(state.WIDTH, dtype=np.int64)
    settle_fill(p, place_of(0), terms, state.BUY, 600_00, 1000, 0)
    settle_fill(p, place_of(2), terms, state.SELL, 600_00, 1000, 0)
    assert (p[state.FEES], p[state.TAXES]) == (2 * 855_00, 1800_00)
    assert p[state.CASH] == -(2 * 855_00 + 1800_00)


def test_selling_through_zero_realises_the_long_part_and_opens_the_short_one() -> None:
    p, terms = np.zeros(state.WIDTH, dtype=np.int64), terms_of((0, 0, 0, 1))
    settle_fill(p, place_of(0), terms, state.BUY, 100, 10, 0)
    settle_fill(p, place_of(2), terms, state.SELL, 110, 15, 0)
    assert (p[state.POSITION], p[state.COST], p[state.REALISED]) == (-5, -550, 100)


@settings(deadline=None)
@given(st.integers(-(2**60), 2**60), st.integers(1, 2**45), st.data())
def test_a_portion_is_right_to_a_billionth(amount: int, whole: int, data: st.DataObject) -> None:
    share = data.draw(st.integers(0, whole))
    exact = Fraction(amount * share, whole)
    assert abs(portion.py_func(amount, share, whole) - exact) <= 1 + Fraction(abs(amount), 10**9)  # type: ignore[attr-defined]
    if whole < 2**31:
        assert portion.py_func(amount, share, whole) == amount * share // whole  # type: ignore[attr-defined]


@pytest.mark.parametrize(("held", "expected"), [(5, 99), (-5, 101)])
def test_a_position_is_marked_where_it_can_be_closed(held: int, expected: int) -> None:
    p = np.zeros(state.WIDTH, dtype=np.int64)
    p[state.POSITION], p[state.MARK_BID], p[state.MARK_ASK] = held, 99, 101
    assert equity(p) == held * expected
