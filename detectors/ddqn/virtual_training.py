"""Learning a policy that acts second by second, and what it and simple rules would have gained on seconds unseen.

Lanes that act second by second on a market's closed seconds, with the virtual position that the engine keeps.
"""

import base64
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from detectors.ddqn import virtual
from detectors.ddqn.environment import F4, I8, Bools, Step
from detectors.ddqn.lanes import ACTIONS, BUY, HOLD, SELL
from detectors.ddqn.model import Card, Policy, PolicyMetadata
from detectors.ddqn.score import choose
from detectors.ddqn.seconds import Seconds
from detectors.ddqn.virtual import ENVIRONMENT, PRIVATE, act_lanes, close_lanes, create_lanes, equity_lanes, see_lanes

if TYPE_CHECKING:
    from detectors.ddqn.learner import DoubleDQN, Progress, Recipe


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


Decides = Callable[[F4, Bools], I8]
"""States and masks of lanes -> an action for each."""

LANES = 16
MARGIN = 0.1
"""Least advantage over holding (in rewards) at which the engine lets a policy act, by default."""
FEATURES = (
    "ret_1s", "ret_5s", "ret_10s", "ret_30s", "ret_60s", "ret_300s", "rv_60s", "imbalance_60s", "volume_z", "trades_z",
    "imbalance_z", "rush_1s", "rush_25s", "spread_bps", "spread_ratio", "depth_imb_1", "microprice_dev_bps",
    "quote_rate_1s",
)  # fmt: skip
"""What a policy sees of the market by default, by the names of the topic `features`."""
LEARN = Rules(shorting="half", episode_s=300, reward_limit=20.0)
JUDGE = Rules(starts="opening")


def chosen() -> "Recipe":
    """How a policy of seconds is learnt unless told otherwise."""
    from detectors.ddqn.learner import Recipe

    return Recipe(
        steps=80_000,
        hidden=(32, 32),
        dueling=True,
        gamma=0.98,
        n_step=5,
        learning_rate=1e-3,
        batch=128,
        capacity=100_000,
        starts=4_000,
        every=2,
        updates=2,
        target_every=250,
        epsilon_end=0.05,
        epsilon_share=0.4,
    )


def market(seconds: Seconds, scaling: tuple[F4, F4]) -> VirtualMarket:
    """Where a policy of seconds learns."""
    return VirtualMarket(seconds, *scaling, LANES, LEARN)


def policy_of(learner: "DoubleDQN", names: tuple[str, ...], scaling: tuple[F4, F4], card: Card) -> Policy:
    """What a learner holds best by now, as a policy. card : what it learnt from; steps and recipe are filled in"""
    from detectors.ddqn.learner import folded

    recipe = learner.recipe
    full = msgspec.structs.replace(card, seed=recipe.seed, steps=learner.steps, recipe=card.recipe | asdict(recipe))
    arrays = folded(learner.online) | {"center": scaling[0], "scale": scaling[1]}
    return Policy(PolicyMetadata(ENVIRONMENT, (*names, *PRIVATE), ACTIONS, full), arrays)


