"""Prioritised replay (Schaul et al. 2016, proportional) over a ring of steps; n-step returns are formed when drawn.

The ring keeps all lanes of one step side by side, in order of time, so that what follows a transition is found by its
place and needs no second buffer.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.ddqn.environment import F4, I8, Bools, Step
from tapewatch.kernels import kernel

F8 = npt.NDArray[np.float64]

_FLOOR = 1e-6
"""Added to every error, so that no transition's priority is nothing."""


class Batch(NamedTuple):
    """Transitions drawn.

    slots : int64[batch], places in the ring; states : float32[batch, inputs]; actions : int64[batch]
    returns : float32[batch], discounted rewards of up to n steps; next_states, next_masks : after them
    discounts : float32[batch], of what follows; 0 where the episode terminated
    weights : float32[batch], of importance sampling, the largest 1
    """

    slots: I8
    states: F4
    actions: I8
    returns: F4
    next_states: F4
    next_masks: Bools
    discounts: F4
    weights: F4


@kernel
def set_leaves(tree: F8, slots: I8, values: F8) -> None:
    """Set priorities and the sums above them. tree : float64[2 x leaves], its root at 1"""
    half = tree.shape[0] // 2
    for number in range(slots.shape[0]):
        node = half + slots[number]
        tree[node] = values[number]
        while node > 1:
            node //= 2
            tree[node] = tree[2 * node] + tree[2 * node + 1]


@kernel
def find_leaves(tree: F8, masses: F8, slots: I8) -> None:
    """The leaf into which each cumulative mass falls. masses : float64[batch], each below the root's sum"""
    half = tree.shape[0] // 2
    for number in range(masses.shape[0]):
        node, mass = 1, masses[number]
        while node < half:
            node *= 2
            if mass >= tree[node] and tree[node + 1] > 0.0:
                mass -= tree[node]
                node += 1
        slots[number] = node - half


class Replay:
    """The ring. capacity : transitions, rounded down to whole steps of all lanes; exponent : 0 draws uniformly"""

    def __init__(self, capacity: int, lanes: int, inputs: int, actions: int, exponent: float):
        self.lanes, self.exponent = lanes, exponent
        self.steps = max(capacity // lanes, 1)
        size = self.steps * lanes
        self.states = np.zeros((size, inputs), dtype=np.float32)
        self.next_states = np.zeros((size, inputs), dtype=np.float32)
        self.next_masks = np.zeros((size, actions), dtype=np.bool_)
        self.actions = np.zeros(size, dtype=np.int64)
        self.rewards = np.zeros(size, dtype=np.float32)
        self.terminated = np.zeros(size, dtype=np.bool_)
        self.ended = np.zeros(size, dtype=np.bool_)
        self.tree = np.zeros(2 * (1 << (size - 1).bit_length()))
        self.added = 0
        self.largest = 1.0

    def __len__(self) -> int:
        return min(self.added, self.steps) * self.lanes

    def arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """All arrays by name, to be written to a checkpoint or filled from one."""
        names = ("states", "next_states", "next_masks", "actions", "rewards", "terminated", "ended", "tree")
        return {name: getattr(self, name) for name in names}

    def add(self, states: F4, actions: I8, step: Step) -> None:
        """Keep one step of all lanes, at the highest priority seen. states : what was decided on"""
        first = (self.added % self.steps) * self.lanes
        at = slice(first, first + self.lanes)
        self.states[at], self.actions[at], self.rewards[at] = states, actions, step.rewards
        self.next_states[at], self.next_masks[at] = step.next_states, step.next_masks
        self.terminated[at] = step.terminated
        self.ended[at] = step.terminated | step.truncated
        set_leaves(self.tree, np.arange(first, first + self.lanes), np.full(self.lanes, self.largest))
        self.added += 1

    def draw(self, count: int, n_step: int, gamma: float, beta: float, random: np.random.Generator) -> Batch:
        """`count` transitions, one of each equal part of all priority. beta : how far weights undo the priorities"""
        total = self.tree[1]
        masses = (np.arange(count) + random.random(count)) * (total / count)
        slots = np.empty(count, dtype=np.int64)
        find_leaves(self.tree, np.minimum(masses, np.nextafter(total, 0.0)), slots)
        chance = self.tree[len(self.tree) // 2 + slots] / total
        weights = (len(self) * chance) ** -beta
        returns, last, discounts = self._ahead(slots, n_step, gamma)
        return Batch(
            slots,
            self.states[slots],
            self.actions[slots],
            returns,
            self.next_states[last],
            self.next_masks[last],
            discounts,
            (weights / weights.max()).astype(np.float32),
        )

    def _ahead(self, slots: I8, n_step: int, gamma: float) -> tuple[F4, I8, F4]:
        """Discounted rewards, the last transition of each, and the discount after it.

        A walk stops at its episode's end and at the newest step: fewer steps are as good an estimate.
        """
        later = ((self.added - 1) % self.steps - slots // self.lanes) % self.steps
        returns, last = self.rewards[slots].astype(np.float64), slots.copy()
        reach = np.full(len(slots), gamma)
        for number in range(1, n_step):
            going = ~self.ended[last] & (later >= number)
            last = np.where(going, (last + self.lanes) % len(self.ended), last)
            returns += np.where(going, reach * self.rewards[last], 0.0)
            reach = np.where(going, reach * gamma, reach)
        return returns.astype(np.float32), last, np.where(self.terminated[last], 0.0, reach).astype(np.float32)

    def reprioritise(self, slots: I8, errors: F4) -> None:
        """Set the priorities of what was learnt from. errors : float32[batch], temporal differences"""
        values = (np.abs(errors).astype(np.float64) + _FLOOR) ** self.exponent
        self.largest = max(self.largest, float(values.max()))
        set_leaves(self.tree, slots, values)
