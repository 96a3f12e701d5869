"""Lanes that act second by second on a market's closed seconds, with the virtual position that the engine keeps."""

import base64
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.ddqn import virtual
from detectors.ddqn.environment import F4, I8, Bools, Step
from detectors.ddqn.lanes import ACTIONS, BUY, HOLD, SELL
from detectors.ddqn.seconds import Seconds
from detectors.ddqn.virtual import PRIVATE
from detectors.ddqn.virtual_lanes import act_lanes, close_lanes, create_lanes, equity_lanes, see_lanes

F8 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Rules:
    """How the seconds are played.

    wait_s : seconds after an action before which there is no other, as in the engine
    shorting : where more may be sold than is held: on no session, on every second one, or on all
    episode_s : rows after which an episode is cut off, 0 for never
    reward_limit : largest reward of a step either way, 0 for none: a few leaps of a price do not drown all else
    starts : lanes begin at a row drawn at random, or at the first row of one session after another
    """

    wait_s: float = 10.0
    shorting: Literal["none", "half", "all"] = "none"
    episode_s: int = 0
    reward_limit: float = 0.0
    starts: Literal["random", "opening"] = "random"


class Episode(NamedTuple):
    """An episode that ended. gain : as a share of a unit's value, after cost; orders : placed; rows : decisions"""

    session: int
    rows: int
    gain: float
    orders: int


class VirtualMarket:
    """See `detectors.ddqn.environment.ResumableEnvironment` for the contract.

    A session with hours ends flat and has terminated; one without is cut off at its last row, and what it holds is
    closed there as well, so that gains of baselines and policies are what they could be sold for. `finished` holds the
    episodes that ended, oldest first.
    """

    actions = len(ACTIONS)

    def __init__(self, seconds: Seconds, center: F4, scale: F4, lanes: int, rules: Rules | None = None):
        self.seconds, self.rules, self.lanes = seconds, rules or Rules(), lanes
        self.rows = seconds.rows(center, scale)
        self.inputs = self.rows.features.shape[1] + len(PRIVATE)
        self.finished: list[Episode] = []
        self.positions, self._own, self._masks = create_lanes(lanes)
        self.session, self.row, self.age, self.orders = (np.zeros(lanes, dtype=np.int64) for _ in range(4))
        self.equity = np.zeros(lanes)
        self._next_session = 0
        self._random = np.random.default_rng(0)
        short = {"none": 0, "half": np.arange(len(seconds.first)) % 2, "all": 1}[self.rules.shorting]
        self._short = np.broadcast_to(np.asarray(short, dtype=np.bool_), len(seconds.first))

    def reset(self, seed: int) -> tuple[F4, Bools]:
        """Begin every lane anew, all chance drawn by `seed`: states and masks."""
        self._random = np.random.default_rng(seed)
        self._next_session = 0
        self.finished = []
        self._begin(np.ones(self.lanes, dtype=np.bool_))
        return self._seen()

    def step(self, actions: I8) -> Step:
        """Act in every lane at the close of its second and go on to the close of the next one.

        An action that its mask forbids is a hold.
        """
        chosen = np.where(self._masks[np.arange(self.lanes), actions], actions, HOLD)
        act_lanes(self.positions, self.rows, self.row, chosen)
        self.orders += (chosen == BUY) | (chosen == SELL)
        self.row += 1
        self.age += 1
        last = self.row >= self.seconds.last[self.session]
        close_lanes(self.positions, self.rows, self.row, last)
        before = self.equity.copy()
        equity_lanes(self.positions, self.equity)
        limit = self.rules.reward_limit or np.inf
        rewards: F4 = np.clip((self.equity - before) / virtual.REWARD_UNIT, -limit, limit).astype(np.float32)
        terminated = last & self.seconds.has_hours[self.session]
        truncated = (last | ((self.rules.episode_s > 0) & (self.age >= self.rules.episode_s))) & ~terminated
        next_states, next_masks = self._seen()
        ended = terminated | truncated
        if not ended.any():
            return Step(next_states, next_masks, rewards, terminated, truncated, next_states, next_masks)
        for lane in np.flatnonzero(ended).tolist():
            done = int(self.session[lane]), int(self.age[lane]), float(self.equity[lane]), int(self.orders[lane])
            self.finished.append(Episode(*done))
        self._begin(ended)
        return Step(*self._seen(), rewards, terminated, truncated, next_states, next_masks)

    def _begin(self, which: Bools) -> None:
        """New episodes in the lanes `which`, without a position."""
        seconds, count = self.seconds, int(which.sum())
        if self.rules.starts == "opening":
            self.session[which] = (self._next_session + np.arange(count)) % len(seconds.first)
            self._next_session += count
            self.row[which] = seconds.first[self.session[which]]
        else:
            self.session[which] = chosen = self._random.integers(0, len(seconds.first), count)
            room = seconds.last[chosen] - seconds.first[chosen]
            self.row[which] = seconds.first[chosen] + (self._random.random(count) * room).astype(np.int64)
        self.positions[which] = 0.0
        self.equity[which] = 0.0
        self.age[which] = self.orders[which] = 0

    def _seen(self) -> tuple[F4, Bools]:
        """States and masks of the rows that the lanes stand at; arrays of their own."""
        states = np.empty((self.lanes, self.inputs), dtype=np.float32)
        see_lanes(self.positions, self.rows, self.row, True, self.rules.wait_s, self._own, states, self._masks)
        flat = self.positions[:, virtual.POSITION] <= 0.0
        self._masks[flat & ~self._short[self.session], SELL] = False
        return states, self._masks.copy()

    def state(self) -> dict[str, Any]:
        """Where every lane stands, and the state of chance."""
        random: dict[str, Any] = dict(self._random.bit_generator.state)
        numbers = {name: str(value) for name, value in random["state"].items()}
        return {
            "lanes": {name: base64.b64encode(getattr(self, name).tobytes()).decode() for name in _KEPT},
            "next_session": self._next_session,
            "random": random | {"state": numbers},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave; ValueError where it is of other lanes."""
        for name in _KEPT:
            array = getattr(self, name)
            read = np.frombuffer(base64.b64decode(state["lanes"][name]), dtype=array.dtype)
            array[...] = read.reshape(array.shape)
        self._next_session = int(state["next_session"])
        numbers = {name: int(value) for name, value in state["random"]["state"].items()}
        self._random.bit_generator.state = state["random"] | {"state": numbers}
        self._seen()


_KEPT = ("positions", "session", "row", "age", "orders", "equity")
"""Arrays that make up the state of the lanes."""
