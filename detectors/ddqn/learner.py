"""Double DQN (van Hasselt et al. 2016) from top to bottom: network, double estimate, exploration, updates, checkpoints.

Options: dueling streams (Wang et al. 2016), n-step returns, prioritised replay (Schaul et al. 2016). torch is in the
`train` extra: import this module only where something is trained.
"""

import csv
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from safetensors.numpy import load, save

from detectors.ddqn.environment import F4, I8, Bools, Environment, ResumableEnvironment
from detectors.ddqn.replay import Batch, Replay

Parameters = dict[str, Any]
"""Tensors by name: w1, b1, ... of the hidden layers, then w, b of the values; dueling has v, vb for the state's."""

_RECENT = 100
"""Episodes over which the return of the curve is averaged."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to learn; steps count decisions of single lanes.

    hidden : widths of the hidden layers; dueling : separate streams of state value and advantages
    gamma, n_step : discount, and rewards taken before the value of what follows
    learning_rate, final_share : at the first step, and the share of it at the last one (linear)
    batch, capacity, starts : transitions a batch, kept, and lived through before the first update
    every, updates : decisions of all lanes between learning, and the batches learnt from then
    target_every : updates between copies into the target network
    epsilon_end, epsilon_share : of random decisions at last, from 1, reached after this share of steps
    priority, beta : exponents of priorities (0 draws uniformly) and of the weights that undo them, beta rising to 1
    clip : largest norm of a gradient; decay : of weights; adam_epsilon : added to Adam's divisor
    seed : of everything drawn
    """

    steps: int = 100_000
    hidden: tuple[int, ...] = (128, 128)
    dueling: bool = False
    gamma: float = 0.99
    n_step: int = 1
    learning_rate: float = 1e-3
    final_share: float = 0.0
    batch: int = 64
    capacity: int = 100_000
    starts: int = 1_000
    every: int = 4
    updates: int = 2
    target_every: int = 250
    epsilon_end: float = 0.04
    epsilon_share: float = 0.2
    priority: float = 0.6
    beta: float = 0.4
    clip: float = 10.0
    decay: float = 0.0
    adam_epsilon: float = 1.5e-4
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Progress:
    """A point of the learning curve.

    steps, updates : done; episodes : ended; episode_return : mean of the last 100 (NaN before the first)
    loss, value : of the last batch, and the mean value of its decisions; epsilon : share of random decisions
    """

    steps: int
    updates: int
    episodes: int
    episode_return: float
    loss: float
    value: float
    epsilon: float


def initial(inputs: int, actions: int, recipe: Recipe, random: np.random.Generator) -> Parameters:
    """Weights drawn uniformly within 1 / sqrt(inputs of the layer), biases of zero."""
    widths = (inputs, *recipe.hidden)
    shapes = {f"w{n}": (widths[n], widths[n - 1]) for n in range(1, len(widths))} | {"w": (actions, widths[-1])}
    if recipe.dueling:
        shapes["v"] = (1, widths[-1])
    found: Parameters = {}
    for name, shape in shapes.items():
        drawn = random.uniform(-1.0, 1.0, shape) / np.sqrt(shape[1])
        found[name] = torch.from_numpy(drawn.astype(np.float32))
        found[name.replace("w", "b") if name != "v" else "vb"] = torch.zeros(shape[0])
    return found


def values(parameters: Mapping[str, Any], states: Any) -> Any:
    """Q of every action, [batch, actions]. states : tensor [batch, inputs]"""
    layer = states
    for number in range(1, len(parameters)):
        if f"w{number}" not in parameters:
            break
        layer = torch.relu(torch.nn.functional.linear(layer, parameters[f"w{number}"], parameters[f"b{number}"]))
    found = torch.nn.functional.linear(layer, parameters["w"], parameters["b"])
    if "v" not in parameters:
        return found
    state_value = torch.nn.functional.linear(layer, parameters["v"], parameters["vb"])
    return state_value + found - found.mean(dim=1, keepdim=True)


def double_estimate(online: Any, target: Any, masks: Any) -> Any:
    """The value of what follows, [batch]: the online network chooses among what is allowed, the target one values it.

    online, target : [batch, actions], values of the next states; masks : bool[batch, actions]
    """
    choice = online.masked_fill(~masks, -torch.inf).argmax(dim=1, keepdim=True)
    return target.gather(1, choice).squeeze(1)


def greedy(q: F4, masks: Bools) -> I8:
    """The allowed action of the highest value, the lowest number among equals; int64[rows]."""
    found: I8 = np.where(masks, q, -np.inf).argmax(axis=1)
    return found


def folded(parameters: Mapping[str, Any]) -> dict[str, F4]:
    """The same network as plain layers: with one linear layer above both, the dueling streams are one matrix."""
    arrays = {name: value.detach().cpu().numpy().astype(np.float64) for name, value in parameters.items()}
    if "v" in arrays:
        arrays["w"] = arrays["w"] - arrays["w"].mean(axis=0) + arrays.pop("v")
        arrays["b"] = arrays["b"] - arrays["b"].mean() + arrays.pop("vb")
    return {name: np.ascontiguousarray(value, dtype=np.float32) for name, value in arrays.items()}


