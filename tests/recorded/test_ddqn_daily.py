"""The TDQN protocol on the published instruments: known Sharpe ratios come out, and features have no missing values."""

import os
from pathlib import Path

import numpy as np
import pytest

from detectors.commands.daily_files import Instrument, read_folder
from detectors.ddqn.daily_account import LONG, SHORT, account, averages_rule, fitted_averages, sharpe
from detectors.ddqn.daily_market import features

DATA = Path(os.environ.get("TAPEWATCH_TEST_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
FOLDER = DATA / "daily_tdqn"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no daily bars at {FOLDER}; set TAPEWATCH_TEST_DATA")


@pytest.fixture(scope="module")
def instruments() -> dict[str, Instrument]:
    """All instruments by name."""
    return {one.name: one for one in read_folder(FOLDER)}


@pytest.mark.parametrize(("name", "hold", "sell"), [("AAPL", 1.239, -1.593), ("GOOGL", 0.570, -0.369)])
def test_holding_has_the_published_sharpe_ratio(
    instruments: dict[str, Instrument], name: str, hold: float, sell: float
) -> None:
    close = instruments[name].test.close
    for side, known in ((LONG, hold), (SHORT, sell)):
        assert sharpe(account(close, np.full(len(close), side)).returns) == pytest.approx(known, abs=0.002)


@pytest.mark.parametrize(("trend", "known"), [(True, 1.178), (False, -0.609)])
def test_moving_averages_on_apple_have_the_published_sharpe_ratio(
    instruments: dict[str, Instrument], trend: bool, known: float
) -> None:
    windows = fitted_averages(instruments["AAPL"].training.close, trend)
    close = instruments["AAPL"].test.close
    assert sharpe(account(close, averages_rule(close, *windows, trend)).returns) == pytest.approx(known, abs=0.002)


def test_nothing_of_2018_is_learnt_from(instruments: dict[str, Instrument]) -> None:
    assert len(instruments) >= 12
    for one in instruments.values():
        assert one.training.dates[-1] < np.datetime64("2018-01-01") <= one.whole.dates[one.begins]
        assert len(one.whole) - one.begins == len(one.test)


def test_features_are_finite(instruments: dict[str, Instrument]) -> None:
    for one in instruments.values():
        assert np.isfinite(features(one.whole)).all()
