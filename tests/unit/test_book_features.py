"""The book features against plain Python, over drawn order tapes of several instruments, and quotes by hand."""

from dataclasses import replace
from math import log1p

import numpy as np
import pytest

from detectors.book.batch import features
from detectors.book.features import COUNT, NAMES
from tests.unit import reference_book
from tests.unit.calm_book import Calm
from tests.unit.drawn_books import drawn

VENUES = ((1, 0.01, 1.0), (2, 0.5, 0.001), (3, 0.00001, 4000.0), (4, 1.0, 1.0), (5, 0.01, 100.0), (6, 0.1, 0.01))
"""Seed, tick and unit of each tape."""


def table(rows: dict[int, dict[str, float]], seconds: list[int]) -> np.ndarray:
    """Rows of the reference in the detector's order, NaN where it has none."""
    return np.array([[rows[second][name] if second in rows else np.nan for name in NAMES] for second in seconds])


@pytest.mark.parametrize(("seed", "tick", "unit"), VENUES)
def test_every_feature_is_what_plain_python_makes_of_the_same_rows(seed: int, tick: float, unit: float) -> None:
    tape = drawn(seed, 150, tick, unit)
    seconds, found = features(tape)
    wanted = table(reference_book.rows(tape), seconds.tolist())
    np.testing.assert_allclose(found, wanted, rtol=1e-8, atol=1e-8)
    assert np.isfinite(found).sum() > 120 * COUNT


def quoted(*quotes: tuple[float, float, float], ask: bool = False) -> Calm:
    """Quotes of one side, in which the other stays: time, price, quantity."""
    scene = Calm()
    for at, price, qty in quotes:
        scene.quote(at, *((100.0, 10.0, price, qty) if ask else (price, qty, 101.0, 10.0)))
    return scene


@pytest.mark.parametrize("ask", [False, True])
def test_quotes_are_counted_with_what_they_take_back(ask: bool) -> None:
    burst = quoted((0.125, 100.5, 10), (0.25, 100.5, 13), (0.5, 100.5, 10), (0.625, 100.5, 12), ask=ask)
    first, second = burst.book(1.5).seconds()
    assert [first[name] for name in ("quotes", "resized", "reverted", "recent_quotes", "recent_reverted")] == (
        pytest.approx([log1p(4), log1p(3), log1p(1), log1p(1.2), log1p(0.3)])
    )
    assert (first["reverted_share"], first["returned_share"]) == (0.25, 0)
    assert [second[name] for name in ("quotes", "resized", "reverted", "recent_quotes", "recent_reverted")] == (
        pytest.approx([0, 0, 0, log1p(0.84), log1p(0.21)], abs=1e-6)
    )


@pytest.mark.parametrize("ask", [False, True])
@pytest.mark.parametrize(
    ("quotes", "reverted"),
    [
        ([(0.25, 100.5, 13), (1.25, 100.5, 10)], 1),
        ([(0.25, 100.5, 13), (1.375, 100.5, 10)], 0),
        ([(0.5, 100.5, 13), (1.25, 100.5, 10.001)], 0),
        ([(0.5, 100.5, 13), (1.25, 100.5, 9.999)], 0),
        ([(0.5, 100.5, 13), (0.75, 100.4, 13), (0.875, 100.5, 13), (1.25, 100.5, 10)], 0),
        ([(0.5, 100.5, 13), (0.75, 100.5, 15), (1.25, 100.5, 13)], 1),
    ],
)
def test_quote_takes_back_the_growth_before_it_exactly_and_within_a_second(
    quotes: list[tuple[float, float, float]], reverted: int, ask: bool
) -> None:
    rows = quoted((0.125, 100.5, 10), *quotes, ask=ask).seconds()
    assert rows[1]["reverted_share"] == reverted


@pytest.mark.parametrize("ask", [False, True])
@pytest.mark.parametrize(
    ("quotes", "returned"),
    [
        ([(0.25, 100.6, 10), (1.25, 100.5, 10)], 1),
        ([(0.25, 100.6, 10), (1.375, 100.5, 10)], 0),
        ([(0.25, 100.6, 10), (0.75, 100.7, 10), (1.25, 100.5, 10)], 0),
        ([(0.25, 100.6, 10), (0.75, 100.6, 12), (1.125, 100.5, 8)], 1),
    ],
)
def test_price_returns_to_the_one_before_within_a_second(
    quotes: list[tuple[float, float, float]], returned: int, ask: bool
) -> None:
    rows = quoted((0.125, 100.5, 10), *quotes, ask=ask).seconds()
    assert rows[1]["returned_share"] == returned


def test_trades_are_told_a_quote_and_a_second_without_quotes_counts_as_one() -> None:
    scene = quoted((0.125, 100, 10), (0.25, 100, 11), (0.375, 100, 12), (0.5, 100, 13))
    rows = scene.buy(0.75, 101, 2).sell(0.75, 100, 3).buy(0.875, 101, 1).buy(1.5, 101, 1).buy(1.5, 101, 1).seconds()
    assert [row["trades_per_quote"] for row in rows] == [0.75, 2]
    assert rows[0]["volume"] == pytest.approx(log1p(6))


def test_book_of_one_side_does_not_move_and_leans_no_further() -> None:
    whole = drawn(1, 20)
    books = whole.books.copy()
    books[:, 20:] = np.nan
    _, found = features(replace(whole, books=books))
    rows = found[np.isfinite(found).all(axis=1)]
    assert len(rows) > 5
    assert not rows[:, [NAMES.index("move"), NAMES.index("lean_change")]].any()
