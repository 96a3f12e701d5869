"""Learning second by second: the environment keeps its contract, no row knows what follows it, splits keep apart."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detectors import registry
from detectors.commands import second_files
from detectors.ddqn import virtual, virtual_training
from detectors.ddqn.environment import ResumableEnvironment
from detectors.ddqn.lanes import BUY, HOLD, SELL
from detectors.ddqn.seconds import Seconds, joined, session_of
from detectors.ddqn.virtual_training import Rules, VirtualMarket
from tapewatch.cli import main
from tests.unit.swinging_seconds import COST, swinging

NO_TORCH = "the extra `train` is not installed"


def market(lanes: int = 3, **rules: Any) -> VirtualMarket:
    seconds = joined([swinging(seed) for seed in range(3)])
    return VirtualMarket(seconds, *seconds.scaling(), lanes, Rules(**rules))


def test_rewards_add_up_to_the_gain_of_an_episode() -> None:
    env = market(wait_s=0.0, starts="opening", shorting="all")
    rng = np.random.default_rng(0)
    _, masks = env.reset(0)
    earned = np.zeros(3)
    while not env.finished:
        step = env.step(np.where(masks, rng.random(masks.shape), -1.0).argmax(axis=1))
        masks = step.masks
        earned += step.rewards
    gains = [1000.0 * episode.gain for episode in env.finished]
    assert earned == pytest.approx(gains, rel=1e-4, abs=1e-3)
    assert all(episode.orders > 0 and episode.rows == 299 for episode in env.finished)


def test_a_session_without_hours_is_cut_off_and_one_with_hours_terminates_flat() -> None:
    plain = swinging(1, 50)
    for seconds, ends in ((plain, "truncated"), (plain._replace(has_hours=np.array([True])), "terminated")):
        env = VirtualMarket(seconds, *seconds.scaling(), 1, Rules(starts="opening"))
        env.reset(0)
        step = env.step(np.array([BUY]))
        while not (step.terminated | step.truncated)[0]:
            step = env.step(np.array([HOLD]))
        assert getattr(step, ends)[0]
        assert step.next_states[0, 2] == 0.0
        assert env.finished[0].orders == 1


def test_short_sales_are_open_on_the_sessions_that_have_them() -> None:
    env = market(shorting="half", starts="opening")
    _, masks = env.reset(0)
    assert masks[:, SELL].tolist() == [False, True, False]


def test_a_state_that_was_kept_goes_on_with_the_same_bits() -> None:
    one, two = market(episode_s=40, shorting="half"), market(episode_s=40, shorting="half")
    assert isinstance(one, ResumableEnvironment)
    one.reset(5)
    two.reset(6)
    actions = np.array([BUY, HOLD, SELL])
    for _ in range(30):
        one.step(actions)
    two.restore(json.loads(json.dumps(one.state())))
    for _ in range(60):
        a, b = one.step(actions), two.step(actions)
        assert a.states.tobytes() == b.states.tobytes() and a.rewards.tobytes() == b.rewards.tobytes()


@pytest.mark.parametrize("row", [5, 40, 200])
def test_what_comes_later_changes_nothing_seen_before(row: int) -> None:
    plain = swinging(3)
    features, quotes = plain.features.copy(), plain.quotes.copy()
    features[row + 1 :] = 9.0
    quotes[row + 1 :] *= 1.1
    seen = []
    for seconds in (plain, plain._replace(features=features, quotes=quotes)):
        env = VirtualMarket(seconds, *plain.scaling(), 1, Rules(wait_s=0.0, starts="opening"))
        rng = np.random.default_rng(row)
        states, masks = env.reset(0)
        trail = [states]
        for _ in range(row):
            step = env.step(np.where(masks, rng.random(masks.shape), -1.0).argmax(axis=1))
            masks = step.masks
            trail += [step.next_states, step.rewards]
        seen.append(b"".join(part.tobytes() for part in trail))
    assert seen[0] == seen[1]


def test_the_newer_part_is_an_embargo_away_from_the_older_one() -> None:
    seconds = joined([swinging(1), swinging(2, 200)])
    older, newer = seconds.split(0.3, 25)
    for number in range(2):
        gap = newer.second[newer.first[number]] - older.second[older.last[number]]
        assert gap == 26
    assert len(newer.second) == 90 + 60
    with pytest.raises(ValueError, match="fewer than two seconds"):
        seconds.split(0.3, 1000)


def test_a_gap_makes_a_session_wait_again() -> None:
    second = np.concatenate([np.arange(100), np.arange(110, 150)])
    quotes, nothing = np.full((140, 4), 10.0), np.zeros(140)
    found = session_of(
        "A.B", ("x",), np.zeros((140, 1), np.float32), second, quotes, COST, (nothing, nothing), warm_s=20
    )
    assert np.flatnonzero(found.tradable).tolist() == [*range(20, 100), *range(120, 140)]


def test_seconds_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    seconds = joined([swinging(1), swinging(2, 50)])
    second_files.write(tmp_path / "s.parquet", seconds)
    found = second_files.read(tmp_path / "s.parquet")
    assert (found.names, found.instruments) == (seconds.names, seconds.instruments)
    for name in Seconds._fields[2:]:
        np.testing.assert_array_equal(getattr(found, name), getattr(seconds, name))


def test_simple_rules_do_what_their_names_say() -> None:
    masks = np.ones((3, 5), dtype=np.bool_)
    states = np.zeros((3, 2 + len(virtual.PRIVATE)), dtype=np.float32)
    states[:, 2 + virtual.PRIVATE.index("trend")] = [1.0, 0.0, -1.0]
    assert virtual_training.RULES["hold"](states, masks).tolist() == [BUY, BUY, BUY]
    assert virtual_training.RULES["momentum"](states, masks).tolist() == [BUY, HOLD, HOLD]
    assert virtual_training.RULES["mean_reversion"](states, masks).tolist() == [HOLD, HOLD, BUY]
    states[:, 2 + virtual.PRIVATE.index("position")] = 1.0
    assert virtual_training.RULES["momentum"](states, masks).tolist() == [HOLD, SELL, SELL]


def test_an_interval_holds_its_mean() -> None:
    found = virtual_training.interval([np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0])])
    assert found["mean"] == 2.5
    assert 1.0 <= found["low"] < 2.5 < found["high"] <= 4.0


@pytest.mark.slow
@pytest.mark.parametrize("shuffled", [False, True])
def test_a_pattern_is_learnt_and_a_shuffled_future_shows_no_skill(shuffled: bool) -> None:
    """Some seconds: a policy has to be learnt."""
    pytest.importorskip("torch", reason=NO_TORCH)
    from detectors.ddqn.learner import DoubleDQN, Recipe
    from detectors.ddqn.model import Card

    make = [swinging(seed, shuffled=shuffled) for seed in range(8)]
    seconds = joined(make)
    scaling = seconds.scaling()
    recipe = Recipe(
        steps=12_000, hidden=(16, 16), gamma=0.9, n_step=3, batch=64, every=1, updates=1, target_every=50, starts=1000,
        learning_rate=3e-3, seed=1,
    )  # fmt: skip
    rules = Rules(wait_s=0.0, episode_s=100)
    learner = DoubleDQN(recipe, VirtualMarket(seconds, *scaling, 16, rules), "cpu")
    learner.learn()
    policy = virtual_training.policy_of(learner, seconds.names, scaling, Card())
    unseen = joined([swinging(seed, shuffled=shuffled) for seed in range(50, 58)])
    decide = virtual_training.decides(policy)
    episodes = virtual_training.played(unseen, policy, decide, replace(rules, episode_s=0, starts="opening"))
    gain = float(np.mean([episode.gain for episode in episodes]))
    # A swing is worth 1 % and costs 0.03 %: some seven of them are in a session.
    assert gain < 0.005 if shuffled else gain > 0.04


def test_the_command_learns_from_a_file_and_resumes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch", reason=NO_TORCH)
    path, kept = tmp_path / "seconds.parquet", tmp_path / "learner.safetensors"
    second_files.write(path, joined([swinging(seed, 120, virtual_training.FEATURES) for seed in range(2)]))
    words = ["--data", str(tmp_path / "data"), "train", "ddqn", "--market", str(path), "--embargo", "10", "--json"]
    curve = ["--steps", "4400", "--curve", str(tmp_path / "curve.csv"), "--checkpoint", str(kept)]
    assert main([*words, *curve]) == 0
    first = json.loads(capsys.readouterr().out)
    assert main([*words, "--resume", str(kept)]) == 0
    again = json.loads(capsys.readouterr().out)
    assert first["hash"] == again["hash"]
    known = registry.read(Path(first["saved"]).read_bytes())
    assert "held out: policy less hold, gain" in known.markdown()
    assert known.model.described.environment == virtual.ENVIRONMENT
