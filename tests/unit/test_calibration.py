"""Calibration, p-values, false discoveries, drift and fusion."""

from itertools import pairwise

import numpy as np
import pytest

from detectors import calibration, drift, fusion


def labelled(rows: int = 20_000, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores with a known probability of being positive."""
    rng = np.random.default_rng(seed)
    found = rng.normal(size=rows)
    chance = 1.0 / (1.0 + np.exp(-(2.0 * found - 1.0)))
    return found, rng.random(rows) < chance, chance


def test_isotonic_knots_find_a_known_probability_and_never_fall() -> None:
    found, positive, _ = labelled()
    knots = calibration.isotonic(found, positive)
    assert all(b[0] > a[0] and b[1] >= a[1] for a, b in pairwise(knots))
    other, _, wanted = labelled(seed=1)
    assert np.abs(calibration.probabilities(other, knots) - wanted).mean() < 0.02
    assert np.isnan(calibration.probabilities(np.array([np.nan]), knots)).all()


def test_calibration_error_is_small_for_true_probabilities_and_large_for_others() -> None:
    _, positive, chance = labelled()
    assert calibration.reliability(chance, positive).error < 0.01
    assert calibration.reliability(chance**3, positive).error > 0.1
    assert calibration.reliability(chance, positive, equal_mass=True).error < 0.02


def test_weights_move_the_share_of_positives_to_the_prior() -> None:
    _, positive, _ = labelled()
    weight = calibration.prior_weights(positive, 0.01)
    assert np.average(positive, weights=weight) == pytest.approx(0.01)


def test_conformal_p_values_are_valid_for_exchangeable_rows() -> None:
    rng = np.random.default_rng(3)
    usual, new = rng.normal(size=5000), rng.normal(size=50_000)
    p = calibration.p_values(new, calibration.conformal_levels(usual), 5000)
    for level in (0.2, 0.05, 0.01):
        assert np.mean(p <= level) <= level * 1.15
    assert np.mean(p <= 0.05) > 0.03
    levels = calibration.conformal_levels(usual)
    assert calibration.p_values(np.array([99.0]), levels, 5000)[0] == pytest.approx(2 / 5001)
    assert np.all(np.diff(calibration.p_values(np.sort(new), levels, 5000)) <= 0.0)


def test_false_discovery_rate_is_held_online_and_true_signals_are_found() -> None:
    shares, power = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        signal = rng.random(2000) < 0.1
        p = np.where(signal, rng.random(2000) * 1e-6, rng.random(2000))
        state = np.zeros(calibration.LORD_FIELDS)
        found = np.array([calibration.lord(state, float(each), 0.1) for each in p])
        shares.append(np.sum(found & ~signal) / max(np.sum(found), 1))
        power.append(np.mean(found[signal]))
    assert np.mean(shares) <= 0.1
    assert np.mean(power) > 0.8


def test_missing_p_value_is_no_test() -> None:
    state = np.zeros(calibration.LORD_FIELDS)
    assert not calibration.lord(state, float("nan"), 0.1)
    assert not state.any()


def test_stability_index_is_small_for_the_same_and_large_for_another_distribution() -> None:
    rng = np.random.default_rng(1)
    edges, shares = drift.reference(rng.normal(size=20_000))
    same = drift.count(rng.normal(size=5000), edges)
    moved = drift.count(rng.normal(loc=1.0, size=5000), edges)
    assert drift.stability_index(same, shares) < drift.MODERATE
    assert drift.stability_index(moved, shares) > drift.STRONG
    assert np.isnan(drift.stability_index(np.zeros(10), shares))


def test_page_hinkley_warns_of_a_moved_mean_soon_and_not_before() -> None:
    rng = np.random.default_rng(2)
    for step in (1.0, -1.0):
        state = np.zeros(drift.PH_FIELDS)
        values = np.concatenate([rng.normal(size=3000), rng.normal(loc=step, size=500)])
        warned = [t for t, value in enumerate(values) if drift.page_hinkley(state, float(value), 0.2, 40.0)]
        assert warned
        assert 3000 < warned[0] < 3150


def three_detectors(rows: int = 30_000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of two detectors that see different halves of the positives, and of one that sees nothing."""
    rng = np.random.default_rng(seed)
    positive = rng.random(rows) < 0.1
    first = positive & (rng.random(rows) < 0.5)
    odds = np.column_stack([first * 3.0, (positive & ~first) * 3.0, np.zeros(rows)]) + rng.normal(size=(rows, 3)) - 2.0
    return 1.0 / (1.0 + np.exp(-odds)), positive


def test_stacking_weighs_those_that_know_and_not_the_one_that_does_not() -> None:
    chances, positive = three_detectors()
    model = fusion.stacked(chances, positive, np.ones(len(positive)), ("a", "b", "c"), ("", "", ""))
    assert min(model.weights[:2]) > 0.5
    assert abs(model.weights[2]) < 0.1
    assert min(model.weights) >= 0.0


def test_fused_table_equals_the_compiled_row_and_nothing_known_is_nan() -> None:
    chances, positive = three_detectors(rows=2000)
    model = fusion.stacked(chances, positive, np.ones(2000), ("a", "b", "c"), ("", "", ""))
    chances[0] = np.nan
    chances[1, 2] = np.nan
    found = fusion.fused(chances, model)
    rows = np.array([fusion.fuse(row, model.table()) for row in chances])
    np.testing.assert_allclose(found, rows, atol=1e-12)
    assert np.isnan(found[0])
    assert not np.isnan(found[1])
