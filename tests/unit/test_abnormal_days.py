"""Daily bars: inputs that look back only, the target, files, and the judge of abnormal moves of the next day."""

from pathlib import Path

import numpy as np
import pytest

from detectors.autoencoder import daily, score
from detectors.commands.bar_folders import read_folders
from detectors.ddqn.daily_market import Bars
from evaluation.abnormal_days import NAMES, ScoredDays, figures
from tapewatch.cli import main
from tapewatch.errors import TapewatchError
from tests.unit.volatile_bars import bars

NO_TORCH = "the extra `train` is not installed"


def test_inputs_and_baselines_of_a_day_know_nothing_of_later_days() -> None:
    whole, cut = daily.days_of(bars()), daily.days_of(bars()[:600])
    for name in ("values", "yesterday", "deviation"):
        np.testing.assert_array_equal(getattr(whole, name)[: len(cut.dates)], getattr(cut, name))
    np.testing.assert_array_equal(whole.abnormal[: len(cut.dates) - 1], cut.abnormal[:-1])
    assert not cut.known[-1] and cut.known[:-1].all()


def test_inputs_are_without_unit() -> None:
    one = bars()
    other = Bars(one.dates, *(getattr(one, name) * 7.0 for name in ("open", "high", "low", "close", "volume")))
    np.testing.assert_allclose(daily.days_of(other).values, daily.days_of(one).values, atol=1e-6)
    assert np.isfinite(daily.days_of(one).values).all()


def test_about_one_day_in_twenty_is_followed_by_an_abnormal_one() -> None:
    assert 0.02 < daily.days_of(bars(3000)).abnormal.mean() < 0.09


def test_scores_of_days_begin_with_the_first_whole_window() -> None:
    rng = np.random.default_rng(2)
    arrays = {name: rng.normal(0.0, 0.2, shape).astype(np.float32) for name, shape in score.SHAPES.items()}
    arrays |= {"scaling": np.array([np.zeros(16), np.ones(16)], np.float32), "weight": np.ones(16, np.float32)}
    found = daily.scores(arrays, daily.days_of(bars()))
    assert np.isnan(found[: score.WINDOW - 1]).all() and np.isfinite(found[score.WINDOW - 1 :]).all()


def write(path: Path, made: Bars, head: str = "Date,Open,High,Low,Close,Volume") -> None:
    rows = zip(made.dates, made.open, made.high, made.low, made.close, made.volume, strict=True)
    path.write_text("\n".join([head, *(",".join(map(str, row)) for row in rows)]) + "\n")


def test_parts_of_an_instrument_are_joined_and_strange_files_named(tmp_path: Path) -> None:
    made = bars()
    write(tmp_path / "AAA_older.csv", made[:400], "Timestamp,Open,High,Low,Close,Volume")
    write(tmp_path / "AAA_newer.csv", made[390:])
    (tmp_path / "closes.csv").write_text("Date,Close\n2015-01-01,1.0\n2015-01-02,1.0\n")
    found, strange = read_folders([tmp_path])
    assert list(found) == [f"{tmp_path.name}/AAA"] and strange == ["closes.csv"]
    np.testing.assert_array_equal(found[f"{tmp_path.name}/AAA"].dates, made.dates)


def test_a_folder_without_bars_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TapewatchError, match="no daily bars"):
        read_folders([tmp_path])


@pytest.mark.slow
def test_figures_tell_a_score_that_knows_from_one_that_does_not() -> None:
    rng = np.random.default_rng(6)
    abnormal = rng.random(3000) < 0.1
    scores = rng.standard_normal((2, len(NAMES), 3000))
    scores[:, 0] += 2.0 * abnormal
    found = figures(ScoredDays(abnormal, np.arange(3000) // 21, scores), resamples=50)
    assert found["autoencoder"]["auroc"]["low"] > 0.85
    assert found["deviation"]["auroc"]["low"] < 0.5 < found["deviation"]["auroc"]["high"]
    assert found["autoencoder_less_deviation"]["ap"]["low"] > 0.3


def test_draws_of_months_without_an_abnormal_day_are_left_out() -> None:
    month = np.arange(60) // 30
    abnormal = (month == 1) & (np.arange(60) % 2 == 0)
    scores = np.tile(abnormal.astype(float), (2, len(NAMES), 1))
    found = figures(ScoredDays(abnormal, month, scores), resamples=40)
    assert found["autoencoder"]["auroc"] == {"mean": 1.0, "low": 1.0, "high": 1.0}


@pytest.mark.slow
def test_a_daily_model_is_trained_and_judged_and_the_engine_does_not_take_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch", reason=NO_TORCH)
    from streams.engine import control

    for number in range(3):
        write(tmp_path / f"S{number}.csv", bars(1200, number))
    model, data = tmp_path / "model.safetensors", ["--data", str(tmp_path / "data")]
    assert main([*data, "train", "autoencoder", "--daily", str(tmp_path), "--steps", "5", "--out", str(model)]) == 0
    assert "windows of daily bars" in capsys.readouterr().out
    with pytest.raises(TapewatchError, match="daily bars"):
        control.checked(model.read_bytes())
    words = [
        "evaluate",
        "abnormal-days",
        "--daily",
        str(tmp_path),
        "--from-year",
        "2018",
        "--seeds",
        "1",
        "--steps",
        "5",
    ]
    assert main([*data, *words, "--json"]) == 0
    assert '"logistic_with_less_without"' in capsys.readouterr().out
