"""The Numenta Anomaly Benchmark itself: a known baseline checks the scorer, and the detector keeps its level."""

import os
from pathlib import Path

import pytest

from detectors.univariate import UnivariateParameters
from evaluation import nab
from evaluation.nab_score import Profile, Series, read_profiles, read_series

DATA = Path(os.environ.get("TAPEWATCH_TEST_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
FOLDER = DATA / "nab"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no benchmark at {FOLDER}; set TAPEWATCH_TEST_DATA")


@pytest.fixture(scope="module")
def series() -> list[Series]:
    """All series."""
    return read_series(FOLDER)


@pytest.fixture(scope="module")
def profiles() -> list[Profile]:
    """All profiles."""
    return read_profiles(FOLDER)


def test_all_rows_and_windows_are_read(series: list[Series]) -> None:
    assert len(series) == 58
    assert sum(len(one.values) for one in series) == 365_558
    assert sum(len(one.windows) for one in series) == 116


def test_windowed_gaussian_scores_what_the_benchmark_publishes(series: list[Series], profiles: list[Profile]) -> None:
    found = nab.baseline(series, profiles, "windowed_gaussian", seed=1)
    assert {name: round(one["score"], 1) for name, one in found.items()} == {
        "standard": 39.6,
        "reward_low_FP_rate": 20.9,
        "reward_low_FN_rate": 47.4,
    }


def test_never_alerting_scores_nothing(series: list[Series], profiles: list[Profile]) -> None:
    assert nab.baseline(series, profiles, "null", seed=1)["standard"]["score"] == 0.0


def test_the_detector_scores_at_least_60_at_its_shipped_threshold(
    series: list[Series], profiles: list[Profile]
) -> None:
    # Some 5 s: it is all of the benchmark's 365,558 rows, since a part of it has no known score.
    judged = nab.judge(series, nab.detect(series, UnivariateParameters()), profiles[0])
    assert judged.score(threshold=nab.SHIPPED) >= 60.0
    assert judged.score() >= judged.score(threshold=nab.SHIPPED)
