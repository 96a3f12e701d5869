"""Forecasts of recorded minutes: the stage, cut and restarted anywhere, gives the bits of the whole file at once."""

import os
from pathlib import Path

import pytest

from benchmarks.minute_parity import compared
from detectors.commands import minute_files
from tests.unit.minute_bars import untrained

DATA = Path(os.environ.get("TAPEWATCH_TEST_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
FILE = DATA / "minute" / "btc_perp_1m_20211231_20220201.csv.gz"
pytestmark = pytest.mark.skipif(not FILE.is_file(), reason=f"no minutes at {FILE}; set TAPEWATCH_TEST_DATA")


def test_streamed_minutes_are_forecast_as_the_file_is_bit_for_bit() -> None:
    # `python -m benchmarks.minute_parity` compares the whole file with a trained model of 128 units.
    series = minute_files.series(FILE)[20_000:22_000]
    found = compared(series, untrained(units=32), restarts=20)
    assert (found["forecasts"], found["differences"]) == (1950, 0)
    assert found["restarts"] > 10
