"""`python -m benchmarks.planted_market --seeds 5`: what is earned of the best result where a pattern is planted.

Each seed learns on planted sessions and is judged on others, greedily, from opening to close; then the same recipe on a
market without any pattern, where it should learn to hold. Turnover is the value traded over that of a unit in each
decision.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from detectors.ddqn.planted import best_result, patternless, planted
from detectors.ddqn.sessions import Session
from detectors.ddqn.trading import Episode, Rules, TradingEnvironment
from detectors.pytorch import require_torch

if TYPE_CHECKING:
    from detectors.ddqn.learner import DoubleDQN, Recipe

LANES = 16
SECONDS = 600
LEARNT_FROM, JUDGED_ON = range(1000, 1032), range(2000, 2016)
"""Seeds of the sessions."""
RULES = Rules(order="market", episode_rows=200)
GOAL, STILL = 0.8, 0.01
"""Share of the best result that is wanted on every seed, and the turnover of a policy that holds."""


def recipe(steps: int = 60_000) -> "Recipe":
    """How both markets are learnt."""
    from detectors.ddqn.learner import Recipe

    return Recipe(steps=steps, hidden=(64, 64), gamma=0.97, n_step=3, batch=128, updates=2, every=2)


def learnt(make: Callable[[int], Session], wanted: "Recipe") -> "DoubleDQN":
    """A learner that has done its steps on the sessions to learn from."""
    from detectors.ddqn.learner import DoubleDQN

    learner = DoubleDQN(wanted, TradingEnvironment([make(seed) for seed in LEARNT_FROM], LANES, RULES), "cpu")
    learner.learn()
    return learner


def judged(learner: "DoubleDQN", sessions: list[Session]) -> list[Episode]:
    """What the greedy policy does from opening to close, one episode a session."""
    env = TradingEnvironment(sessions, len(sessions), replace(RULES, episode_rows=0, starts="opening"))
    states, masks = env.reset(0)
    while len(env.finished) < len(sessions):
        step = env.step(learner.act(states, masks))
        states, masks = step.states, step.masks
    return env.finished


def turnover(episodes: list[Episode]) -> float:
    """Value traded over that of a unit in each decision."""
    return sum(one.turnover for one in episodes) / sum(one.unit_value * one.rows for one in episodes)


def of_pattern(wanted: "Recipe") -> dict[str, float]:
    """Share of the best result on planted sessions that were not learnt from: overall, and in the worst session."""
    sessions = [planted(seed, SECONDS) for seed in JUDGED_ON]
    episodes = judged(learnt(lambda seed: planted(seed, SECONDS), wanted), sessions)
    best = [best_result(sessions[one.session], RULES.latency_ns) for one in episodes]
    shares = [one.result / most for one, most in zip(episodes, best, strict=True)]
    return {
        "share_of_best": sum(one.result for one in episodes) / sum(best),
        "least_share_of_a_session": min(shares),
        "turnover": turnover(episodes),
    }


def of_chance(wanted: "Recipe") -> dict[str, float]:
    """Turnover and result, in units' values a session, on patternless sessions that were not learnt from."""
    sessions = [patternless(seed, SECONDS) for seed in JUDGED_ON]
    episodes = judged(learnt(lambda seed: patternless(seed, SECONDS), wanted), sessions)
    return {
        "turnover": turnover(episodes),
        "result_a_session": float(np.mean([one.result / one.unit_value for one in episodes])),
    }


def main() -> int:
    """Run all seeds; 1 where one misses the goal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5, help="how many, from 1 on (default: 5)")
    parser.add_argument("--steps", type=int, default=60_000, help="decisions to learn from (default: 60000)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the JSON document here")
    args = parser.parse_args()
    require_torch()
    found: list[dict[str, Any]] = []
    for seed in range(1, args.seeds + 1):
        wanted = replace(recipe(args.steps), seed=seed)
        found.append({"seed": seed, "pattern": of_pattern(wanted), "no_pattern": of_chance(wanted)})
        print(msgspec.json.encode(found[-1]).decode(), file=sys.stderr, flush=True)
    reached = [one["pattern"]["share_of_best"] >= GOAL and one["no_pattern"]["turnover"] < STILL for one in found]
    document = {
        "benchmark": "planted market",
        "command": f"python -m benchmarks.planted_market --seeds {args.seeds} --steps {args.steps}",
        "goal": {"share_of_best": GOAL, "turnover_without_pattern": STILL},
        "seeds_reached": sum(reached),
        "sessions": {"learnt_from": len(LEARNT_FROM), "judged_on": len(JUDGED_ON), "seconds": SECONDS},
        "seeds": found,
        "recipe": asdict(recipe(args.steps)),
    }
    if args.out:
        args.out.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
    print(msgspec.json.encode(document).decode())
    return 0 if all(reached) else 1


if __name__ == "__main__":
    sys.exit(main())
