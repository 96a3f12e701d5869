"""The trading environment: decisions row by row against a recorded market, in many lanes at once."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.ddqn import lanes as kernels
from detectors.ddqn.environment import F4, I8, Bools, Step
from detectors.ddqn.lanes import ACTIONS, PRIVATE
from detectors.ddqn.sessions import Session, laid_out, seen
from detectors.trading import state as fields

F8 = npt.NDArray[np.float64]

ENVIRONMENT = "trading"
"""What the description of a policy for these states calls its environment."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How the game is played.

    window : rows of features that are seen; limit : largest position, in the session's units
    order : limit orders at the own side's best price, moved by `offset` ticks towards the other side, or market orders
    latency_ns : from a row's time to the market; an order meets the first quote or book from then on
    reward : `equity`, the change of equity after cost, or `points`, 1 for a round trip that earned at least
        `target_return` of its unit's value after cost, -1 for one that lost, 0 otherwise
    reward_unit : the share of a unit's value that counts as a reward of 1
    drawdown_penalty : subtracted from each reward, times the growth of the drawdown in reward units
    capital_units : cash to begin with, in values of a unit
    episode_rows : rows after which an episode is cut off, 0 for never: it ends with its session, flat
    starts : lanes begin at a row drawn at random, or at the opening of one session after another
    """

    window: int = 1
    limit: int = 1
    order: Literal["market", "limit"] = "limit"
    offset: int = 0
    latency_ns: int = 250_000_000
    reward: Literal["equity", "points"] = "equity"
    reward_unit: float = 0.001
    target_return: float = 0.002
    drawdown_penalty: float = 0.0
    capital_units: int = 2
    episode_rows: int = 0
    starts: Literal["random", "opening"] = "random"


class Episode(NamedTuple):
    """An episode that ended. Money in money steps of its instrument.

    result : equity gained after cost; turnover : value bought and sold; drawdown : largest fall from a peak
    unit_value : what a unit was worth when it began; rows : decisions
    """

    session: int
    first_row: int
    rows: int
    result: int
    fees: int
    taxes: int
    turnover: int
    drawdown: int
    unit_value: int


class TradingEnvironment:
    """Lanes that trade sessions. See `detectors.ddqn.environment.Environment` for the contract.

    An episode that reaches its session's end is closed flat and has terminated; one cut off by `episode_rows` is
    truncated with its position as it is. `finished` holds the episodes that ended, oldest first.
    """

    actions = len(ACTIONS)

    def __init__(self, sessions: Sequence[Session], lanes: int, rules: Rules | None = None):
        self.rules, self.lanes = rules or Rules(), lanes
        self.tracks, self.seen = laid_out(sessions), seen(sessions)
        self.inputs = self.rules.window * self.seen.shape[1] + len(PRIVATE)
        self.finished: list[Episode] = []
        self.refused = np.zeros(1, dtype=np.int64)
        self.books = np.zeros((lanes, fields.WIDTH), dtype=np.int64)
        self.session, self.row, self.begun, self.equity, self.peak, self.drawdown, self.entry, self.unit_value = (
            np.zeros(lanes, dtype=np.int64) for _ in range(8)
        )
        self._next_session = 0
        self._random = np.random.default_rng(0)
        self._events = np.zeros((0, fields.EVENT_WIDTH), dtype=np.int64)
        self._counts = np.zeros(1, dtype=np.int64)

    def reset(self, seed: int) -> tuple[F4, Bools]:
        """Begin every lane anew, all chance drawn by `seed`: states and masks."""
        self._random = np.random.default_rng(seed)
        self._next_session = 0
        self.finished = []
        self._begin(np.ones(self.lanes, dtype=np.bool_))
        return self._states(), self._masks()

    def step(self, actions: I8) -> Step:
        """Act in every lane and run to its next row. An action that its mask forbids is a hold."""
        rules, allowed = self.rules, self._masks()
        chosen = np.where(allowed[np.arange(self.lanes), actions], actions, kernels.HOLD)
        kernels.act_lanes(
            self.books, self.tracks, self.session, self.row, chosen, rules.limit, rules.latency_ns,
            int(rules.order == "market"), rules.offset, self.refused,
        )  # fmt: skip
        before, held = self.equity.copy(), self.books[:, fields.POSITION].copy()
        terminated = self.row + 1 >= self.tracks.last[self.session]
        kernels.run_lanes(self.books, self.tracks, self.session, self.row, terminated, self._events, self._counts)
        self.row += 1
        kernels.equity_lanes(self.books, self.equity)
        rewards = self._rewards(before, held)
        truncated = ~terminated & (rules.episode_rows > 0) & (self.row - self.begun >= rules.episode_rows)
        next_states, next_masks = self._states(), self._masks()
        ended = terminated | truncated
        if not ended.any():
            return Step(next_states, next_masks, rewards, terminated, truncated, next_states, next_masks)
        self._finish(ended)
        self._begin(ended)
        return Step(self._states(), self._masks(), rewards, terminated, truncated, next_states, next_masks)

    def _begin(self, which: Bools) -> None:
        """New episodes in the lanes `which`."""
        tracks, count = self.tracks, int(which.sum())
        sessions = len(tracks.first)
        if self.rules.starts == "opening":
            self.session[which] = (self._next_session + np.arange(count)) % sessions
            self._next_session += count
            self.row[which] = tracks.first[self.session[which]]
        else:
            self.session[which] = self._random.integers(0, sessions, count)
            chosen = self.session[which]
            room = tracks.last[chosen] - tracks.first[chosen]
            self.row[which] = tracks.first[chosen] + (self._random.random(count) * room).astype(np.int64)
        kernels.open_lanes(self.books, tracks, self.session, self.row, which, np.zeros(self.lanes, dtype=np.int64))
        mark = np.maximum(1, np.maximum(self.books[:, fields.MARK_BID], self.books[:, fields.MARK_ASK]))
        self.unit_value[which] = (mark * tracks.unit[self.session])[which]
        self.books[which, fields.CASH] = self.rules.capital_units * self.unit_value[which]
        self.equity[which] = self.peak[which] = self.entry[which] = self.books[which, fields.CASH]
        self.drawdown[which] = 0
        self.begun[which] = self.row[which]

    def _rewards(self, before: I8, held: I8) -> F4:
        """Rewards of the step that has just been run, float32[lanes]; keeps peak, drawdown and entry up to date."""
        unit = self.unit_reward()
        self.peak = np.maximum(self.peak, self.equity)
        fall = self.peak - self.equity
        deeper = np.maximum(0, fall - self.drawdown)
        self.drawdown = np.maximum(self.drawdown, fall)
        now = self.books[:, fields.POSITION]
        self.entry = np.where((held == 0) & (now != 0), before, self.entry)
        if self.rules.reward == "equity":
            found: F8 = (self.equity - before) / unit
        else:
            gained = (self.equity - self.entry) / self.unit_value
            points = np.where(gained >= self.rules.target_return, 1.0, np.where(gained < 0.0, -1.0, 0.0))
            found = np.where((held != 0) & (now == 0), points, 0.0)
        rewards: F4 = (found - self.rules.drawdown_penalty * deeper / unit).astype(np.float32)
        return rewards

    def unit_reward(self) -> I8:
        """Money steps of a reward of 1, int64[lanes]."""
        found: I8 = np.maximum(1, (self.unit_value * self.rules.reward_unit).astype(np.int64))
        return found

    def _finish(self, ended: Bools) -> None:
        for lane in np.flatnonzero(ended):
            p = self.books[lane]
            self.finished.append(
                Episode(
                    session=int(self.session[lane]),
                    first_row=int(self.begun[lane] - self.tracks.first[self.session[lane]]),
                    rows=int(self.row[lane] - self.begun[lane]),
                    result=int(self.equity[lane] - self.rules.capital_units * self.unit_value[lane]),
                    fees=int(p[fields.FEES]),
                    taxes=int(p[fields.TAXES]),
                    turnover=int(p[fields.BOUGHT] + p[fields.SOLD]),
                    drawdown=int(self.drawdown[lane]),
                    unit_value=int(self.unit_value[lane]),
                )
            )

    def _states(self) -> F4:
        """What is decided on, float32[lanes, inputs]: rows of the window, newest last, then PRIVATE.

        Rows before the session's first are the first.
        """
        back = np.arange(1 - self.rules.window, 1)
        rows = np.maximum(self.row[:, None] + back, self.tracks.first[self.session][:, None])
        private = np.zeros((self.lanes, len(PRIVATE)), dtype=np.float32)
        kernels.show_lanes(
            self.books, self.tracks, self.session, self.row, self.rules.limit, self.unit_reward(), private
        )
        return np.concatenate([self.seen[rows].reshape(self.lanes, -1), private], axis=1)

    def _masks(self) -> Bools:
        masks = np.zeros((self.lanes, self.actions), dtype=np.bool_)
        kernels.mask_lanes(self.books, self.tracks, self.session, self.rules.limit, masks)
        return masks

    def state(self) -> dict[str, Any]:
        """Everything that `restore` needs to go on from here, as JSON can hold it."""
        generator: dict[str, Any] = dict(self._random.bit_generator.state)
        numbers = {name: str(value) for name, value in generator["state"].items()}
        return {
            "lanes": {name: base64.b64encode(getattr(self, name).tobytes()).decode() for name in _KEPT},
            "next_session": self._next_session,
            "random": generator | {"state": numbers},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave; ValueError where it is of other lanes."""
        for name in _KEPT:
            array = getattr(self, name)
            read = np.frombuffer(base64.b64decode(state["lanes"][name]), dtype=np.int64)
            setattr(self, name, read.reshape(array.shape).copy())
        self._next_session = int(state["next_session"])
        given = state["random"]
        numbers = {name: int(value) for name, value in given["state"].items()}
        self._random.bit_generator.state = given | {"state": numbers}


def inputs_for(names: Sequence[str], window: int) -> tuple[str, ...]:
    """Names of the columns of a state; those of earlier rows of the window end in how many rows back they are."""
    back = [f"{name}@{rows}" if rows else name for rows in range(window - 1, -1, -1) for name in names]
    return (*back, *PRIVATE)


def seen_by(inputs: Sequence[str]) -> tuple[tuple[str, ...], int]:
    """The features that a policy of such inputs sees, and its window: `inputs_for` the other way round."""
    seen = inputs[: len(inputs) - len(PRIVATE)]
    names = tuple(name for name in seen if "@" not in name)
    return names, max(1, len(seen) // max(1, len(names)))


_KEPT = ("books", "session", "row", "begun", "equity", "peak", "drawdown", "entry", "unit_value", "refused")
"""Arrays that make up the state of the lanes."""
