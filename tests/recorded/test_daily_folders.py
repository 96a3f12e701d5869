"""The recorded folders of daily bars: every layout among them is read whole."""

import os
from pathlib import Path

import numpy as np
import pytest

from detectors.commands.bar_folders import read_bars

DATA = Path(os.environ.get("TAPEWATCH_TEST_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"no recorded data at {DATA}; set TAPEWATCH_TEST_DATA")

ROWS = {
    "daily_us": {"AAPL": 2768, "AMZN": 2768, "GOOGL": 2768, "META": 2768, "MSFT": 2768},
    "daily_cn": {"sh000001": 8012, "sh000300": 4558, "sz399006_gbk": 2521},
    "daily_kr": {"v1_000660": 5299, "v1_005930": 8826, "v1_kospi": 600, "v2_005930": 976, "v3_005930": 986},
    "daily_tw": {
        "0050.TW_close_2009_2025": 4144,
        "2330.TW_close_2000_2025": 6450,
        "2330.TW_ohlcv_2016_2019": 734,
        "2330.TW_ohlcv_2021_2022": 401,
    },
    "daily_tdqn": {"AAPL": 2012, "BABA": 1330, "GOOGL": 2012, "SIE.DE": 2024, "7203.T": 1981},
}


@pytest.mark.parametrize("folder", sorted(ROWS))
def test_folder_is_read_whole(folder: str) -> None:
    panel, strange = read_bars(DATA / folder)
    assert strange == []
    assert {name: len(panel.series[name]) for name in ROWS[folder]} == ROWS[folder]
    for bars in panel.series.values():
        assert np.all(np.diff(bars.at) > 0)
        assert np.all(bars.close > 0.0)
        assert np.all(np.isnan(bars.high) | (bars.high >= bars.low))
