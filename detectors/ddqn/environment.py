"""What the learner asks of a world: several lanes that step together, masks of what may be done, and its state."""

from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

F4 = npt.NDArray[np.float32]
I8 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class Step(NamedTuple):
    """One step of every lane.

    states, masks : float32[lanes, inputs] and bool[lanes, actions], what to decide on next; a lane whose episode ended
        has begun a new one
    rewards : float32[lanes]
    terminated, truncated : bool[lanes]; an episode that is cut off by time is truncated, and worth what follows it
    next_states, next_masks : what the step led to, before a new episode began
    """

    states: F4
    masks: Bools
    rewards: F4
    terminated: Bools
    truncated: Bools
    next_states: F4
    next_masks: Bools


class Environment(Protocol):
    """A vectorised world after Gymnasium's contract, in arrays only."""

    lanes: int
    inputs: int
    actions: int

    def reset(self, seed: int) -> tuple[F4, Bools]:
        """Begin every lane anew, all chance drawn by `seed`: states and masks."""
        ...

    def step(self, actions: I8) -> Step:
        """Act in every lane. actions : int64[lanes], each allowed by the lane's mask."""
        ...


@runtime_checkable
class ResumableEnvironment(Environment, Protocol):
    """An environment whose state can be kept, so that learning in it can stop and go on."""

    def state(self) -> dict[str, Any]:
        """Everything that `restore` needs to go on from here, as JSON can hold it."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave."""
        ...
