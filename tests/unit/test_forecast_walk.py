"""Walk-forward folds, panels and classes."""

import numpy as np
import pytest

from detectors.forecast.classes import CLASSES, classes, cuts
from detectors.forecast.series import Panel, Reading, Series
from detectors.forecast.walk import folds, years

DAY = 86_400 * 10**9


def test_no_target_of_a_fitted_row_was_known_after_the_first_calibrating_row():
    at = np.arange(100, dtype=np.int64)
    for fold in folds(at, at + 14, np.array([40, 70, 100])):
        assert (at[fold.fit] + 14).max() < at[fold.calibrate].min()
        assert (at[fold.calibrate] + 14).max() < at[fold.test].min()
        assert not (fold.fit & fold.calibrate).any()
        assert not (fold.calibrate & fold.test).any()


def test_every_row_after_the_first_boundary_is_judged_once():
    at = np.repeat(np.arange(100, dtype=np.int64), 3)
    judged = sum(fold.test.astype(int) for fold in folds(at, at + 1, np.array([40, 70, 100])))
    assert np.array_equal(judged, (at >= 40).astype(int))


def test_a_stretch_without_a_past_is_left_out():
    at = np.arange(10, dtype=np.int64)
    assert list(folds(at, at + 1, np.array([0, 10]))) == []


def test_years_begin_at_new_year_and_reach_past_the_newest_row():
    at = np.array([np.datetime64("2018-03-01"), np.datetime64("2019-12-31")], dtype="datetime64[ns]").astype(np.int64)
    found = [str(np.datetime64(int(each), "ns"))[:10] for each in years(at, 2018)]
    assert found == ["2018-01-01", "2019-01-01", "2020-01-01"]


def test_classes_part_at_training_quantiles():
    returns = np.random.default_rng(1).normal(size=20_000)
    share = np.bincount(classes(returns, cuts(returns)), minlength=len(CLASSES)) / len(returns)
    assert share == pytest.approx([0.05, 0.15, 0.2, 0.2, 0.2, 0.15, 0.05], abs=1e-3)


def test_returns_that_hardly_vary_have_no_classes():
    with pytest.raises(ValueError, match="vary too little"):
        cuts(np.zeros(100))


def test_a_panel_knows_nothing_later_than_its_time():
    ones = np.ones(3)
    series = Series("A.XNAS", np.array([1, 2, 3]) * DAY, ones, ones, ones, ones, ones)
    late = Series("B.XNAS", np.array([3]) * DAY, *(ones[:1] for _ in range(5)))
    panel = Panel(
        {"A.XNAS": series, "B.XNAS": late}, (Reading("fx", "", "1", DAY, 1.0), Reading("fx", "", "2", 3 * DAY, 2.0))
    )
    known = panel.until(2 * DAY)
    assert list(known.series) == ["A.XNAS"] and len(known.series["A.XNAS"]) == 2
    assert [each.value for each in known.readings] == [1.0]


def test_years_before_the_oldest_row_are_no_boundaries() -> None:
    at = np.array(["2015-03-01", "2016-03-01"], dtype="datetime64[ns]").astype(np.int64)
    assert years(at, 1000).astype("datetime64[ns]").astype("datetime64[Y]").astype(str).tolist() == [
        "2015",
        "2016",
        "2017",
    ]
