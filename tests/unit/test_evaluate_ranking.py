"""`evaluate ranking`: its figures and intervals, its document, and its page with pictures."""

import argparse
import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from detectors.calibration import reliability
from detectors.coin_features import batch
from detectors.coin_features.state import Barriers
from detectors.regime import training
from evaluation import ranking, ranking_figures
from evaluation.day_blocks import daily
from tapewatch.desk.day_blocks import drawn, interval
from tapewatch.errors import TapewatchError
from tapewatch.settings import Settings
from tests.unit.coin_market import coin


def judged(rows: int = 4000) -> ranking_figures.HeldOutMinutes:
    rng = np.random.default_rng(0)
    chance = rng.random(rows)
    return ranking_figures.HeldOutMinutes(
        "c", Barriers(60, 0.01, -0.01), np.arange(rows), chance, np.full(rows, 0.5), rng.random(rows) < chance, 0.5
    )


def test_figures_of_a_calibrated_probability() -> None:
    one = judged()
    found = ranking_figures.ranking(one)
    assert found["ece"]["mean"] == pytest.approx(reliability(one.chance, one.reached).error)
    assert found["ece"]["mean"] < 0.05
    assert found["auc"]["mean"] == pytest.approx(5 / 6, abs=0.02)
    assert found["brier"]["mean"] == pytest.approx(1 / 6, abs=0.01)
    assert found["brier_base_rate"]["mean"] == pytest.approx(0.25)
    for name in ("ece", "auc", "brier"):
        assert found[name]["low"] <= found[name]["high"]


def test_outcome_that_never_came_has_no_area_under_the_curve() -> None:
    one = judged()._replace(reached=np.zeros(4000, dtype=bool))
    assert ranking_figures.ranking(one)["auc"] is None


def test_intervals_are_of_days_not_of_minutes() -> None:
    rng = np.random.default_rng(1)
    by_day = rng.standard_normal(40)
    minutes = np.arange(40 * batch.DAY)
    sums = daily(minutes, np.repeat(by_day, batch.DAY), np.ones(len(minutes)))
    found = interval(sums, drawn(40, 1), lambda total: float(total[0] / total[1]))
    assert found["mean"] == pytest.approx(by_day.mean())
    assert (found["high"] - found["low"]) / 3.92 == pytest.approx(by_day.std() / 40**0.5, rel=0.15)


def written(path: Path, days: int) -> Path:
    seen = coin(days * batch.DAY, volatility=0.0008, start=27_000_000)
    times = np.datetime_as_string(seen.minutes.astype("datetime64[m]").astype("datetime64[s]"))
    rows = [
        f"{time},{h!r},{low!r},{c!r},{v!r}"
        for time, (h, low, c, v) in zip(times, seen.bars[:, :4].tolist(), strict=True)
    ]
    path.write_bytes(gzip.compress("\n".join(["timestamp,high,low,close,volume", *rows]).encode(), mtime=0))
    return path


@pytest.mark.slow
def test_document_and_page(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    # Ten seeds of a month at four horizons take twenty seconds; two of ten days, and six pictures, still some.
    monkeypatch.setattr(training, "SEEDS", range(2))
    monkeypatch.setattr(training, "DAYS", 10)
    file = written(tmp_path / "made_1m_x.csv.gz", 7)
    words = ["--minutes", str(file), "--days", "3"]
    parser = argparse.ArgumentParser()
    ranking.configure(parser)
    args = parser.parse_args(words)
    args.json, args.out, args.report = True, None, tmp_path / "report"
    assert ranking.run(args, Settings()) == 0
    lines = capsys.readouterr().out.splitlines()
    document = json.loads(lines[0])
    assert len(lines) == 1
    assert [one["coin"] for one in document["ranking"]] == ["made", "made"]
    assert len(document["regimes"]) == 4
    assert "Reliability" in (tmp_path / "report" / "ranking.html").read_text()
    assert len(list((tmp_path / "report").glob("*.png"))) == 6
    args.days = 60
    with pytest.raises(TapewatchError, match="no day behind"):
        ranking.run(args, Settings())


def test_file_without_a_needed_column_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("timestamp,close\n2024-01-01 00:00:00,1.0\n")
    args = argparse.Namespace(minutes=[path], target=None, stop=None, days=1)
    with pytest.raises(TapewatchError, match="minute bars"):
        ranking.run(args, Settings())
