"""Judging Inception: every figure beside its rivals' with an interval; a page with windows lost and pictures."""

import numpy as np
import pytest

from detectors.forecast.inception.images import Images, images
from evaluation import factor_pictures
from evaluation import forecast_inception as judged
from evaluation.forecast_inception import RIVALS, ImageForecasts, walk
from tests.unit.inception_panel import factors, panel

YEAR = 2004


@pytest.fixture(scope="module")
def found() -> Images:
    """Images of two random walks from late 2002 on."""
    return images(panel(900), ("a", "b"), factors)


@pytest.fixture(scope="module")
def walked(found) -> ImageForecasts:
    """Networks of a few steps."""
    pytest.importorskip("torch")
    return walk(found, YEAR, seeds=2, steps=2)


def test_a_year_is_judged_by_what_was_known_before_it(found, walked):
    first = walked.rows[walked.year == walked.years[0]["year"]]
    begin = np.datetime64(f"{walked.years[0]['year']}-01-01", "ns").astype(np.int64)
    assert found.at[first].min() >= begin
    assert walked.years[0]["fit"] + walked.years[0]["calibrate"] <= (found.known[found.labelled] < begin).sum()
    assert len(np.unique(walked.rows)) == len(walked.rows)


def test_every_model_is_judged_on_the_same_rows_and_the_majority_is_no_skill(found, walked):
    document = judged.described(found, walked)
    for each in (document, document["cnn"], *(document[name] for name in RIVALS)):
        for figure in judged.FIGURES:
            assert each[figure]["low"] <= each[figure]["mean"] <= each[figure]["high"]
    assert document["majority"]["balanced_accuracy"]["mean"] == document["majority"]["auc"]["mean"] == 0.5
    up = found.up[walked.rows]
    rises = found.past[walked.rows, 13] > 0
    assert document["momentum"]["accuracy"]["mean"] == pytest.approx(float((rises == up).mean()), abs=1e-5)
    gap = document["accuracy"]["mean"] - document["cnn"]["accuracy"]["mean"]
    assert document["differences"]["cnn"]["accuracy"]["mean"] == pytest.approx(gap, abs=1e-5)
    assert any(line.startswith("Inception: ") for line in document["verdicts"])


def test_a_year_without_enough_before_it_is_refused(found):
    with pytest.raises(ValueError, match="no year from 2030 on"):
        walk(found, 2030, seeds=1, steps=1)


@pytest.mark.slow
def test_the_page_tells_windows_lost_and_shows_pictures(found, walked, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(factor_pictures, "SHOWN", 1)
    document = judged.described(found, walked)
    document["pictures"] = factor_pictures.write(tmp_path, found, walked.rows[:40])
    page = judged.page(tmp_path, document)
    html = page.read_text(encoding="utf-8")
    assert "warm_up" in html and "label_unknown" in html
    for name in document["pictures"]:
        assert (tmp_path / name).stat().st_size > 1000 and name in html


def test_momentum_of_random_walks_ranks_below_a_half_within_years():
    """The bias of ranks within a year that docs/inception.md states."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(20):
        price = np.cumsum(rng.normal(0.0, 0.012, 1788))
        day = np.arange(56, 56 + 7 * 244)
        up, year = price[day + 14] > price[day], (day - 56) // 244
        place = judged._within_years(price[day] - price[day - 56], ImageForecasts(day, year, {}, []))
        found.append((place[up].mean() - place[~up].mean()) + 0.5)
    assert 0.38 < np.mean(found) < 0.48
