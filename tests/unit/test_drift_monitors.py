"""`evaluate drift`: shifts of scores are told, usual ones are not, and discoveries hold their rate."""

import argparse
import json
from pathlib import Path

import numpy as np
import pytest

from detectors import calibration, drift
from detectors.calibration import conformal_levels
from detectors.monitors import HOUR_S, Monitor, Reference
from evaluation import drift as command
from tapewatch.errors import TapewatchError
from tapewatch.settings import Settings
from tests.unit.stored_trades import stored, trades

RNG = np.random.default_rng(11)
USUAL = RNG.gamma(2.0, 1.0, 200_000)
REFERENCE = Reference(*drift.reference(USUAL), calibration.rounded(np.array(conformal_levels(USUAL))), len(USUAL))


def hour(monitor: Monitor, number: int, scale: float = 1.0, instruments: int = 10, seed: int = 1) -> None:
    """An hour of scores of some instruments."""
    rng = np.random.default_rng((seed, number))
    seconds = np.repeat(np.arange(HOUR_S) + number * HOUR_S, instruments)
    names = np.tile(np.array([f"I{place}.SIMX" for place in range(instruments)], dtype=object), HOUR_S)
    monitor.hour(number * HOUR_S, seconds, names, scale * rng.gamma(2.0, 1.0, len(seconds)))


def test_usual_scores_are_no_drift_and_move_nothing() -> None:
    monitor = Monitor(REFERENCE, 0.1)
    for number in range(6):
        hour(monitor, number)
    assert monitor.verdict == "none"
    assert [each.rows for each in monitor.hours] == [36_000] * 6
    assert monitor.moved == []
    assert monitor.tests == 360
    assert len(monitor.discoveries) <= 2


def test_a_shift_is_told_by_the_index_of_its_hour_and_by_the_minute_at_which_the_mean_moved() -> None:
    monitor = Monitor(REFERENCE, 0.1)
    for number in range(6):
        hour(monitor, number, 1.0 if number < 4 else 2.0)
    assert [each.stability > drift.STRONG for each in monitor.hours] == [False] * 4 + [True] * 2
    assert 4 * HOUR_S < monitor.moved[0] < 5 * HOUR_S + HOUR_S // 2


def test_a_partition_that_follows_is_not_compared_with_the_one_before() -> None:
    monitor = Monitor(REFERENCE, 0.1)
    for scale in (1.0, 2.0):
        monitor.begin()
        for number in range(3):
            hour(monitor, number, scale)
    assert monitor.moved == []
    assert [each.rows for each in monitor.hours] == [72_000] * 3


def test_a_block_far_beyond_every_usual_score_is_a_discovery_and_its_neighbour_is_none() -> None:
    monitor = Monitor(REFERENCE, 0.1)
    scores = np.full(1200, 2.0)
    scores[300] = 10.0 * USUAL.max()
    names = np.repeat(np.array(["STRANGE.SIMX", "USUAL.SIMX"], dtype=object), 600)
    monitor.hour(0, np.tile(np.arange(600), 2), names, scores)
    assert [(one.instrument, one.block) for one in monitor.discoveries] == [("STRANGE.SIMX", 0)]
    assert monitor.tests == 2


def arguments(market: Path, *words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    command.configure(parser)
    parser.add_argument("--report", type=Path)
    parser.set_defaults(json=True, out=None)
    return parser.parse_args(["--market", str(market), *words])


def test_command_scores_every_second_of_a_stored_market_and_warns_of_another_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    market = tmp_path / "market"
    market.mkdir()
    args = arguments(stored(market, trades({1400: 0.08})), "--warm-up", "0")
    assert command.run(args, Settings(data=str(tmp_path))) == 0
    told = capsys.readouterr()
    found = json.loads(told.out)
    assert found["feature_rows"] == 1500
    forest = found["detectors"]["isolation"]
    # A coin of even trades, one instrument without quotes, is not what the shipped models were made on.
    assert forest["verdict"] == "strong"
    assert sum(each["rows"] for each in forest["hours"]) == forest["rows"] > 600
    assert "warning: isolation: strong drift" in told.err
    assert "models promote" in told.err


def test_a_rate_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TapewatchError, match="between 0 and 1"):
        command.run(arguments(tmp_path, "--rate", "1.5"), Settings(data=str(tmp_path)))
