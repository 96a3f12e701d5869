"""Self-play: the champion acts, the challenger learns, and its card says from whom."""

import json
from pathlib import Path

import numpy as np
import pytest

from detectors import registry
from detectors.commands import second_files
from detectors.ddqn import virtual_training
from detectors.ddqn.daily_market import ACTIONS, INPUTS, DailyMarket
from detectors.ddqn.environment import Step
from detectors.ddqn.played import policy_player
from detectors.ddqn.seconds import joined
from detectors.ddqn.self_play import ASTRAY, named
from tapewatch.cli import main
from tapewatch.errors import TapewatchError
from tests.unit.kept_policy import kept
from tests.unit.policies import bars_file, daily_follower, second_follower, trending
from tests.unit.swinging_seconds import swinging

NO_TORCH = "the extra `train` is not installed"


def test_a_champion_of_another_environment_does_not_fit(tmp_path: Path) -> None:
    champion, other = kept(tmp_path / "1", daily_follower()), kept(tmp_path / "2", second_follower())
    assert named(Path(champion), "daily", INPUTS, ACTIONS).hash == daily_follower().hash
    with pytest.raises(TapewatchError, match="'trading'"):
        named(Path(other), "daily", INPUTS, ACTIONS)
    with pytest.raises(TapewatchError, match="no policy"):
        named(tmp_path / "3", "daily", INPUTS, ACTIONS)


def test_the_champion_acts_but_for_the_decisions_of_chance() -> None:
    pytest.importorskip("torch", reason=NO_TORCH)
    from detectors.ddqn.learner import DoubleDQN, Recipe
    from detectors.ddqn.self_play import challenging

    recipe = challenging(Recipe(steps=4_000, starts=4_001, hidden=(8, 8), n_step=3))
    assert (recipe.n_step, recipe.epsilon_end) == (1, ASTRAY)
    play = policy_player(daily_follower())
    learner = DoubleDQN(recipe, DailyMarket([trending(900, 1)], 4), "cpu", play)
    learner.learn()
    states, actions = learner.replay.states[4:4_000], learner.replay.actions[4:4_000]
    wanted = play(states, np.ones((len(states), 2), dtype=np.bool_))
    # A decision of chance is the champion's own one time in two.
    assert np.mean(actions != wanted) == pytest.approx(ASTRAY / 2.0, abs=0.025)


class Signs:
    """Action 1 earns 1 where the state is positive and costs 1 where it is not; action 0 is worth nothing."""

    lanes, inputs, actions = 8, 1, 2

    def reset(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        self.random = np.random.default_rng(seed)
        return self.draw(), np.ones((8, 2), dtype=np.bool_)

    def draw(self) -> np.ndarray:
        self.states = self.random.choice(np.array([-1.0, 1.0], dtype=np.float32), (8, 1))
        return self.states

    def step(self, actions: np.ndarray) -> Step:
        rewards = (actions * self.states[:, 0]).astype(np.float32)
        masks, ended = np.ones((8, 2), dtype=np.bool_), np.ones(8, dtype=np.bool_)
        states = self.draw()
        return Step(states, masks, rewards, ended, ~ended, states, masks)


def test_a_challenger_learns_what_its_champion_does_wrong() -> None:
    pytest.importorskip("torch", reason=NO_TORCH)
    from detectors.ddqn.learner import DoubleDQN, Recipe
    from detectors.ddqn.self_play import challenging

    recipe = challenging(Recipe(steps=1_600, starts=200, hidden=(8,), batch=32, learning_rate=0.01, seed=3))
    learner = DoubleDQN(recipe, Signs(), "cpu", lambda states, masks: (states[:, 0] < 0.0).astype(np.int64))
    learner.learn()
    states = np.array([[-1.0], [1.0]], dtype=np.float32)
    assert learner.act(states, np.ones((2, 2), dtype=np.bool_)).tolist() == [0, 1]


def test_training_with_a_champion_is_told_in_the_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch", reason=NO_TORCH)
    bars = bars_file(tmp_path / "X.csv", trending(900, 1))
    champion, out = kept(tmp_path / "champion", daily_follower()), tmp_path / "out"
    words = ["--data", str(tmp_path / "data"), "train", "ddqn", "--daily", str(bars), "--steps", "4000"]
    assert main([*words, "--champion", champion, "--out", str(out), "--json"]) == 0
    json.loads(capsys.readouterr().out)
    card = registry.read(out.read_bytes()).model.card
    assert card.recipe["champion"] == daily_follower().hash
    assert card.recipe["n_step"] == 1
    assert "--champion champion" in card.command


def test_a_champion_that_is_no_daily_policy_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch", reason=NO_TORCH)
    bars = bars_file(tmp_path / "X.csv", trending(900, 1))
    champion = kept(tmp_path / "champion", second_follower())
    assert main(["train", "ddqn", "--daily", str(bars), "--champion", champion]) == 1
    assert "no champion here" in capsys.readouterr().err


def test_a_challenger_of_the_engines_policy_sees_features_on_its_champions_scale(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch", reason=NO_TORCH)
    champion = tmp_path / "champion"
    champion.write_bytes(registry.shipped()["ddqn"])
    seconds, out = tmp_path / "seconds.parquet", tmp_path / "out"
    second_files.write(seconds, joined([swinging(seed, 120, virtual_training.FEATURES) for seed in range(2)]))
    words = ["train", "ddqn", "--market", str(seconds), "--embargo", "10", "--steps", "4400", "--out", str(out)]
    assert main(["--data", str(tmp_path / "data"), *words, "--champion", str(champion), "--json"]) == 0
    old, new = (registry.read(path.read_bytes()) for path in (champion, out))
    assert (new.model.arrays["center"] == old.model.arrays["center"]).all()
    assert new.model.card.recipe["champion"] == old.hash
    assert "--champion champion" in new.command
