"""Double DQN: its estimate, its replay, its masks, and that a checkpoint goes on as if nothing had stopped."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from detectors.ddqn.environment import Step
from detectors.ddqn.replay import Replay

NO_TORCH = "the extra `train` is not installed"


class Corridor:
    """Lanes of a corridor of five cells: going right earns 1 at the end; going left from the first cell is masked."""

    inputs, actions = 5, 2

    def __init__(self, lanes: int = 2) -> None:
        self.lanes, self.at, self.random = lanes, np.zeros(lanes, dtype=np.int64), np.random.default_rng(0)
        self.taken: list[tuple[int, int]] = []

    def reset(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        self.random = np.random.default_rng(seed)
        self.at = self.random.integers(0, 4, self.lanes)
        return self._seen()

    def step(self, actions: np.ndarray) -> Step:
        self.taken += list(zip(self.at.tolist(), actions.tolist(), strict=True))
        self.at = self.at + np.where(actions == 1, 1, -1)
        after, after_masks = self._seen()
        ended = self.at == 4
        self.at = np.where(ended, self.random.integers(0, 4, self.lanes), self.at)
        return Step(*self._seen(), ended.astype(np.float32), ended, np.zeros_like(ended), after, after_masks)

    def state(self) -> dict[str, Any]:
        state = self.random.bit_generator.state
        numbers = {name: str(value) for name, value in state["state"].items()}
        return {"at": self.at.tolist(), "random": {**state, "state": numbers}}

    def restore(self, state: dict[str, Any]) -> None:
        self.at = np.array(state["at"])
        numbers = {name: int(value) for name, value in state["random"]["state"].items()}
        self.random.bit_generator.state = state["random"] | {"state": numbers}

    def _seen(self) -> tuple[np.ndarray, np.ndarray]:
        return np.eye(5, dtype=np.float32)[self.at], np.column_stack([self.at > 0, np.ones(self.lanes, dtype=bool)])


def filled(rewards: list[float], ends: dict[int, str], n_step: int, capacity: int = 16) -> Any:
    """What is drawn from one lane's steps, by the number of the step; `ends` says how an episode ended there."""
    replay = Replay(capacity, 1, 1, 2, exponent=0.0)
    for number, reward in enumerate(rewards):
        state = np.array([[number]], dtype=np.float32)
        terminated, truncated = (np.array([ends.get(number) == how]) for how in ("terminated", "truncated"))
        masks = np.ones((1, 2), dtype=bool)
        step = Step(state, masks, np.array([reward], dtype=np.float32), terminated, truncated, state + 1, masks)
        replay.add(state, np.array([0]), step)
    batch = replay.draw(64, n_step, 0.5, 1.0, np.random.default_rng(1))
    return {int(state): number for number, state in enumerate(batch.states[:, 0])}, batch


def test_n_step_returns_discount_what_follows() -> None:
    at, batch = filled([1.0, 2.0, 4.0, 8.0], {}, n_step=2)
    assert batch.returns[at[0]] == 2.0  # 1 + 2 / 2
    assert batch.discounts[at[0]] == 0.25
    assert batch.next_states[at[0], 0] == 2.0


def test_the_newest_steps_look_as_far_ahead_as_there_is() -> None:
    at, batch = filled([1.0, 2.0, 4.0], {}, n_step=3)
    assert (batch.returns[at[2]], batch.discounts[at[2]]) == (4.0, 0.5)


def test_nothing_follows_a_terminated_episode() -> None:
    at, batch = filled([1.0, 2.0, 4.0], {1: "terminated"}, n_step=3)
    assert (batch.returns[at[0]], batch.discounts[at[0]]) == (2.0, 0.0)


def test_a_truncated_episode_is_worth_what_would_have_followed() -> None:
    at, batch = filled([1.0, 2.0, 4.0], {1: "truncated"}, n_step=3)
    assert (batch.returns[at[0]], batch.discounts[at[0]], batch.next_states[at[0], 0]) == (2.0, 0.25, 2.0)


def test_a_full_ring_forgets_the_oldest_and_never_looks_past_the_newest() -> None:
    at, batch = filled([1.0, 2.0, 4.0, 8.0, 16.0, 32.0], {}, n_step=4, capacity=4)
    assert sorted(at) == [2, 3, 4, 5]
    assert (batch.returns[at[5]], batch.discounts[at[5]]) == (32.0, 0.5)
    assert batch.returns[at[4]] == 32.0


def test_transitions_are_drawn_in_proportion_to_their_priority() -> None:
    replay = Replay(4, 1, 1, 2, exponent=1.0)
    masks = np.ones((1, 2), dtype=bool)
    for number in range(4):
        state, no = np.array([[number]], dtype=np.float32), np.array([False])
        replay.add(state, np.array([0]), Step(state, masks, np.zeros(1, dtype=np.float32), no, no, state, masks))
    replay.reprioritise(np.arange(4), np.array([0.0, 1.0, 2.0, 5.0], dtype=np.float32))
    batch = replay.draw(8000, 1, 0.9, 1.0, np.random.default_rng(0))
    assert np.bincount(batch.slots, minlength=4) / 8000 == pytest.approx([0.0, 0.125, 0.25, 0.625], abs=0.001)
    weights = {int(slot): float(weight) for slot, weight in zip(batch.slots, batch.weights, strict=True)}
    assert weights[1] / weights[3] == pytest.approx(5.0, rel=1e-4)


