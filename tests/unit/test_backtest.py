"""`backtest`: the same accounts as `evaluate ddqn`, the rules on seconds, and a page with every policy."""

import json
from pathlib import Path

import numpy as np
import pytest

from detectors.ddqn.daily_account import CAPITAL, FIRST, account, sharpe
from detectors.ddqn.planted import planted
from detectors.ddqn.played import policy_player, run_sessions
from detectors.ddqn.sessions import Session
from evaluation.commands.backtest import document_of
from evaluation.stages import DailyStage, split_at
from evaluation.strategies import MARKET, of_seconds
from tapewatch.cli import main
from tests.unit.kept_policy import kept
from tests.unit.policies import bars_file, daily_follower, second_follower, swinging_market, trending

DAY = "2016-06-01"


def test_the_daily_figures_are_those_of_the_account(tmp_path: Path) -> None:
    one = split_at(bars_file(tmp_path / "X.csv", trending(900, 3)), DAY)
    stage = DailyStage([one], "")
    tested = stage.tested([daily_follower(), daily_follower(-1.0)])
    document = document_of(stage, [daily_follower(), daily_follower(-1.0)], tested, 1)
    held = account(one.test.close, np.ones(len(one.test), dtype=np.int64))
    found = document["instruments"]["X"]
    assert found["buy_and_hold"][0]["sharpe"] == pytest.approx(sharpe(held.returns))
    assert found["buy_and_hold"][0]["return"] == pytest.approx(held.money[-1] / CAPITAL - 1.0)
    assert found["buy_and_hold"][0]["trades"] == 1
    assert found["buy_and_hold"][0]["turnover"] == pytest.approx(1.0, abs=0.01)
    assert found["policy"][0]["return"] > 0.5 > 0.0 > found["policy"][1]["return"]
    assert document["mean"]["policy"]["sharpe"]["mean"] == pytest.approx(
        np.mean([each["sharpe"] for each in found["policy"]])
    )
    assert (tested[0].rules["sell_and_hold"].held[FIRST:] == -1.0).all()


def test_the_rules_on_seconds_hold_what_they_are_named_after() -> None:
    sessions: list[Session] = [planted(1), planted(2)]
    [one, _] = of_seconds(sessions, [run_sessions(sessions, MARKET, policy_player(second_follower(tuple("abcdef"))))])
    rules = one.rules
    assert set(rules["buy_and_hold"].held[1:-1]) == {1.0}
    assert set(rules["sell_and_hold"].held[1:-1]) == {-1.0}
    assert set(rules["trend_following"].held[:300]) == {0.0}
    assert rules["trend_following"].trades > 2
    both = rules["trend_following"].held[310:-1] * rules["mean_reversion"].held[310:-1]
    assert np.mean(both == -1.0) > 0.9
    assert all(line.held[-1] == 0.0 for line in rules.values())


@pytest.mark.slow
def test_a_rule_on_seconds_does_not_know_what_comes() -> None:
    whole, changed = planted(1), planted(1)
    half = len(changed.tape.ts) // 2
    changed.tape.values[half:, (0, 2)] += 500
    before = int(changed.tape.ts[half] // 1_000_000_000) - 1
    first, second = (of_seconds([each], [run_sessions([each], MARKET)])[0] for each in (whole, changed))
    for name in first.rules:
        assert (first.rules[name].held[:before] == second.rules[name].held[:before]).all()
    assert (first.price[:before] == second.price[:before]).all()
    assert (first.price[before + 3 :] != second.price[before + 3 :]).all()


@pytest.mark.slow
def test_a_page_shows_every_policy_on_daily_bars(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib", reason="the extra `plot` is not installed")
    files = [str(bars_file(tmp_path / f"<{seed}>.csv", trending(900, seed))) for seed in (1, 2)]
    policies = [kept(tmp_path / str(sign), daily_follower(sign)) for sign in (1.0, -1.0)]
    words = ["backtest", "--policy", *policies, "--daily", *files, "--from", DAY, "--report", str(tmp_path), "--json"]
    assert main(words) == 0
    said = capsys.readouterr()
    document = json.loads(said.out)
    assert len(document["instruments"]["<1>"]["policy"]) == 2
    assert document["difference_to_buy_and_hold"]["low"] <= document["difference_to_buy_and_hold"]["high"]
    page = (tmp_path / "backtest.html").read_text()
    assert page.count("data:image/png") == 2
    assert daily_follower().hash in page
    assert "<1>" not in page
    assert "may know these" in said.err


@pytest.mark.slow
def test_a_stored_market_is_tested_second_by_second(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    market = swinging_market(tmp_path / "market")
    policy = kept(tmp_path / "policy", second_follower())
    assert main(["backtest", "--policy", policy, "--market", str(market), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["mean"]["policy"]["return"] > 0.0
    assert document["mean"]["policy"]["turnover"] > 1.0 > document["mean"]["buy_and_hold"]["drawdown"]
    assert document["sharpe_of"] == "a day of minutes"


def test_no_policy_is_no_back_test(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(bars_file(tmp_path / "X.csv", trending(900, 1)))
    assert main(["backtest", "--policy", "hold", "--daily", file, "--from", DAY]) == 1
    assert "no policy" in capsys.readouterr().err
    # The shipped policy acts on seconds.
    assert main(["backtest", "--policy", "ddqn", "--daily", file, "--from", DAY]) == 1
    assert "for 'virtual', this is for 'daily'" in capsys.readouterr().err