class DoubleDQN:
    """A learner in its environment.

    device : `cpu` or `cuda`; by default a GPU where there is one
    behaviour : who acts, but for the decisions of chance; by default the online network itself
    """

    def __init__(
        self,
        recipe: Recipe,
        environment: Environment,
        device: str | None = None,
        behaviour: Callable[[F4, Bools], I8] | None = None,
    ):
        self.behaviour = behaviour or self.act
        torch.use_deterministic_algorithms(True)
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.recipe, self.environment = recipe, environment
        self.random = np.random.default_rng(recipe.seed)
        drawn = initial(environment.inputs, environment.actions, recipe, self.random)
        self.online = {name: value.to(self.device, copy=True).requires_grad_() for name, value in drawn.items()}
        self.target = {name: value.to(self.device, copy=True) for name, value in drawn.items()}
        self.optimiser = torch.optim.AdamW(
            list(self.online.values()), lr=recipe.learning_rate, weight_decay=recipe.decay, eps=recipe.adam_epsilon
        )
        self.replay = Replay(
            recipe.capacity, environment.lanes, environment.inputs, environment.actions, recipe.priority
        )
        self.steps = self.updates = self.episodes = 0
        self.loss = self.value = float("nan")
        self.running = np.zeros(environment.lanes)
        self.recent: deque[float] = deque(maxlen=_RECENT)
        self.states, self.masks = environment.reset(recipe.seed)

    def learn(
        self, until: int | None = None, report: Callable[[Progress], None] | None = None, each: int = 5_000
    ) -> None:
        """Live and learn up to `until` steps, the recipe's by default; `report` is told every `each` steps."""
        recipe, lanes = self.recipe, self.environment.lanes
        end = min(recipe.steps if until is None else until, recipe.steps)
        while self.steps < end:
            actions = self._explore()
            step = self.environment.step(actions)
            self.replay.add(self.states, actions, step)
            self.states, self.masks = step.states, step.masks
            self._account(step.rewards, step.terminated | step.truncated)
            self.steps += lanes
            if self.steps >= recipe.starts and self.replay.added % recipe.every == 0:
                for _ in range(recipe.updates):
                    self._update()
            if report is not None and self.steps // each != (self.steps - lanes) // each:
                report(self.progress())

    def act(self, states: F4, masks: Bools) -> I8:
        """What the online network holds best, int64[rows]."""
        with torch.no_grad():
            q: F4 = values(self.online, torch.from_numpy(states).to(self.device)).cpu().numpy()
        return greedy(q, masks)

    def progress(self) -> Progress:
        """Where learning stands."""
        mean = float(np.mean(self.recent)) if self.recent else float("nan")
        return Progress(self.steps, self.updates, self.episodes, mean, self.loss, self.value, self.epsilon)

    @property
    def epsilon(self) -> float:
        """Share of random decisions now: from 1, linearly, to the recipe's end."""
        done = self.steps / max(self.recipe.steps * self.recipe.epsilon_share, 1.0)
        return max(self.recipe.epsilon_end, 1.0 - done * (1.0 - self.recipe.epsilon_end))

    def _explore(self) -> I8:
        """Epsilon-greedy among what is allowed."""
        lanes = self.environment.lanes
        chance, keys = self.random.random(lanes), self.random.random(self.masks.shape)
        drawn: I8 = np.where(self.masks, keys, -1.0).argmax(axis=1)
        astray = chance < self.epsilon
        if astray.all():
            return drawn
        return np.where(astray, drawn, self.behaviour(self.states, self.masks))

    def _account(self, rewards: F4, ended: Bools) -> None:
        self.running += rewards
        for lane in np.flatnonzero(ended):
            self.recent.append(float(self.running[lane]))
            self.episodes += 1
        self.running[ended] = 0.0

    def _update(self) -> None:
        """One batch: n-step double targets, weighted Huber loss, clipped gradient, new priorities."""
        recipe, done = self.recipe, self.steps / self.recipe.steps
        beta = recipe.beta + (1.0 - recipe.beta) * min(done, 1.0)
        batch = self.replay.draw(recipe.batch, recipe.n_step, recipe.gamma, beta, self.random)
        given = Batch(*(torch.from_numpy(array).to(self.device) for array in batch))
        with torch.no_grad():
            following = double_estimate(
                values(self.online, given.next_states), values(self.target, given.next_states), given.next_masks
            )
            wanted = given.returns + given.discounts * following
        chosen = values(self.online, given.states).gather(1, given.actions[:, None]).squeeze(1)
        losses = torch.nn.functional.smooth_l1_loss(chosen, wanted, reduction="none")
        loss = (given.weights * losses).mean()
        self.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(list(self.online.values()), recipe.clip)
        rate = recipe.learning_rate * max(1.0 - (1.0 - recipe.final_share) * done, recipe.final_share)
        self.optimiser.param_groups[0]["lr"] = rate
        self.optimiser.step()
        self.replay.reprioritise(batch.slots, (wanted - chosen).detach().cpu().numpy())
        self.loss, self.value = float(loss.detach()), float(chosen.detach().mean())
        self.updates += 1
        if self.updates % recipe.target_every == 0:
            self._match_target()

    def _match_target(self) -> None:
        with torch.no_grad():
            for name, value in self.target.items():
                value.copy_(self.online[name])

    def checkpoint(self) -> bytes:
        """All that learning goes on from, as safetensors: networks, optimiser, replay, chance, the environment.

        TypeError where the environment keeps no state.
        """
        world = resumable(self.environment)
        arrays = {f"replay.{name}": array for name, array in self.replay.arrays().items()}
        for number, (name, value) in enumerate(self.online.items()):
            arrays[f"online.{name}"] = value.detach().cpu().numpy()
            arrays[f"target.{name}"] = self.target[name].cpu().numpy()
            for key, moment in self.optimiser.state_dict()["state"].get(number, {}).items():
                arrays[f"optimiser.{number}.{key}"] = moment.cpu().numpy()
        arrays |= {"states": self.states, "masks": self.masks, "running": self.running, "recent": np.array(self.recent)}
        kept = {name: getattr(self, name) for name in ("steps", "updates", "episodes", "loss", "value")}
        kept |= {"added": self.replay.added, "largest": self.replay.largest, "recipe": asdict(self.recipe)}
        kept |= {"random": jsonable(self.random), "environment": world.state()}
        text = msgspec.json.encode(kept).decode()
        return save({name: np.ascontiguousarray(array) for name, array in arrays.items()}, {"learner": text})

    @classmethod
    def resume(
        cls,
        data: bytes,
        environment: Environment,
        device: str | None = None,
        behaviour: Callable[[F4, Bools], I8] | None = None,
    ) -> "DoubleDQN":
        """A learner that goes on from a checkpoint as if it had never stopped.

        ValueError where the checkpoint does not fit; TypeError where the environment keeps no state.
        """
        world = resumable(environment)
        header = msgspec.json.decode(data[8 : 8 + int.from_bytes(data[:8], "little")])
        kept, arrays = msgspec.json.decode(header["__metadata__"]["learner"]), load(data)
        recipe = Recipe(**(kept["recipe"] | {"hidden": tuple(kept["recipe"]["hidden"])}))
        learner = cls(recipe, environment, device, behaviour)
        if arrays["states"].shape != learner.states.shape:
            raise ValueError(f"the checkpoint is of {arrays['states'].shape} states, not {learner.states.shape}")
        learner._fill(arrays, kept)
        world.restore(kept["environment"])
        return learner

    def _fill(self, arrays: dict[str, Any], kept: dict[str, Any]) -> None:
        moments: dict[int, dict[str, Any]] = {}
        for number, name in enumerate(self.online):
            with torch.no_grad():
                self.online[name].copy_(torch.from_numpy(arrays[f"online.{name}"]))
                self.target[name].copy_(torch.from_numpy(arrays[f"target.{name}"]))
            prefix = f"optimiser.{number}."
            found = {k.removeprefix(prefix): torch.from_numpy(v) for k, v in arrays.items() if k.startswith(prefix)}
            if found:
                moments[number] = found
        self.optimiser.load_state_dict({**self.optimiser.state_dict(), "state": moments})
        for name, array in self.replay.arrays().items():
            array[...] = arrays[f"replay.{name}"]
        self.replay.added, self.replay.largest = kept["added"], kept["largest"]
        self.states, self.masks, self.running = arrays["states"], arrays["masks"], arrays["running"]
        self.recent.extend(arrays["recent"].tolist())
        for name in ("steps", "updates", "episodes", "loss", "value"):
            # JSON has no NaN: a loss that was not there yet comes back as null.
            setattr(self, name, float("nan") if kept[name] is None else kept[name])
        restore_random(self.random, kept["random"])


def resumable(environment: Environment) -> ResumableEnvironment:
    """The environment as one whose state is kept; TypeError where it is not."""
    if not isinstance(environment, ResumableEnvironment):
        name = type(environment).__name__
        raise TypeError(f"{name} keeps no state: learning in it cannot be written to a checkpoint nor resumed")
    return environment


def jsonable(random: np.random.Generator) -> dict[str, Any]:
    """A generator's state, its 128-bit numbers as text."""
    state: dict[str, Any] = dict(random.bit_generator.state)
    return state | {"state": {name: str(value) for name, value in state["state"].items()}}


def restore_random(random: np.random.Generator, state: dict[str, Any]) -> None:
    """Set a generator to what `jsonable` gave."""
    random.bit_generator.state = state | {"state": {name: int(value) for name, value in state["state"].items()}}


class Curve:
    """Learning curves as CSV, a line a report, in a file that grows while learning."""

    def __init__(self, path: Path):
        self.path = path
        with path.open("w", newline="") as file:
            csv.writer(file).writerow(field.name for field in fields(Progress))

    def __call__(self, progress: Progress) -> None:
        """Add a point."""
        with self.path.open("a", newline="") as file:
            csv.writer(file).writerow(getattr(progress, field.name) for field in fields(Progress))
