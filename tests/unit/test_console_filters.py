"""What the console's lists have in common: patterns, cursors, ids, counts."""

import pytest

from console.filters import cursor, facets, identity, like, nanoseconds, place
from console.refusal import RefusedError


def test_patterns_keep_what_like_takes_for_special():
    assert like(["BTC*.BINANCE", "2330.X?AI", "a_b%c\\"]) == ["BTC%.BINANCE", "2330.X_AI", "a\\_b\\%c\\\\"]


def test_a_cursor_gives_back_its_place_to_the_last_bit():
    somewhere = (1, 0.1 + 0.2, 2**62, "ab")
    assert place(cursor(somewhere), int, float, int, str) == somewhere
    assert place("", int) is None


@pytest.mark.parametrize("text", ["x", "WzFd", "====", cursor(("a", 1)), cursor((1, "a", 2))])
def test_what_is_no_cursor_of_the_list_is_refused(text):
    with pytest.raises(RefusedError) as refused:
        place(text, int, str)
    assert refused.value.status == 422


@pytest.mark.parametrize("text", ["", "0" * 31, "0" * 33, "G" * 32, "0" * 31 + "\n", "\uff10" * 32])
def test_what_can_be_no_id_is_not_found(text):
    with pytest.raises(RefusedError) as refused:
        identity(text)
    assert refused.value.status == 404


def test_times_that_do_not_exist_are_refused():
    assert nanoseconds("1970-01-01T00:00:01Z", 5) == 10**9
    assert nanoseconds("", 5) == 5
    with pytest.raises(RefusedError):
        nanoseconds("2024-02-30T00:00:00Z", 5)


def test_facets_read_grouping_sets():
    rows = [("high", None, 1, 3), ("low", None, 1, 4), (None, "open", 2, 7), (None, None, 3, 7)]
    assert facets(rows, ("severity", "state")) == (7, {"severity": {"high": 3, "low": 4}, "state": {"open": 7}})
