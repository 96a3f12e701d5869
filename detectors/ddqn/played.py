"""Players let loose in a world: what each lane earned, step by step, in its first episode."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.ddqn.environment import F4, I8, Bools, Environment
from detectors.ddqn.model import Policy
from detectors.ddqn.promotion import Curve
from detectors.ddqn.score import choose
from detectors.ddqn.sessions import Session
from detectors.ddqn.trading import Rules, Trading

F8 = npt.NDArray[np.float64]
Decide = Callable[[F4, Bools], I8]
"""Actions, int64[lanes], for states, float32[lanes, inputs], and masks, bool[lanes, actions]."""


class Played(NamedTuple):
    """First episodes. rewards : float64[lanes, steps] and actions : int64[lanes, steps], 0 after the episode's end

    steps : int64[lanes], of each episode
    """

    rewards: F8
    actions: I8
    steps: I8


def play(
    environment: Environment, decide: Decide, seed: int = 0, watch: Callable[[Bools], None] | None = None
) -> Played:
    """Every lane's first episode. watch : told after each step which lanes are still in it, bool[lanes]"""
    states, masks = environment.reset(seed)
    going = np.ones(environment.lanes, dtype=np.bool_)
    steps = np.zeros(environment.lanes, dtype=np.int64)
    rewards: list[F8] = []
    actions: list[I8] = []
    while going.any():
        chosen = decide(states, masks)
        step = environment.step(chosen)
        rewards.append(np.where(going, step.rewards.astype(np.float64), 0.0))
        actions.append(np.where(going, chosen, 0))
        steps += going
        going = going & ~(step.terminated | step.truncated)
        if watch is not None:
            watch(going)
        states, masks = step.states, step.masks
    return Played(np.stack(rewards, axis=1), np.stack(actions, axis=1), steps)


def policy_player(policy: Policy) -> Decide:
    """Who does what the policy holds best."""
    network = policy.network()
    return lambda states, masks: choose(network, states, masks)[1]


def holder(states: F4, masks: Bools) -> I8:
    """Who never does anything: action 0 of the trading environments."""
    return np.zeros(len(states), dtype=np.int64)


def openings(sessions: Sequence[Session], rules: Rules) -> Trading:
    """The sessions side by side, each from its opening to its end, rewarded by change of equity alone."""
    return Trading(
        sessions,
        len(sessions),
        replace(rules, starts="opening", episode_rows=0, reward="equity", drawdown_penalty=0.0),
    )


def trading_curves(sessions: Sequence[Session], rules: Rules, decide: Decide) -> list[Curve]:
    """What a player earns in each session, from opening to close, as shares of the capital it begins with."""
    environment = openings(sessions, rules)
    environment.reset(0)
    shares = environment.unit_reward() / (environment.unit_value * rules.capital_units)
    played = play(environment, decide)
    return [
        Curve(session.ts[1 : steps + 1], gains[:steps] * share)
        for session, gains, steps, share in zip(sessions, played.rewards, played.steps.tolist(), shares, strict=True)
    ]
