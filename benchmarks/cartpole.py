"""`python -m benchmarks.cartpole --seeds 5`: the learner's sanity check, CartPole-v1 in 100,000 steps.

A seed's figure is the mean return of its last network, acting greedily, over 100 fresh episodes of at most 500 steps.
CleanRL publishes 488.7 for its DQN after 500,000 steps.
"""

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from functools import partial
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from detectors.ddqn.environment import F4, I8, Bools, Step
from detectors.pytorch import require_torch
from tapewatch.clock import NANOS, WALL

PUBLISHED = {"CleanRL dqn.py, 500,000 steps": 488.7}
_EPISODES = 100
_SCALE = np.array([2.4, 3.0, 0.21, 3.0], dtype=np.float32)
"""Rough size of position, speed, angle and angular speed: the network sees them as about one."""


class CartPole:
    """One lane of Gymnasium's CartPole-v1."""

    lanes, inputs, actions = 1, 4, 2

    def __init__(self) -> None:
        import gymnasium

        self.world: Any = gymnasium.make("CartPole-v1")
        self._masks = np.ones((1, 2), dtype=np.bool_)

    def reset(self, seed: int) -> tuple[F4, Bools]:
        """Begin an episode, and the chance of all that follow."""
        return self._seen(self.world.reset(seed=seed)[0]), self._masks

    def step(self, actions: I8) -> Step:
        """Push left (0) or right (1)."""
        found, reward, terminated, truncated, _ = self.world.step(int(actions[0]))
        after = self._seen(found)
        states = self._seen(self.world.reset()[0]) if terminated or truncated else after
        ends = np.array([terminated]), np.array([truncated])
        return Step(states, self._masks, np.array([reward], dtype=np.float32), *ends, after, self._masks)

    def _seen(self, found: Any) -> F4:
        return (np.asarray(found, dtype=np.float32) / _SCALE)[None, :]


def run_seed(steps: int, keep: Path | None, seed: int) -> dict[str, Any]:
    """One seed's figures: those kept from a run before, else made and kept. Runs in a worker."""
    path = keep / f"cartpole-{steps}-{seed}.json" if keep else None
    if path is not None and path.is_file():
        found: dict[str, Any] = msgspec.json.decode(path.read_bytes())
        return found
    found = trained(steps, seed)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.encode(found))
    return found


def trained(steps: int, seed: int) -> dict[str, Any]:
    """Train one seed and judge its last network."""
    require_torch()
    from detectors.ddqn.learner import DoubleDQN, Progress

    def say(point: Progress) -> None:
        print(f"seed {seed}: step {point.steps:,}, return {point.episode_return:.1f}", file=sys.stderr, flush=True)

    started = WALL.elapsed()
    learner = DoubleDQN(replace(recipe(steps), seed=seed), CartPole(), "cpu")
    learner.learn(report=say, each=10_000)
    fresh, total = CartPole(), 0.0
    returns: list[float] = []
    states, masks = fresh.reset(10_000 + seed)
    while len(returns) < _EPISODES:
        step = fresh.step(learner.act(states, masks))
        states, total = step.states, total + float(step.rewards[0])
        if step.terminated[0] or step.truncated[0]:
            returns.append(total)
            total = 0.0
    print(f"seed {seed}: {np.mean(returns):.1f} over {_EPISODES} greedy episodes", file=sys.stderr, flush=True)
    return {
        "seed": seed,
        "mean_return": float(np.mean(returns)),
        "least_return": float(np.min(returns)),
        "last_100_while_learning": learner.progress().episode_return,
        "episodes": learner.episodes,
        "seconds": (WALL.elapsed() - started) / NANOS,
    }


def recipe(steps: int) -> Any:
    """How CartPole is learnt."""
    from detectors.ddqn.learner import Recipe

    return Recipe(
        steps=steps,
        hidden=(128, 128),
        learning_rate=5e-4,
        adam_epsilon=1e-8,
        n_step=3,
        batch=128,
        every=4,
        updates=2,
        target_every=500,
    )


def main() -> None:
    """Run all seeds and print or write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5, help="how many (default: 5)")
    parser.add_argument("--first", type=int, default=1, help="first seed (default: 1; the recipe was chosen on 11..14)")
    parser.add_argument("--workers", type=int, default=2, help="seeds learnt at a time (default: 2)")
    parser.add_argument("--steps", type=int, default=100_000, help="default: 100000")
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="keep each seed's figures here; a run broken off goes on"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the JSON document here")
    args = parser.parse_args()
    require_torch()
    with ProcessPoolExecutor(args.workers, mp_context=get_context("spawn")) as pool:
        seeds = list(pool.map(partial(run_seed, args.steps, args.keep), range(args.first, args.first + args.seeds)))
    means = [one["mean_return"] for one in seeds]
    document = {
        "benchmark": "CartPole-v1",
        "command": f"python -m benchmarks.cartpole --seeds {args.seeds} --first {args.first} --steps {args.steps}",
        "mean": float(np.mean(means)),
        "least": float(np.min(means)),
        "episodes_a_seed": _EPISODES,
        "seeds": seeds,
        "recipe": asdict(recipe(args.steps)),
        "published": PUBLISHED,
        "versions": {name: version(name) for name in ("torch", "gymnasium", "numpy")},
    }
    if args.out:
        args.out.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
    print(msgspec.json.encode(document).decode())


if __name__ == "__main__":
    main()
