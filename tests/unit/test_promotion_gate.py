"""`models promote` of a policy: with a report of just these two, or by force; other models go as before."""

import argparse
from pathlib import Path

import numpy as np
import pytest

from detectors import registry
from detectors.ddqn.promotion import NOBODY, Curve, compared
from streams.commands.promoting import admitted
from tapewatch.cli import main
from tapewatch.errors import TapewatchError
from tests.unit.policies import daily_follower

POLICY = daily_follower()
DATA = POLICY.encoded()


def asked(report: Path | None = None, force: bool = False, shadow: bool = False) -> argparse.Namespace:
    return argparse.Namespace(report_file=report, force=force, shadow=shadow)


def written(path: Path, champion: str, challenger: str, share: float = 0.8) -> Path:
    """A report of a challenger that wins this share of 300 pairs."""
    random = np.random.default_rng(1)
    gains = np.where(random.random(300) < share, 0.0001, -0.0001)
    ts = np.arange(300)
    report = compared("daily", (champion, [Curve(ts, np.zeros(300))]), (challenger, [Curve(ts, gains)]), 1)
    path.write_bytes(report.encoded())
    return path


def test_a_report_of_these_two_lets_the_challenger_in_and_goes_into_the_audit_log(tmp_path: Path) -> None:
    report = written(tmp_path / "r.json", "0123456789abcdef", POLICY.hash)
    details = admitted(asked(report), DATA, {"ddqn": "0123456789abcdef"})
    assert details["champion"] == "0123456789abcdef"
    assert len(details["report"]) == 16
    assert details["p_value"] <= 0.025


def test_the_first_policy_is_compared_with_holding(tmp_path: Path) -> None:
    assert admitted(asked(written(tmp_path / "r.json", NOBODY, POLICY.hash)), DATA, {})["champion"] == NOBODY


@pytest.mark.parametrize(
    ("champion", "challenger", "share", "said"),
    [
        (NOBODY, "feedfeedfeedfeed", 0.8, "of the challenger feedfeedfeedfeed"),
        ("feedfeedfeedfeed", POLICY.hash, 0.8, "hold is in force"),
        (NOBODY, POLICY.hash, 0.4, "'refuse'"),
        (NOBODY, POLICY.hash, 0.53, "'undecided'"),
    ],
)
def test_a_report_of_others_or_without_promotion_does_not(
    tmp_path: Path, champion: str, challenger: str, share: float, said: str
) -> None:
    with pytest.raises(TapewatchError, match=said):
        admitted(asked(written(tmp_path / "r.json", champion, challenger, share)), DATA, {})


def test_a_changed_report_is_none(tmp_path: Path) -> None:
    path = written(tmp_path / "r.json", NOBODY, POLICY.hash, 0.4)
    path.write_bytes(path.read_bytes().replace(b'"refuse"', b'"promote"'))
    with pytest.raises(TapewatchError, match="does not follow from the pairs"):
        admitted(asked(path), DATA, {})


def test_without_a_report_the_command_that_makes_one_is_named() -> None:
    with pytest.raises(TapewatchError) as caught:
        admitted(asked(), DATA, {"ddqn": "0123456789abcdef"})
    assert f"--champion 0123456789abcdef --challenger {POLICY.hash}" in caught.value.hint


def test_force_and_shadow_are_told_to_the_audit_log() -> None:
    assert admitted(asked(force=True), DATA, {}) == {"forced": True}
    assert admitted(asked(shadow=True), DATA, {}) == {"shadow": True}


def test_other_models_need_nothing_and_take_none_of_it() -> None:
    data = registry.shipped()["kmeans"]
    assert admitted(asked(), data, {}) == {}
    with pytest.raises(TapewatchError, match="for policies"):
        admitted(asked(force=True), data, {})


def test_force_without_a_reason_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["models", "promote", "4f2a9c", "--force"])
    assert "--why" in capsys.readouterr().err
