"""Self-play on planted markets: a challenger learns from the champion's experience, and a sequential test judges it.

`python -m benchmarks.self_play --out docs/results/self-play.json` (needs the extra `train`). Every policy learns on
some sessions and is compared on others. On a market without a pattern nobody should be promoted.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from detectors.ddqn.lanes import ACTIONS
from detectors.ddqn.model import Card, Policy, PolicyMetadata
from detectors.ddqn.planted import NOISE, SECOND, patternless, planted
from detectors.ddqn.played import policy_player, run_sessions
from detectors.ddqn.promotion import NOBODY, Curve, Report, compared
from detectors.ddqn.self_play import challenging
from detectors.ddqn.sessions import Session
from detectors.ddqn.trading import ENVIRONMENT, Rules, TradingEnvironment, inputs_for
from detectors.pytorch import require_torch

LANES, SECONDS, SLOT_S = 16, 600, 20
LEARNT_FROM, JUDGED_ON = range(1000, 1016), range(2000, 2016)
"""Seeds of the sessions."""
RULES = Rules(order="market", episode_rows=200)
FEATURES = ("sine", "cosine", *(f"noise_{number}" for number in range(NOISE)))


def main() -> None:
    """Learn, compare, and write the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=40_000, help="decisions each challenger learns from")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    require_torch()
    text = msgspec.json.format(msgspec.json.encode(figures(args.steps, args.seed)), indent=2)
    print(text.decode())
    if args.out:
        args.out.write_bytes(text + b"\n")


def figures(steps: int, seed: int) -> dict[str, Any]:
    """Each comparison. The first champion has learnt little; what it does is what the challenger learns from."""
    first = learnt(planted, steps // 8, seed)
    second = learnt(planted, steps, seed + 1, champion=first)
    third = learnt(planted, steps, seed + 2, champion=second)
    blind = learnt(patternless, steps // 2, seed)
    return {
        "steps": steps,
        "seed": seed,
        "planted, a first policy against holding": told(judged(planted, None, first)),
        "planted, a challenger that learnt from the first": told(judged(planted, first, second)),
        "planted, a challenger that learnt from the second": told(judged(planted, second, third)),
        "planted, the first against the second": told(judged(planted, second, first)),
        "no pattern, a policy against holding": told(judged(patternless, None, blind)),
    }


def learnt(make: Callable[..., Session], steps: int, seed: int, champion: Policy | None = None) -> Policy:
    """A policy; with a champion, from the champion's experience alone."""
    from detectors.ddqn.learner import DoubleDQN, Recipe, folded

    recipe = Recipe(steps=steps, hidden=(64, 64), gamma=0.97, n_step=3, batch=128, updates=2, every=2, seed=seed)
    market = TradingEnvironment([make(number, SECONDS) for number in LEARNT_FROM], LANES, RULES)
    behaviour = policy_player(champion) if champion else None
    learner = DoubleDQN(challenging(recipe) if champion else recipe, market, "cpu", behaviour)
    learner.learn(report=lambda point: print(f"{point.steps:,} of {steps:,}", file=sys.stderr), each=steps // 4)
    card = Card(seed=seed, steps=steps, recipe={"champion": champion.hash} if champion else {})
    return Policy(PolicyMetadata(ENVIRONMENT, inputs_for(FEATURES, 1), ACTIONS, card), folded(learner.online))


def judged(make: Callable[..., Session], champion: Policy | None, challenger: Policy) -> Report:
    """Both on sessions that nobody has seen, laid one after another."""
    sessions = [make(number, SECONDS) for number in JUDGED_ON]
    old, new = (_curves(sessions, policy) for policy in (champion, challenger))
    return compared(ENVIRONMENT, (champion.hash if champion else NOBODY, old), (challenger.hash, new), SLOT_S * SECOND)


def _curves(sessions: Sequence[Session], policy: Policy | None) -> list[Curve]:
    ran = run_sessions(sessions, RULES, policy_player(policy) if policy else None)
    return [one.curve._replace(ts=one.curve.ts + number * SECONDS * SECOND) for number, one in enumerate(ran)]


def told(report: Report) -> dict[str, Any]:
    """What is kept of a comparison."""
    return {
        "decision": report.decision,
        "reasons": report.reasons,
        "p_value": report.p_value,
        "pairs": len(report.outcomes),
        "won": report.outcomes.count(1),
        "lost": report.outcomes.count(-1),
        "champion": msgspec.to_builtins(report.champion),
        "challenger": msgspec.to_builtins(report.challenger),
    }


if __name__ == "__main__":
    main()
