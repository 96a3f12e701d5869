"""`train ddqn` and `evaluate ddqn` from files to a policy in the registry, in a few steps."""

import json
from pathlib import Path

import numpy as np
import pytest

from detectors import registry
from detectors.commands.daily_files import TEST, TRAINING
from detectors.ddqn.daily_account import LONG, account, sharpe
from detectors.ddqn.daily_market import Bars
from tapewatch.cli import main
from tests.unit import virtual_policy

NO_TORCH = "the extra `train` is not installed"


def written(path: Path, start: str, rows: int, seed: int) -> Path:
    """A file of daily bars."""
    random = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(random.normal(0.0, 0.01, rows)))
    days = np.datetime64(start) + np.arange(rows)
    lines = [
        f"{day},{price},{price * 1.01},{price * 0.99},{price},1000.0" for day, price in zip(days, close, strict=True)
    ]
    path.write_text("\n".join(["Timestamp,Open,High,Low,Close,Volume", *lines]) + "\n")
    return path


def trained(tmp_path: Path, *more: str) -> list[str]:
    bars = tmp_path / "X.csv"
    if not bars.exists():
        written(bars, "2015-01-01", 700, seed=1)
    return ["--data", str(tmp_path / "data"), "train", "ddqn", "--daily", str(bars), *more, "--json"]


def test_a_policy_is_learnt_kept_and_read_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch", reason=NO_TORCH)
    curve, out = tmp_path / "curve.csv", tmp_path / "policy.safetensors"
    assert main(trained(tmp_path, "--steps", "4000", "--curve", str(curve), "--out", str(out))) == 0
    summary = json.loads(capsys.readouterr().out)
    known = registry.read(out.read_bytes())
    assert (known.detector, known.hash) == ("ddqn", summary["hash"])
    assert Path(summary["saved"]).read_bytes() == out.read_bytes()
    assert "--steps 4000 --seed 1" in known.markdown()
    assert len(curve.read_text().splitlines()) == 11


def test_a_resumed_training_gives_the_same_policy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch", reason=NO_TORCH)
    from dataclasses import replace

    from detectors.commands.daily_files import read_bars
    from detectors.ddqn import daily_training
    from detectors.ddqn.learner import DoubleDQN

    assert main(trained(tmp_path, "--steps", "4000", "--device", "cpu")) == 0
    whole = json.loads(capsys.readouterr().out)
    market = daily_training.market({"X.csv": read_bars(tmp_path / "X.csv")})
    learner = DoubleDQN(replace(daily_training.chosen(), seed=1, steps=4000), market, "cpu")
    learner.learn(until=2400)
    (tmp_path / "half").write_bytes(learner.checkpoint())
    assert main(trained(tmp_path, "--resume", str(tmp_path / "half"), "--device", "cpu")) == 0
    assert json.loads(capsys.readouterr().out)["hash"] == whole["hash"]


def regimes(rows: int, seed: int) -> Bars:
    """A market that rises or falls by half a percent a day, for 20 days on average."""
    random = np.random.default_rng(seed)
    side = np.where(np.cumsum(random.random(rows) < 1 / 20) % 2 == 0, 1.0, -1.0)
    close = 100.0 * np.exp(np.cumsum(0.005 * side + random.normal(0.0, 0.01, rows)))
    dates = np.datetime64("2010-01-01") + np.arange(rows)
    return Bars(dates, close, close * 1.005, close * 0.995, close, 1e5 + random.random(rows))


@pytest.mark.long
def test_a_pattern_that_is_there_is_learnt_by_the_chosen_recipe() -> None:
    # Some 8 s: that it finds nothing in a real market means little unless it finds what is planted.
    pytest.importorskip("torch", reason=NO_TORCH)
    from dataclasses import replace

    from detectors.ddqn.daily_training import chosen, decide, train

    policy = train({str(seed): regimes(1500, seed) for seed in range(12)}, replace(chosen(), steps=20_000))
    own, held = [], []
    for seed in range(50, 54):
        bars = regimes(900, seed)
        own.append(sharpe(account(bars.close, decide(policy, bars, 300), 300).returns[300:]))
        held.append(sharpe(account(bars.close, np.full(900, LONG), 300).returns[300:]))
    assert np.mean(own) > 2.0 + np.mean(held)


def test_too_few_days_are_refused_with_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch", reason=NO_TORCH)
    assert main(trained(tmp_path, "--before", "2015-06-01")) != 0
    assert "more than a year" in capsys.readouterr().err


@pytest.mark.long
def test_a_folder_is_evaluated_with_every_seed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # Some 8 s: its worker is a process of its own, which loads torch.
    pytest.importorskip("torch", reason=NO_TORCH)
    written(tmp_path / f"X{TRAINING}", "2016-01-01", 600, seed=1)
    written(tmp_path / f"X{TEST}", "2018-01-01", 100, seed=2)
    words = [
        "evaluate",
        "ddqn",
        "--daily",
        str(tmp_path),
        "--seeds",
        "2",
        "--steps",
        "3000",
        "--workers",
        "1",
        "--json",
    ]
    assert main(words) == 0
    document = json.loads(capsys.readouterr().out)
    assert len(document["instruments"]["X"]["policy"]["by_seed"]) == 2
    assert set(document["difference_to_buy_and_hold"]) == {"mean", "low", "high"}
    assert document["shuffled_future"]["low"] < 0.5


def test_without_torch_the_extra_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        import torch  # noqa: F401
    except ImportError:
        assert main(trained(tmp_path)) != 0
        assert "tapewatch[train]" in capsys.readouterr().err
    else:
        pytest.skip("torch is installed")


def test_a_policy_of_the_data_folder_is_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    policy, folder = virtual_policy.made(1), tmp_path / "models"
    folder.mkdir()
    (folder / f"{policy.hash}.safetensors").write_bytes(policy.encoded())
    (folder / "note.txt").write_text("no model")
    assert main(["--data", str(tmp_path), "models", "list", "--json"]) == 0
    listed = {row["hash"]: row for row in json.loads(capsys.readouterr().out)["models"]}
    assert listed[policy.hash]["places"] == ["trained"]
    assert listed[policy.hash]["detector"] == "ddqn"
    assert len(listed) == len(registry.shipped()) + 1
