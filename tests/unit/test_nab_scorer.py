"""NAB's score: numbers worked by hand, and the cases that the benchmark's own tests document."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation import nab
from evaluation.nab import windowed_gaussian
from evaluation.nab_score import (
    OUTSIDE,
    PROBATION,
    Profile,
    Rows,
    Series,
    best_threshold,
    development,
    interval,
    normalised,
    raw_score,
    read_series,
    rows_of,
    scaled_sigmoid,
)
from tapewatch import cli
from tapewatch.errors import TapewatchError

EVEN = Profile("even", hit=1.0, miss=1.0, false=1.0)
STANDARD = Profile("standard", hit=1.0, miss=1.0, false=0.11)


def series(rows: int, *windows: tuple[int, int], name: str = "folder/a.csv") -> Series:
    """A series whose values do not matter."""
    limits = np.array(windows, dtype=np.int64).reshape(-1, 2)
    return Series(name, np.arange(rows, dtype=np.float64), np.zeros(rows), limits)


def score(one: Series, alerts: list[int], profile: Profile = EVEN) -> float:
    """The raw score where these rows alert."""
    scores = np.zeros(len(one.values))
    scores[alerts] = 1.0
    return raw_score(rows_of(one, profile), scores, 0.5, profile)


@pytest.mark.parametrize(("rows", "probation"), [(100, 15), (4032, 604), (5000, 750), (6000, 750), (22_695, 750)])
def test_probation_is_15_percent_of_at_most_5000_rows(rows: int, probation: int) -> None:
    assert series(rows).probation == probation


@pytest.mark.parametrize(
    ("position", "worth"), [(-1.0, 0.98661), (-0.5, 0.84828), (0.0, 0.0), (1.0, -0.98661), (3.0, -1.0), (9.0, -1.0)]
)
def test_sigmoid_has_the_documented_values(position: float, worth: float) -> None:
    assert float(scaled_sigmoid(np.array(position))) == pytest.approx(worth, abs=1e-5)


def test_an_alert_in_a_windows_first_row_earns_all() -> None:
    for last in (5, 6):
        assert score(series(10, (4, last)), [4]) == pytest.approx(1.0)


def test_an_earlier_alert_earns_more_and_later_ones_nothing_more() -> None:
    one = series(10, (4, 5))
    assert score(one, [4]) > score(one, [5])
    assert score(one, [4, 5]) == score(one, [4])


def test_the_windows_right_edge_is_worth_as_little_as_the_row_after_it_costs() -> None:
    one = series(1000, (450, 549))
    assert score(one, [549]) + score(one, [550]) + 1.0 == pytest.approx(0.0, abs=1e-3)


def test_a_false_row_costs_all_where_no_window_came_before() -> None:
    assert score(series(1000), [500]) == -1.0
    assert score(series(1000, (800, 809)), [500]) == -2.0


def test_a_false_row_costs_less_the_sooner_it_follows_a_window() -> None:
    one = series(100, (40, 49))
    assert score(one, [45, 50]) > score(one, [45, 51]) > score(one, [45, 52])


def test_two_false_rows_cost_more_than_one() -> None:
    one = series(1000, (500, 509))
    assert score(one, [300, 301]) < score(one, [300]) < score(one, [])


def test_every_missed_window_costs_once() -> None:
    assert score(series(2000, (400, 409), (800, 809), (1200, 1209), (1600, 1609)), []) == -4.0


def test_hits_misses_and_false_rows_add_up() -> None:
    # A hit (1), a missed window (-1) and a row three quarters of a window width behind the first (-0.9540).
    assert score(series(100, (30, 34), (65, 69)), [30, 31, 37]) == pytest.approx(-0.9540, abs=1e-4)


def test_rows_of_the_probation_count_for_nothing() -> None:
    assert score(series(100, (10, 20)), list(range(15))) == -1.0
    assert score(series(100), list(range(15))) == 0.0


def test_weights_scale_misses_and_false_rows() -> None:
    assert score(series(100, (45, 54)), [], Profile("low misses", 1.0, 2.0, 0.055)) == -2.0
    assert score(series(100), [50], Profile("low false", 1.0, 0.5, 2.0)) == -2.0


DOCUMENTED = Rows(
    worth=np.array([-1000.0, -1000.0, -3.0, 20.0, 10.0, 5.0, -3.0]),
    window=np.array([PROBATION, PROBATION, OUTSIDE, 0, 0, 1, OUTSIDE]),
    windows=2,
)
LEVELS = np.array([0.5, 0.5, 0.0, 0.2, 0.3, 0.5, 0.5])
MISS_5 = Profile("miss 5", hit=1.0, miss=5.0, false=1.0)


@pytest.mark.parametrize(("threshold", "wanted"), [(1.1, -10.0), (0.5, -3.0), (0.3, 12.0), (0.2, 22.0), (0.0, 19.0)])
def test_scores_by_threshold_are_the_documented_ones(threshold: float, wanted: float) -> None:
    assert raw_score(DOCUMENTED, LEVELS, threshold, MISS_5) == wanted


def test_the_best_threshold_is_found() -> None:
    assert best_threshold([DOCUMENTED], [LEVELS], MISS_5) == 0.2


def test_no_alert_at_all_may_be_best() -> None:
    assert best_threshold([rows_of(series(100), EVEN)], [np.full(100, 0.5)], EVEN) > 1.0


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_no_other_threshold_scores_more(seed: int) -> None:
    rng = np.random.default_rng(seed)
    every = [rows_of(one, STANDARD) for one in (series(60, (20, 29), (40, 45)), series(80, (30, 40)), series(50))]
    scores = [np.round(rng.random(len(rows.worth)), 1) for rows in every]

    def total(threshold: float) -> float:
        return sum(raw_score(rows, one, threshold, STANDARD) for rows, one in zip(every, scores, strict=True))

    best = total(best_threshold(every, scores, STANDARD))
    assert best == pytest.approx(max(total(level) for level in [1.1, *np.unique(np.concatenate(scores))]))


def test_nothing_found_is_0_and_everything_at_once_is_100() -> None:
    windows = np.array([2, 0, 1])
    assert normalised(np.array([-2.0, 0.0, -1.0]), windows, windows, STANDARD) == 0.0
    assert normalised(np.array([2.0, 0.0, 1.0]), windows, windows, STANDARD) == 100.0
    assert normalised(np.array([0.0, 0.0, 0.0]), windows, windows, STANDARD) == 50.0


def test_the_interval_holds_the_score_and_repeats_by_seed() -> None:
    raw, windows = np.array([0.9, -1.0, 1.5, -0.2]), np.array([1, 1, 2, 0])
    low, high = interval(raw, windows, windows, STANDARD, seed=1)
    assert low < normalised(raw, windows, windows, STANDARD) < high
    assert (low, high) == interval(raw, windows, windows, STANDARD, seed=1)


def test_every_other_file_of_a_folder_is_for_development() -> None:
    names = ["a/1.csv", "a/2.csv", "a/3.csv", "b/1.csv", "b/2.csv"]
    assert development([series(10, name=name) for name in names]) == [True, False, True, True, False]


def test_windowed_gaussian_follows_its_definition() -> None:
    values = np.random.default_rng(1).normal(3.0, 2.0, 6700)
    found = windowed_gaussian(values, 0)
    assert found[0] == 0.0
    for row, window in ((5, values[:5]), (6400, values[:6400]), (6499, values[:6400]), (6650, values[200:6600])):
        z = abs(values[row] - window.mean()) / window.std()
        assert found[row] == pytest.approx(0.5 * (1.0 + math.erf(z / math.sqrt(2.0))))


@pytest.fixture
def benchmark_folder(tmp_path: Path) -> Path:
    """A folder in the benchmark's layout: noise with one spike, in its labelled window, in each of two series."""
    folder = tmp_path / "benchmark"
    labels = {}
    for number, name in enumerate(("realTweets/a.csv", "realTweets/b.csv")):
        values = np.random.default_rng(number).normal(size=1200)
        values[800] = 60.0
        times = np.datetime64("2015-01-01T00:00:00") + np.arange(1200) * np.timedelta64(300, "s")
        written = [str(time).replace("T", " ") for time in times]
        path = folder / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [f"{time},{value}" for time, value in zip(written, values, strict=True)]
        path.write_text("\n".join(["timestamp,value", *lines]) + "\n")
        labels[name] = [[f"{written[790]}.000000", f"{written[850]}.000000"]]
    (folder / "labels").mkdir()
    (folder / "labels" / "combined_windows.json").write_text(json.dumps(labels))
    costs = {"tpWeight": 1.0, "fnWeight": 1.0, "fpWeight": 0.11, "tnWeight": 1.0}
    (folder / "profiles.json").write_text(json.dumps({"standard": {"CostMatrix": costs}}))
    return folder


def test_command_prints_one_document_and_writes_a_page(
    benchmark_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "report"
    assert cli.main(["evaluate", "nab", "--data", str(benchmark_folder), "--json", "--report", str(report)]) == 0
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1
    document = json.loads(printed)
    assert document["score"]["mean"] > 90.0
    assert document["finance"]["hit"] == 2
    assert document["halves"]["development"]["series"] == document["halves"]["held_out"]["series"] == 1
    assert document["rows"] == 2400
    assert "realTweets/b.csv: 1 of 1 windows found" in (report / "nab.html").read_text()


def test_another_layout_is_refused_with_its_path(benchmark_folder: Path) -> None:
    (benchmark_folder / "data" / "realTweets" / "b.csv").unlink()
    with pytest.raises(TapewatchError, match=r"b\.csv is labelled but not there"):
        read_series(benchmark_folder)
    with pytest.raises(TapewatchError, match="combined_windows"):
        read_series(benchmark_folder / "data")


def test_random_baseline_repeats_by_seed() -> None:
    values = np.zeros(10)
    assert np.array_equal(nab.BASELINES["random"](values, 3), nab.BASELINES["random"](values, 3))
