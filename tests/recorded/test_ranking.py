"""The coin desk on the weeks of the minute files that its models have not seen."""

import os
from pathlib import Path

import pytest

from detectors.coin_features.batch import History
from detectors.commands import minute_files
from detectors.ranking import model as ranking_model
from detectors.regime import model as regime_model
from evaluation import ranking_figures as figures
from evaluation.ranking import DAYS

DATA = Path(os.environ.get("TAPEWATCH_TEST_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
FOLDER = DATA / "minute"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no minutes at {FOLDER}; set TAPEWATCH_TEST_DATA")


@pytest.mark.parametrize("file", ["btc_perp_1m_20211231_20220201.csv.gz", "6EH4_1m_202401.csv.gz"])
def test_probability_is_calibrated_within_five_hundredths_on_held_out_weeks(file: str) -> None:
    # A month of minutes through the desk, twice, and two thousand draws of days for each interval: some seconds.
    model, regimes = ranking_model.shipped(), regime_model.shipped()
    seen: History = minute_files.read(FOLDER / file)
    found = [
        figures.ranking(figures.judge(figures.lived(seen, asked, regimes, DAYS), model))
        for asked in (model.asked, figures.own_barriers(seen, model.horizon, DAYS))
    ]
    assert all(one["ece"]["mean"] <= 0.05 for one in found)
    # Asked for what this coin often reaches, it tells likely from unlikely minutes, and beats the base rate.
    assert found[1]["auc"]["low"] > 0.55
    assert found[1]["brier_less_base_rate"]["high"] < 0.0


def test_hidden_markov_model_tells_calm_hours_from_lively_ones_better_than_the_naive_rule() -> None:
    model, regimes = ranking_model.shipped(), regime_model.shipped()
    histories = minute_files.read_all(sorted(FOLDER.glob("*_1m_*.csv.gz")))
    coins = [figures.lived(seen, model.asked, regimes, DAYS) for seen in histories]
    for one in figures.regimes(coins, regimes.in_force)[:2]:
        hmm, naive = one["rules"]["hmm"], one["rules"]["naive"]
        assert one["hours"] == 1
        assert hmm["next_log_volatility"]["high"] < naive["next_log_volatility"]["low"]
        assert hmm["turns_a_day"] < naive["turns_a_day"] / 3.0
