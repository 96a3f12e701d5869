"""The univariate detector: what it alerts on, what it keeps quiet about, and that its state is all it knows."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors import univariate
from detectors.univariate import UnivariateParameters
from detectors.univariate.novelty import (
    BLOCKS,
    EXCESS,
    KEPT,
    PEAK,
    TYPICAL,
    VIEW_FIELDS,
    add_lags,
    close_block,
    third_smallest,
)

F8 = npt.NDArray[np.float64]

PARAMETERS = UnivariateParameters().array()
DAY = 96


def scores(values: F8, cuts: tuple[int, ...] = ()) -> F8:
    """The detector's scores from an empty state, the series handed over in pieces."""
    states, found = univariate.new_states(1), np.zeros(len(values))
    scratch = univariate.scratch_for(states)
    for first, last in zip((0, *cuts), (*cuts, len(values)), strict=True):
        univariate.run(states[0], scratch, values[first:last], PARAMETERS, found[first:last])
    return found


def daily(days: int, noise: float = 0.05, seed: int = 1) -> F8:
    """A series with a daily shape and some noise."""
    rows = np.arange(days * DAY)
    return 10.0 + np.sin(2.0 * np.pi * rows / DAY) + np.random.default_rng(seed).normal(0.0, noise, len(rows))


def alerts(values: F8) -> list[int]:
    """Rows that alert."""
    return [int(row) for row in np.flatnonzero(scores(values) >= 0.5)]


def test_a_spike_alerts_in_its_own_row() -> None:
    values = daily(14)
    values[1000] += 3.0
    assert alerts(values) == [1000]


def test_a_changed_level_alerts_once_where_it_begins() -> None:
    values = daily(14)
    values[1000:1060] += 2.0
    found = alerts(values)
    assert found[0] == 1000
    assert len([row for row in found if row < 1100]) == 1


def test_a_flat_stretch_within_the_usual_range_alerts() -> None:
    values = daily(14, noise=0.02)
    values[1016:1080] = values[1016]
    assert any(1016 <= row < 1090 for row in alerts(values))


def test_regular_series_and_noise_alert_hardly_ever() -> None:
    rng = np.random.default_rng(2)
    assert len(alerts(daily(60))) <= 2
    assert len(alerts(rng.normal(size=10_000))) <= 10
    assert len(alerts(rng.poisson(20.0, 10_000).astype(float))) <= 10


def test_a_constant_series_never_alerts_until_it_moves() -> None:
    values = np.full(1000, 45.0)
    assert alerts(values) == []
    values[700:] = 46.0
    assert alerts(values)[0] == 700


def test_no_alert_follows_another_within_the_refractory_rows() -> None:
    values = np.random.default_rng(3).standard_t(1.5, 20_000)
    found = alerts(values)
    assert len(found) > 1
    assert min(np.diff(found)) > UnivariateParameters().refractory


def test_scores_lie_between_zero_and_one() -> None:
    found = scores(np.random.default_rng(4).standard_cauchy(5000) * 1e9)
    assert found.min() >= 0.0
    assert found.max() <= 1.0


@pytest.mark.parametrize("missing", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_no_number_changes_nothing(missing: float) -> None:
    values = daily(5)
    found = scores(np.insert(values, 300, missing))
    assert np.isnan(found[300])
    assert np.array_equal(np.delete(found, 300), scores(values))


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 4 * DAY), max_size=5))
def test_splitting_the_series_anywhere_changes_no_bit(cuts: list[int]) -> None:
    values = daily(4)
    assert np.array_equal(scores(values, tuple(sorted(cuts))), scores(values))


def test_a_later_value_changes_no_earlier_score() -> None:
    values = daily(30)
    found = scores(values)
    values[2500] = 1e6
    assert np.array_equal(scores(values)[:2500], found[:2500])


def test_unit_and_sign_of_a_series_do_not_matter() -> None:
    values = daily(14)
    values[1000] += 3.0
    assert np.allclose(scores(values * 1e6), scores(values), atol=1e-6)
    assert np.allclose(scores(-values), scores(values), atol=1e-6)


def test_distances_are_those_between_windows_also_where_the_ring_wraps() -> None:
    ring = np.random.default_rng(5).normal(size=64)
    newest, length = 5, 8
    sums = np.zeros(64)
    add_lags(ring, newest, 0, 3, sums)
    add_lags(ring, newest, 3, length, sums)
    lags = np.arange(length)
    wanted = [((ring[(newest - lags) % 64] - ring[(place - lags) % 64]) ** 2).sum() for place in range(64)]
    assert np.allclose(sums, wanted)


def test_the_third_nearest_is_looked_for_between_two_ages() -> None:
    sums = np.random.default_rng(6).permutation(64).astype(float)
    ages = (10 - np.arange(16, 57)) % 64
    assert third_smallest(sums, 10, 16, 56) == np.sort(sums[ages])[2]
    assert third_smallest(sums, 10, 16, 17) == -1.0


def test_block_maxima_are_those_of_the_last_blocks() -> None:
    view, peaks = np.zeros(VIEW_FIELDS), np.random.default_rng(7).normal(size=3 * KEPT)
    for number, peak in enumerate(peaks, start=1):
        view[PEAK] = peak
        close_block(view, 0.9)
        kept = np.sort(peaks[:number][-KEPT:])
        median = kept[int(0.5 * (len(kept) - 1) + 0.5)]
        assert view[TYPICAL] == median
        assert view[EXCESS] == kept[int(0.9 * (len(kept) - 1) + 0.5)] - median
    assert view[BLOCKS] == 3 * KEPT


def test_a_state_takes_the_bytes_that_are_documented() -> None:
    assert univariate.new_states(1).nbytes == 18_544
