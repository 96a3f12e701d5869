"""A Double DQN policy as the engine takes it: its settings, its network with the places of its inputs, its costs."""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from detectors.ddqn import virtual
from detectors.ddqn.lanes import ACTIONS
from detectors.ddqn.model import DETECTOR, SCALING, Policy
from detectors.ddqn.score import Network
from detectors.ddqn.virtual import PRIVATE
from detectors.trading.venues import rules_of
from streams.engine.features import NAMES
from tapewatch.bundles import Layout

F8 = npt.NDArray[np.float64]
F4 = npt.NDArray[np.float32]
I8 = npt.NDArray[np.int64]

DDQN, SHADOW = DETECTOR, f"{DETECTOR}.shadow"
"""What a policy is promoted as: the one that acts, and one that only says what it would do."""
PLACES = (DDQN, SHADOW)

WIDEST_INPUT, WIDEST_LAYER = 64, 128
MARGIN, WAIT, WARM = range(3)
"""Fields of the habits that kernels take, float64[3]."""


class PolicySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When the policy acts.

    on : whether it is run where one is in force
    margin : its value over that of holding from which an action is taken, in rewards (0.001 of a unit's value)
    wait_s : seconds from one action on an instrument to the next; warm_s : seconds an instrument is watched before the
    first, and after a gap
    cost_ppm : cost of the virtual position's fills, millionths a side; without it the venue's fee and tax
    shorting : whether it may be short everywhere; otherwise where the venue's rules allow it
    """

    on: bool = True
    margin: float = 0.1
    wait_s: float = 10.0
    warm_s: float = 60.0
    cost_ppm: float | None = None
    shorting: bool = False

    def problem(self) -> str:
        """Which value is negative or no number; empty where none is."""
        found = {name: value for name, value in msgspec.to_builtins(self).items() if value is not None}
        wrong = [name for name, value in found.items() if not 0.0 <= value < np.inf]
        return f"policy.{wrong[0]} is {found[wrong[0]]}" if wrong else ""

    def habits(self) -> F8:
        """For the kernels."""
        return np.array([self.margin, self.wait_s, self.warm_s])

    def terms(self, instruments: Sequence[str], kinds: Sequence[str]) -> F8:
        """Cost of buying, cost of selling (shares of the value), and 1 where short sales are allowed: float64[n, 3].

        kinds : classes of the instruments, as reference data says
        """
        found = [self._terms(name.rpartition(".")[2], kind) for name, kind in zip(instruments, kinds, strict=True)]
        return np.array(found, dtype=np.float64).reshape(-1, 3)

    def _terms(self, venue: str, kind: str) -> tuple[float, float, float]:
        buying, selling, shorting = _of_venue(venue, kind)
        if self.cost_ppm is not None:
            buying = selling = self.cost_ppm / 1e6
        return buying, selling, float(shorting or self.shorting)


@cache
def _of_venue(venue: str, kind: str) -> tuple[float, float, bool]:
    """What the venue's rules say of instruments of a class."""
    rules = rules_of(f".{venue}", kind)
    return rules.taker_ppm / 1e6, (rules.taker_ppm + rules.sell_tax_ppm) / 1e6, rules.shorting


class Player(NamedTuple):
    """A policy as kernels take it. columns : int64[n], places of its features; center, scale : float32[n], of each"""

    network: Network
    columns: I8
    center: F4
    scale: F4


_PLANE, _LINE = np.zeros((0, 0), dtype=np.float32), np.zeros(0, dtype=np.float32)
PLAYER = Layout(Player(Network(_PLANE, _LINE, _PLANE, _LINE, _PLANE, _LINE), np.zeros(0, dtype=np.int64), _LINE, _LINE))
"""How kernels are handed a policy: only the one that asks it opens it."""


def no_players() -> I8:
    """Words of all policies, int64[PLACES, words], where none is in force: zeros."""
    return np.zeros((len(PLACES), len(PLAYER.bundle(PLAYER.example).words)), dtype=np.int64)


def player(policy: Policy) -> Player:
    """A policy of which `problem` says nothing."""
    columns = [NAMES.index(name) for name in policy.described.inputs[: -len(PRIVATE)]]
    center, scale = (np.ascontiguousarray(policy.arrays[name]) for name in SCALING)
    return Player(policy.network(), np.array(columns, dtype=np.int64), center, scale)


def problem(policy: Policy) -> str:
    """Why the engine cannot take a policy; empty where it can."""
    described, arrays = policy.described, policy.arrays
    if policy.problem():
        return policy.problem()
    if described.environment != virtual.ENVIRONMENT:
        return f"it was learnt in the environment {described.environment!r}, not in {virtual.ENVIRONMENT!r}"
    features = described.inputs[: -len(PRIVATE)]
    unknown = [name for name in features if name not in NAMES]
    if described.actions != ACTIONS or described.inputs[-len(PRIVATE) :] != PRIVATE or unknown:
        return f"no such input: {', '.join(unknown)}" if unknown else f"it must end with {', '.join(PRIVATE)}"
    if not all(name in arrays for name in SCALING):
        return "it does not say how features are scaled"
    if len(described.inputs) > WIDEST_INPUT or max(len(arrays["b1"]), len(arrays["b2"])) > WIDEST_LAYER:
        return f"it has more than {WIDEST_INPUT} inputs or {WIDEST_LAYER} units in a layer"
    return ""
