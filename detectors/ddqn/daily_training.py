"""Learning a daily policy from bars of the past, and what a policy would have done on bars, row by row."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from detectors.ddqn.daily_account import LONG
from detectors.ddqn.daily_market import ACTIONS, INPUTS, Bars, DailyMarket, features
from detectors.ddqn.environment import I8
from detectors.ddqn.model import Card, Policy, PolicyMetadata
from detectors.ddqn.score import choose

if TYPE_CHECKING:
    from detectors.ddqn.learner import DoubleDQN, Progress, Recipe

ENVIRONMENT = "daily"
"""What the description of a policy for these states calls its environment."""
LANES = 16
_POSITIONS = (-1.0, 0.0, 1.0)


def chosen() -> "Recipe":
    """The recipe chosen on 2012 to 2016, judged on 2017 (docs/ddqn.md tells how)."""
    from detectors.ddqn.learner import Recipe

    return Recipe(
        steps=50_000,
        hidden=(16, 16),
        dueling=True,
        gamma=0.9,
        n_step=3,
        learning_rate=1e-3,
        batch=128,
        capacity=100_000,
        starts=2_000,
        every=1,
        updates=1,
        target_every=100,
        epsilon_end=0.1,
        epsilon_share=0.5,
        decay=1.0,
    )


def market(instruments: Mapping[str, Bars]) -> DailyMarket:
    """Where a daily policy learns. ValueError where no instrument has enough rows."""
    return DailyMarket(list(instruments.values()), LANES)


def policy_of(learner: "DoubleDQN", card: Card) -> Policy:
    """What a learner holds best by now, as a policy. card : what it learnt from, without seed and steps"""
    from detectors.ddqn.learner import folded

    recipe = learner.recipe
    full = msgspec.structs.replace(card, seed=recipe.seed, steps=learner.steps, recipe=card.recipe | asdict(recipe))
    return Policy(PolicyMetadata(ENVIRONMENT, INPUTS, ACTIONS, full), folded(learner.online))


def train(
    instruments: Mapping[str, Bars], recipe: "Recipe", report: Callable[["Progress"], None] | None = None
) -> Policy:
    """One policy from all these bars. ValueError where no instrument has enough rows; needs torch."""
    from detectors.ddqn.learner import DoubleDQN

    learner = DoubleDQN(recipe, market(instruments), "cpu")
    learner.learn(report=report, each=20_000)
    return policy_of(learner, Card(data=", ".join(instruments)))


def decide(policy: Policy, bars: Bars, first: int) -> I8:
    """The position to take at each close from row `first` on, int64[rows]: what the policy holds best one row earlier.

    Rows before `first` are history that features look back on; nothing is held then.
    """
    network, rows = policy.network(), features(bars)
    masks = np.ones((len(rows), len(ACTIONS)), dtype=np.bool_)
    wishes = [
        choose(network, np.column_stack([rows, np.full(len(rows), held, dtype=np.float32)]), masks)[1]
        for held in _POSITIONS
    ]
    actions, held = np.full(len(rows), LONG, dtype=np.int64), 0
    for row in range(first, len(rows)):
        actions[row] = wishes[held + 1][row - 1]
        held = 1 if actions[row] == LONG else -1
    return actions