def train(seconds: Seconds, recipe: "Recipe", card: Card, report: Callable[["Progress"], None] | None = None) -> Policy:
    """One policy from all these seconds; needs torch."""
    from detectors.ddqn.learner import DoubleDQN

    scaling = seconds.scaling()
    learner = DoubleDQN(recipe, market(seconds, scaling), "cpu")
    learner.learn(report=report, each=max(recipe.steps // 10, 1))
    return policy_of(learner, seconds.names, scaling, card)


def reserved(policy: Policy, reserve: float) -> Policy:
    """The policy with the value of buying lowered by `reserve`: it buys only where that is better by as much.

    What a network errs by is of the size of a trade's cost; without a reserve it would pay that cost for its errors.
    """
    bias = policy.arrays["b"].copy()
    bias[BUY] -= np.float32(reserve)
    card = msgspec.structs.replace(policy.card, recipe=policy.card.recipe | {"reserve": reserve})
    return Policy(msgspec.structs.replace(policy.described, card=card), policy.arrays | {"b": bias})


def decides(policy: Policy, margin: float = MARGIN) -> Decides:
    """As the engine lets a policy act: its best action, where that is better than holding by the margin."""
    network = policy.network()

    def decide(states: F4, masks: Bools) -> I8:
        q, actions = choose(network, states, masks)
        advantage = q[np.arange(len(q)), actions] - q[:, HOLD]
        return np.where(advantage >= margin, actions, HOLD)

    return decide


def _towards(wanted: Callable[[F4], Bools]) -> Decides:
    """Long where it is wanted, else without a position."""

    def decide(states: F4, masks: Bools) -> I8:
        own = states[:, -len(PRIVATE) :]
        held, long = own[:, PRIVATE.index("position")] > 0.0, wanted(own[:, PRIVATE.index("trend")])
        actions = np.where(long & ~held, BUY, np.where(held & ~long, SELL, HOLD))
        return np.where(masks[np.arange(len(actions)), actions], actions, HOLD)

    return decide


RULES: Mapping[str, Decides] = {
    "hold": _towards(lambda trend: np.ones(len(trend), dtype=np.bool_)),
    "momentum": _towards(lambda trend: trend > 0.0),
    "mean_reversion": _towards(lambda trend: trend < 0.0),
}
"""What a policy is compared with: bought as soon as possible and held; long while the trend is up; while it is down."""


def played(seconds: Seconds, policy: Policy, decide: Decides, rules: Rules = JUDGE) -> list[Episode]:
    """Every session once, from its first row to its last, in the order of the sessions."""
    env = VirtualMarket(seconds, policy.arrays["center"], policy.arrays["scale"], len(seconds.first), rules)
    states, masks = env.reset(0)
    found: dict[int, Episode] = {}
    while len(found) < len(seconds.first):
        step = env.step(decide(states, masks))
        states, masks = step.states, step.masks
        for episode in env.finished:
            found.setdefault(episode.session, episode)
        env.finished.clear()
    return [found[session] for session in sorted(found)]


def interval(groups: list[F8], seed: int = 0, draws: int = 2000) -> dict[str, float]:
    """Mean with its 95 % interval: a bootstrap over groups (markets), then over the values in each (instruments)."""
    random = np.random.default_rng(seed)
    means = np.zeros(draws)
    for draw in range(draws):
        picked = [groups[k] for k in random.integers(0, len(groups), len(groups))]
        means[draw] = np.mean([np.mean(one[random.integers(0, len(one), len(one))]) for one in picked])
    low, high = np.quantile(means, (0.025, 0.975))
    return {"mean": float(np.mean([np.mean(one) for one in groups])), "low": float(low), "high": float(high)}


def mean_gain(seconds: Seconds, policy: Policy) -> float:
    """Of the policy as the engine lets it act, in basis points of a unit a session."""
    return 1e4 * float(np.mean([one.gain for one in played(seconds, policy, decides(policy))]))


def judged(markets: list[Seconds], policy: Policy) -> dict[str, dict[str, float]]:
    """Gains (basis points of a unit a session) of the policy and the simple rules, orders, and paired differences."""
    gains: dict[str, list[F8]] = {}
    found: dict[str, dict[str, float]] = {}
    for name, decide in {"policy": decides(policy), **RULES}.items():
        runs = [played(one, policy, decide) for one in markets]
        gains[name] = [np.array([1e4 * episode.gain for episode in run]) for run in runs]
        rows = sum(episode.rows for run in runs for episode in run)
        orders = sum(episode.orders for run in runs for episode in run)
        found[name] = interval(gains[name]) | {"orders_an_hour": 3600.0 * orders / rows, "turnover": orders / rows}
    for name in RULES:
        paired = [own - other for own, other in zip(gains["policy"], gains[name], strict=True)]
        found[f"policy less {name}"] = interval(paired)
    return found


def metrics(figures: Mapping[str, Mapping[str, Mapping[str, float]]]) -> dict[str, float]:
    """Figures of `judged`, by market, as a card has them."""
    found = {}
    for market, by_name in figures.items():
        for name, one in by_name.items():
            found[f"{market}: {name}, gain in bp of a unit a session"] = round(one["mean"], 3)
            if "turnover" in one:
                found[f"{market}: {name}, orders per 100 decisions"] = round(100.0 * one["turnover"], 4)
    return found
