"""`evaluate forecast --model lstm` on made-up markets: figures beside the naive ones, and a verdict that fits them."""

import argparse

import numpy as np
import pytest

from detectors.forecast.lstm.training import Recipe
from detectors.forecast.series import Panel, Series
from evaluation import forecast_lstm

_DAY_NS = 86_400_000_000_000
_FIRST = 11_000


def _market(leaning: float) -> Panel:
    """Two instruments over three years whose next return is `leaning` of the last one, and noise."""
    found = {}
    for number, name in enumerate(("A", "B")):
        random = np.random.default_rng(number)
        moves = random.normal(0.0, 0.01, 900)
        for row in range(1, len(moves)):
            moves[row] += leaning * moves[row - 1]
        close = 50.0 * np.exp(np.cumsum(moves))
        at = (_FIRST + np.arange(len(close), dtype=np.int64)) * _DAY_NS
        found[name] = Series(name, at, close, close, close, close, random.lognormal(10.0, 1.0, len(close)))
    return Panel(found)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    monkeypatch.setattr(forecast_lstm, "RECIPE", Recipe(epochs=8, batch=32, units=16, learning_rate=3e-3))


@pytest.mark.slow
def test_skill_is_found_where_there_is_some_and_the_page_shows_it(tmp_path) -> None:
    document = forecast_lstm.judge(_market(0.8), "lstm", argparse.Namespace(seeds=1, first_year=2002))
    assert document["rmse_ratio"]["high"] < 1.0
    assert document["returns"]["rmse_ratio"]["mean"] < 0.9
    assert document["rmse"]["mean"] == pytest.approx(
        document["rmse_ratio"]["mean"] * document["persistence"]["rmse"], rel=1e-9
    )
    assert all("it has skill" in verdict for verdict in document["verdicts"])
    assert document["test_days"] * 2 == document["rows"] == sum(each["rows"] for each in document["years"].values())
    pytest.importorskip("matplotlib")
    assert "it has skill" in forecast_lstm.page(tmp_path, document).read_text()


def test_no_skill_is_claimed_on_a_random_walk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecast_lstm, "RECIPE", Recipe(epochs=2, batch=64, units=8))
    document = forecast_lstm.judge(_market(0.0), "lstm", argparse.Namespace(seeds=1, first_year=2002))
    assert document["returns"]["rmse_ratio"]["mean"] > 0.98
    assert not any("it has skill" in verdict for verdict in document["verdicts"])
