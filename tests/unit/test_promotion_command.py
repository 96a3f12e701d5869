"""`evaluate promotion` from files to a report that says who played what, on daily bars and on a market of seconds."""

import json
from pathlib import Path

import pytest

from detectors.commands import second_files
from detectors.ddqn import promotion
from evaluation import stages
from tapewatch.cli import main
from tests.unit.kept_policy import kept
from tests.unit.policies import bars_file, daily_follower, engine_follower, second_follower, swinging_market, trending


def compare(tmp_path: Path, champion: str, challenger: str, *where: str) -> list[str]:
    players = ["--champion", champion, "--challenger", challenger]
    return ["--data", str(tmp_path / "data"), "evaluate", "promotion", *players, *where, "--json"]


@pytest.fixture
def daily(tmp_path: Path) -> list[str]:
    files = [str(bars_file(tmp_path / f"{seed}.csv", trending(1200, seed))) for seed in (1, 2)]
    return ["--daily", *files, "--from", "2016-06-01"]


def test_a_better_daily_policy_is_promoted_with_a_report_that_holds(
    tmp_path: Path, daily: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib", reason="the extra `plot` is not installed")
    old, new = (kept(tmp_path / str(sign), daily_follower(sign)) for sign in (-1.0, 1.0))
    assert main(compare(tmp_path, old, new, *daily, "--report", str(tmp_path / "report"))) == 0
    document = json.loads(capsys.readouterr().out)
    report = promotion.read((tmp_path / "report" / "promotion.json").read_bytes())
    assert document["decision"] == report.decision == "promote"
    assert report.data["instruments"] == ["1", "2"]
    assert len(report.data["sha256"]) == 64
    assert promotion.unfit(report, daily_follower(-1.0).hash, daily_follower().hash) == ""
    assert "wins its pairs" in (tmp_path / "report" / "promotion.html").read_text()


def test_the_worse_policy_is_refused(tmp_path: Path, daily: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    old, new = (kept(tmp_path / str(sign), daily_follower(sign)) for sign in (1.0, -1.0))
    assert main(compare(tmp_path, old, new, *daily)) == 0
    assert json.loads(capsys.readouterr().out)["decision"] == "refuse"


@pytest.mark.slow
def test_a_policy_plays_a_stored_market_second_by_second(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    market = swinging_market(tmp_path / "market")
    follower = kept(tmp_path / "policy", second_follower())
    assert main(compare(tmp_path, "hold", follower, "--market", str(market), "--slot", "20")) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["champion"] == {"policy": "hold", "result": 0.0, "worst_drawdown": 0.0, "mean_drawdown": 0.0}
    assert document["challenger"]["result"] > 0.0
    assert document["slot"] == "20 seconds"
    assert set(document["data"]["instruments"]) == {"AAA.SIMX", "BBB.SIMX"}


@pytest.mark.slow
def test_policies_of_the_engine_play_by_its_virtual_position(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Some seconds: the engine closes 1,200 seconds first.
    market = swinging_market(tmp_path / "market")
    old, new = (kept(tmp_path / str(sign), engine_follower(sign)) for sign in (-1.0, 1.0))
    assert main(compare(tmp_path, old, new, "--market", str(market), "--slot", "10")) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["environment"], document["decision"]) == ("virtual", "promote")
    assert document["challenger"]["result"] > 0.0 > document["champion"]["result"]
    # The same seconds from a file, back-tested.
    written = tmp_path / "seconds.parquet"
    second_files.write(written, stages.seconds_stage(market).seconds)
    assert main(["backtest", "--policy", new, old, "--market", str(written), "--json"]) == 0
    mean = json.loads(capsys.readouterr().out)["mean"]
    assert mean["trend_following"]["trades"] > 0
    assert mean["sell_and_hold"]["turnover"] == 0.0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--daily", "X.csv"], "--from is missing"),
        (["--daily", "X.csv", "--from", "no day"], "YYYY-MM-DD"),
        (["--daily", "X.csv", "--from", "2030-01-01"], "both sides"),
        (["--market", "nowhere"], "are for 'daily'"),
        (["--daily", "X.csv", "--from", "2017-01-01", "--slot", "0"], "--slot"),
        (["--daily", "X.csv", "--from", "2017-01-01", "--level", "2"], "chances between"),
    ],
)
def test_what_cannot_be_compared_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    file = str(bars_file(tmp_path / "X.csv", trending(900, 1)))
    policy = kept(tmp_path / "policy", daily_follower())
    words = [file if word == "X.csv" else word for word in words]
    assert main(compare(tmp_path, policy, policy, *words)) == 1
    assert said in capsys.readouterr().err


def test_holding_is_no_challenger_and_a_model_of_clusters_no_policy(
    tmp_path: Path, daily: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    policy = kept(tmp_path / "policy", daily_follower())
    assert main(compare(tmp_path, policy, "hold", *daily)) == 1
    assert "cannot be a challenger" in capsys.readouterr().err
    assert main(compare(tmp_path, policy, "kmeans", *daily)) == 1
    assert "not a policy" in capsys.readouterr().err


def test_a_policy_of_a_feature_that_is_not_there_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    market = swinging_market(tmp_path / "market", 200)
    policy = kept(tmp_path / "policy", second_follower(("moon_phase",)))
    assert main(compare(tmp_path, "hold", policy, "--market", str(market))) == 1
    assert "moon_phase" in capsys.readouterr().err
