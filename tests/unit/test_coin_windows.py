"""The desk's windows: exact where their buckets are minutes, within a stated tolerance beyond, in constant memory."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.coin_features import batch, state, windows
from detectors.coin_features.state import PENDING, Barriers
from detectors.regime import model as regime
from tests.unit.coin_market import coin, plain_summary

ASKED = Barriers(60, 0.004, -0.003)
REGIMES = regime.shipped().regimes()
EXACT = range(windows.NAMES.index("1h") + 1)
COARSE = range(windows.NAMES.index("6h"), len(windows.WINDOWS))
ADDED = [windows.S_VOLUME, windows.S_TURNOVER, windows.S_TRADES, windows.S_BUYS, windows.S_SELLS, windows.S_MINUTES]
TOLD = [place for place in range(windows.SUMMARY) if place not in (windows.S_ENTRIES, windows.S_WINS)]


@pytest.mark.parametrize("gaps", [False, True])
def test_windows_up_to_an_hour_are_exact(gaps: bool) -> None:
    seen = coin(400, gaps=gaps)
    known = batch.watched(seen, ASKED, REGIMES)
    told = [place for place in TOLD if place != windows.RETURN or not gaps]
    for row in (0, 1, 5, 59, 60, 61, 250, 399):
        for window in EXACT:
            expected = plain_summary(seen, row, window)
            np.testing.assert_allclose(known.windows[row, window][told], expected[told], rtol=1e-9, atol=1e-9)


def test_longer_windows_hold_to_the_stated_tolerance() -> None:
    seen = coin(46_000)
    known = batch.watched(seen, ASKED, REGIMES)
    for row in (20_000, 31_777, 45_999):
        for window in COARSE:
            found, expected = known.windows[row, window], plain_summary(seen, row, window)
            length = windows.TIERS[windows.TIER_OF[window]][0]
            if seen.minutes[row] - windows.WINDOWS[window] < seen.minutes[0]:
                continue
            # What is added up is off by less than a bucket's share of the window: only the oldest one is interpolated.
            share = length / windows.WINDOWS[window]
            np.testing.assert_allclose(found[ADDED], expected[ADDED], rtol=share)
            assert abs(found[windows.AVERAGE] / expected[windows.AVERAGE] - 1.0) < 0.001 * share**0.5
            assert abs(found[windows.VOLATILITY] / expected[windows.VOLATILITY] - 1.0) < share
            # The lines take the oldest bucket whole.
            start = seen.minutes[row] - windows.WINDOWS[window] + 1
            whole = (seen.minutes >= start - start % length) & (seen.minutes <= seen.minutes[row])
            assert found[windows.HIGH_LINE] == seen.bars[whole, 0].max()
            assert found[windows.LOW_LINE] == seen.bars[whole, 1].min()


def test_a_window_of_whole_buckets_is_exact() -> None:
    seen = coin(3000, start=27_000_000 - 27_000_000 % 1440)
    known = batch.watched(seen, ASKED, REGIMES)
    day = windows.NAMES.index("1d")
    row = 2 * batch.DAY - 1
    np.testing.assert_allclose(known.windows[row, day][TOLD], plain_summary(seen, row, day)[TOLD], rtol=1e-9)


def test_a_coins_state_is_as_large_after_two_months_as_at_birth() -> None:
    born = state.new_coin(60)
    assert state.coin_bytes(60) == windows.BYTES + 8 * (2 + 60 * PENDING + 16) < 80_000
    aged = state.new_coin(60)
    seen = coin(2000)
    state.steps(aged, seen.minutes * 43, seen.bars, ASKED, REGIMES, state.new_seen())
    assert [part.nbytes for part in aged] == [part.nbytes for part in born]


def test_win_rate_counts_entries_whose_outcome_is_known() -> None:
    seen = coin(1000, volatility=0.002)
    known, reached = batch.watched(seen, ASKED, REGIMES), batch.outcome(seen, ASKED)
    # All decided by the last minute: those entered an hour before it or earlier, and later ones that touched already.
    decided = known.windows[-1, windows.NAMES.index("1d")]
    assert 940 <= decided[windows.S_ENTRIES] < 1000
    wins = np.nansum(reached)
    assert wins <= decided[windows.S_WINS] <= wins + 60


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 699), max_size=4))
def test_cutting_a_history_anywhere_changes_no_bit(cuts: list[int]) -> None:
    seen = coin(700, seed=3)
    whole = batch.watched(seen, ASKED, REGIMES)
    one, parts = state.new_coin(ASKED.horizon), []
    edges = [0, *sorted(set(cuts)), 700]
    for start, stop in pairwise(edges):
        parts.append(
            state.steps(one, seen.minutes[start:stop], seen.bars[start:stop], ASKED, REGIMES, state.new_seen())
        )
    for place, column in enumerate(whole):
        assert np.concatenate([part[place] for part in parts]).tobytes() == column.tobytes()
