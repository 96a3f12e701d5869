"""Keys of a growing table: late commits are found, nothing is sent twice, the memory stays small."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.venues.sql.window import Key, Window
from tapewatch.errors import TapewatchError


def keys(*numbers: int) -> list[Key]:
    return [(number,) for number in numbers]


def again(window: Window) -> Window:
    """The window after a restart."""
    return Window.from_position(window.position(), "t(id)", 60.0, 100)


def window(lag_s: float = 60.0, lag_rows: int = 100) -> Window:
    return Window("t(id)", lag_s, lag_rows)


def test_key_that_was_committed_late_is_missing_until_it_is_sent() -> None:
    seen = window()
    seen.sent(keys(1, 2, 4, 5), 0)
    assert seen.missing(keys(1, 2, 3, 4, 5)) == keys(3)
    seen.sent(keys(3), 10)
    assert seen.missing(keys(1, 2, 3, 4, 5)) == []
    assert seen.top == (5,)


def test_floor_follows_the_newest_key_after_the_lag() -> None:
    seen = window()
    seen.sent(keys(1, 2), 0)
    seen.sent(keys(5), 30_000)
    assert seen.floor is None
    seen.sent([], 60_000)
    assert seen.floor == (2,)
    seen.sent([], 90_000)
    assert seen.floor == (5,)


def test_no_more_keys_are_remembered_than_there_is_room_for() -> None:
    seen = window(lag_rows=3)
    seen.sent(keys(*range(10)), 0)
    assert seen.floor == (6,)
    assert seen.missing(keys(7, 8, 9)) == []


def test_restart_goes_on_where_the_position_says() -> None:
    seen = window()
    seen.sent(keys(1, 2, 4), 0)
    after = again(seen)
    assert (after.floor, after.top) == (None, (4,))
    assert after.missing(keys(1, 2, 3, 4)) == keys(3)
    after.sent([], 60_000)
    assert after.floor == (4,)


def test_dense_integer_keys_take_a_few_bytes() -> None:
    seen = Window("t(id)", 60.0, 100_000)
    seen.sent(keys(*range(50_000)), 0)
    assert len(seen.position()) < 200


def test_keys_of_time_and_id_sort_by_time_first() -> None:
    seen = Window("t(at,id)", 60.0, 100)
    first, second = ("2026-01-05T09:00:00.000000", 9), ("2026-01-05T09:00:01.000000", 1)
    seen.sent([second, first], 0)
    assert seen.top == second
    after = Window.from_position(seen.position(), "t(at,id)", 60.0, 100)
    assert after.missing([first, second]) == []


def test_position_of_another_table_is_refused() -> None:
    with pytest.raises(TapewatchError, match="is of t"):
        Window.from_position(window().position(), "u(id)", 60.0, 100)
    with pytest.raises(TapewatchError, match="cannot be read"):
        Window.from_position(b"[]", "t(id)", 60.0, 100)


@given(
    st.permutations(list(range(1, 31))),
    st.lists(st.integers(0, 29), max_size=6),
    st.lists(st.booleans(), min_size=30, max_size=30),
)
def test_every_key_is_sent_once_in_whatever_order_it_is_committed(
    order: list[int], looks: list[int], restarts: list[bool]
) -> None:
    seen = window()
    committed: set[Key] = set()
    sent: list[Key] = []
    for place, number in enumerate(order):
        committed.add((number,))
        if place in looks or place == len(order) - 1:
            above = [key for key in sorted(committed) if seen.top is None or key > seen.top]
            between = [] if seen.top is None else [key for key in sorted(committed) if key <= seen.top]
            new = seen.missing(between) + above
            sent += new
            seen.sent(new, place * 1_000)
        if restarts[place]:
            seen = again(seen)
    assert sorted(sent) == keys(*range(1, 31))
