"""Figures of forecasts and their intervals over days."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, cohen_kappa_score, f1_score, roc_auc_score

from detectors.forecast import judging
from evaluation import forecast_figures as figures

DAY = 86_400 * 10**9


@pytest.fixture(scope="module")
def drawn():
    rng = np.random.default_rng(3)
    actual = rng.integers(0, 7, 4000)
    called = np.clip(actual + rng.integers(-3, 4, 4000), 0, 6)
    return actual, called, np.bincount(actual * 7 + called, minlength=49).reshape(7, 7).astype(float)


def test_figures_of_counts_are_those_of_rows(drawn):
    actual, called, confusion = drawn
    assert judging.accuracy(confusion) == pytest.approx(accuracy_score(actual, called))
    assert judging.balanced_accuracy(confusion) == pytest.approx(balanced_accuracy_score(actual, called))
    assert judging.macro_f1(confusion) == pytest.approx(f1_score(actual, called, average="macro"))
    assert judging.kappa(confusion) == pytest.approx(cohen_kappa_score(actual, called, weights="quadratic"))


def test_area_under_the_curve_by_bins_is_that_of_rows_to_the_third_digit(drawn):
    actual, _, _ = drawn
    scores = actual + np.random.default_rng(4).normal(0.0, 3.0, len(actual))
    place = judging.ranked(scores)
    counts = np.bincount(place * 2 + (actual > 3), minlength=judging.BINS * 2).reshape(-1, 2).astype(float)
    assert judging.auc(counts) == pytest.approx(roc_auc_score(actual > 3, scores), abs=1e-3)


def test_a_class_that_never_happened_is_left_out_of_the_means():
    confusion = np.array([[8.0, 2.0, 0.0], [1.0, 9.0, 0.0], [0.0, 0.0, 0.0]])
    assert judging.balanced_accuracy(confusion) == pytest.approx(0.85)
    assert judging.macro_f1(confusion) == pytest.approx((16 / 19 + 18 / 21) / 2)


def test_days_are_drawn_whole_over_all_instruments():
    at = np.tile(np.arange(50) * 3 * DAY, 4)
    days = figures.days_of(at)
    same = figures.values(days, np.column_stack([at // DAY, np.ones(200)]), lambda total: total[0] / total[1])
    once = figures.days_of(at[:50])
    alone = figures.values(once, np.column_stack([at // DAY, np.ones(200)])[:50], lambda total: total[0] / total[1])
    assert np.allclose(same, alone)


@pytest.mark.slow
def test_interval_covers_the_mean_of_clustered_days_as_often_as_it_says():
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(40):
        shocks = rng.normal(size=600)
        level = np.convolve(shocks, np.ones(4) / 2.0, mode="same")
        days = figures.days_of(np.arange(600) * DAY)
        found = figures.interval(
            figures.values(days, np.column_stack([level, np.ones(600)]), lambda total: total[0] / total[1])
        )
        covered += found["low"] <= 0.0 <= found["high"]
    assert covered >= 34


def test_a_paired_difference_is_surer_than_its_two_figures():
    rng = np.random.default_rng(6)
    shared = rng.normal(0.0, 1.0, 500)
    better, naive = shared * 0.99, shared
    days = figures.days_of(np.arange(500) * DAY)

    def root_mean_square(column):
        return figures.values(
            days, np.column_stack([column**2, np.ones(500)]), lambda total: (total[0] / total[1]) ** 0.5
        )

    found = figures.compared(
        root_mean_square(better), root_mean_square(naive), "RMSE", "persistence", lower_is_better=True
    )
    assert found["skill"] and "has skill beside persistence" in found["sentence"]
    assert not figures.compared(root_mean_square(naive), root_mean_square(naive), "RMSE", "itself")["skill"]


def test_errors_stand_beside_the_naive_ones():
    days = figures.days_of(np.arange(30) * DAY)
    naive = np.linspace(-1.0, 1.0, 30)
    found = figures.errors(days, naive * 0.5, naive)
    assert found["rmse_ratio"]["mean"] == pytest.approx(0.5) and found["mae_ratio"]["high"] == pytest.approx(0.5)