def test_the_double_estimate_differs_from_the_largest_value() -> None:
    torch = pytest.importorskip("torch", reason=NO_TORCH)
    from detectors.ddqn.learner import double_estimate

    online, target = torch.tensor([[1.0, 3.0, 2.0]]), torch.tensor([[5.0, 0.5, 9.0]])
    allowed = torch.ones((1, 3), dtype=torch.bool)
    assert double_estimate(online, target, allowed).tolist() == [0.5]
    assert target.max(dim=1).values.tolist() == [9.0]  # What DQN without the double estimate would take.
    assert double_estimate(online, target, torch.tensor([[True, False, True]])).tolist() == [9.0]


def test_folded_dueling_streams_give_the_same_values() -> None:
    torch = pytest.importorskip("torch", reason=NO_TORCH)
    from detectors.ddqn import learner as module

    recipe = module.Recipe(hidden=(8, 8), dueling=True)
    parameters = module.initial(5, 3, recipe, np.random.default_rng(3))
    states = torch.from_numpy(np.random.default_rng(4).normal(size=(50, 5)).astype(np.float32))
    plain = {name: torch.from_numpy(array) for name, array in module.folded(parameters).items()}
    assert "v" in parameters and "v" not in plain
    assert module.values(plain, states).numpy() == pytest.approx(module.values(parameters, states).numpy(), abs=1e-6)


def learnt(**changes: Any) -> Any:
    """A learner of the corridor."""
    pytest.importorskip("torch", reason=NO_TORCH)
    from detectors.ddqn.learner import DoubleDQN, Recipe

    recipe = Recipe(
        steps=3000, hidden=(16, 16), batch=32, capacity=1000, starts=100, every=2, updates=1, target_every=25,
        learning_rate=5e-3, gamma=0.9, epsilon_share=0.5, seed=1,
    )  # fmt: skip
    return DoubleDQN(replace(recipe, **changes), Corridor(), "cpu")


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, {"dueling": True, "n_step": 3}, {"priority": 0.0}], ids=str)
def test_the_way_along_a_corridor_is_learnt_with_its_values(changes: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch", reason=NO_TORCH)
    from detectors.ddqn.learner import values

    learner = learnt(**changes)
    learner.learn()
    found = values(learner.online, torch.eye(5)[:4]).detach().numpy()
    assert (found[1:, 1] > found[1:, 0]).all()
    assert found[:, 1] == pytest.approx([0.729, 0.81, 0.9, 1.0], abs=0.08)


def test_masked_actions_are_never_taken() -> None:
    learner = learnt(steps=400)
    learner.learn()
    assert len(learner.environment.taken) == 400
    assert (0, 0) not in learner.environment.taken


def test_a_seed_gives_the_same_network_and_another_seed_another() -> None:
    first, second, other = learnt(steps=400), learnt(steps=400), learnt(steps=400, seed=2)
    for learner in (first, second, other):
        learner.learn()
    assert first.checkpoint() == second.checkpoint() != other.checkpoint()


@pytest.mark.slow
@pytest.mark.parametrize("stop", [50, 600])
def test_a_resumed_learner_goes_on_bit_by_bit(stop: int) -> None:
    pytest.importorskip("torch", reason=NO_TORCH)
    from detectors.ddqn.learner import DoubleDQN

    whole, part = learnt(steps=1000, dueling=True, n_step=2), learnt(steps=1000, dueling=True, n_step=2)
    whole.learn()
    part.learn(until=stop)
    resumed = DoubleDQN.resume(part.checkpoint(), Corridor(), "cpu")
    resumed.learn()
    assert resumed.checkpoint() == whole.checkpoint()


def test_a_checkpoint_of_another_environment_is_refused() -> None:
    pytest.importorskip("torch", reason=NO_TORCH)
    from detectors.ddqn.learner import DoubleDQN

    learner = learnt(steps=200)
    learner.learn()
    with pytest.raises(ValueError, match="states"):
        DoubleDQN.resume(learner.checkpoint(), Corridor(lanes=3), "cpu")


class Forgetful:
    """A corridor whose state is not kept."""

    lanes, inputs, actions = 2, 5, 2

    def __init__(self) -> None:
        self._corridor = Corridor()
        self.reset, self.step = self._corridor.reset, self._corridor.step


def test_an_environment_that_keeps_no_state_is_learnt_in_but_not_resumed() -> None:
    pytest.importorskip("torch", reason=NO_TORCH)
    from detectors.ddqn.learner import DoubleDQN, Recipe

    learner = DoubleDQN(Recipe(steps=200, hidden=(8, 8), starts=50), Forgetful(), "cpu")
    learner.learn()
    with pytest.raises(TypeError, match="Forgetful keeps no state"):
        learner.checkpoint()
    with pytest.raises(TypeError, match="Forgetful keeps no state"):
        DoubleDQN.resume(learnt(steps=200).checkpoint(), Forgetful(), "cpu")


def test_curves_are_written_as_they_grow(tmp_path: Any) -> None:
    pytest.importorskip("torch", reason=NO_TORCH)
    from detectors.ddqn.learner import Curve

    learner = learnt(steps=400)
    learner.learn(report=Curve(tmp_path / "curve.csv"), each=100)
    lines = (tmp_path / "curve.csv").read_text().splitlines()
    assert lines[0] == "steps,updates,episodes,episode_return,loss,value,epsilon"
    assert [line.partition(",")[0] for line in lines[1:]] == ["100", "200", "300", "400"]
