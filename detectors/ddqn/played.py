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
from detectors.ddqn.trading import Episode, Rules, TradingEnvironment
from detectors.trading import state

F8 = npt.NDArray[np.float64]
Decide = Callable[[F4, Bools], I8]
"""Actions, int64[lanes], for states, float32[lanes, inputs], and masks, bool[lanes, actions]."""


class Rollouts(NamedTuple):
    """First episodes. rewards : float64[lanes, steps] and actions : int64[lanes, steps], 0 after the episode's end

    steps : int64[lanes], of each episode
    """

    rewards: F8
    actions: I8
    steps: I8


def play(
    environment: Environment, decide: Decide, seed: int = 0, watch: Callable[[Bools], None] | None = None
) -> Rollouts:
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
    return Rollouts(np.stack(rewards, axis=1), np.stack(actions, axis=1), steps)


def policy_player(policy: Policy) -> Decide:
    """Who does what the policy holds best."""
    network = policy.network()
    return lambda states, masks: choose(network, states, masks)[1]


def holder(states: F4, masks: Bools) -> I8:
    """Who never does anything: action 0 of the trading environments."""
    return np.zeros(len(states), dtype=np.int64)


def openings(sessions: Sequence[Session], rules: Rules) -> TradingEnvironment:
    """The sessions side by side, each from its opening to its end, rewarded by change of equity alone."""
    return TradingEnvironment(
        sessions,
        len(sessions),
        replace(rules, starts="opening", episode_rows=0, reward="equity", drawdown_penalty=0.0),
    )


class SessionResult(NamedTuple):
    """A player in one session. curve : what it earned; held : float64[rows], position after each row, in units

    middle : float64[rows], middle price at each row, in currency; episode : its accounts, in money steps
    """

    curve: Curve
    held: F8
    middle: F8
    episode: Episode


def run_sessions(sessions: Sequence[Session], rules: Rules, decide: Decide | None = None) -> list[SessionResult]:
    """Every session from its opening to its end, in the order given. decide : the player; by default nothing is done"""
    environment = openings(sessions, rules)
    environment.reset(0)
    shares = environment.unit_reward() / (environment.unit_value * rules.capital_units)
    kept: list[I8] = []

    def watch(going: Bools) -> None:
        # A lane whose session is over stands in another one: it holds nothing, its last price stays.
        now = environment.books[:, (state.POSITION, state.MARK_BID, state.MARK_ASK)].copy()
        now[~going] = kept[-1][~going] * (0, 1, 1) if kept else 0
        kept.append(now)

    played = play(environment, decide or holder, watch=watch)
    looks = np.stack(kept, axis=1).astype(np.float64)
    first = {episode.session: episode for episode in reversed(environment.finished)}
    found = []
    for number, (session, steps) in enumerate(zip(sessions, played.steps.tolist(), strict=True)):
        look = looks[number, :steps]
        middle = session.units.price(1) * (look[:, 1] + look[:, 2]) / 2.0
        curve = Curve(session.ts[1 : steps + 1], played.rewards[number, :steps] * shares[number])
        found.append(SessionResult(curve, look[:, 0] / session.unit, middle, first[number]))
    return found
