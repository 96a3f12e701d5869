"""Signals from what a policy did: its action, the values it chose by, and what it can be recomputed from."""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from detectors.ddqn.lanes import ACTIONS, BUY, HOLD, SELL
from streams.engine.models import ActiveModels
from streams.engine.policy import DDQN, PLACES
from tapewatch.contract.messages import Cause, Signal, stable_id, to_rfc3339

_NAMES: tuple[Any, ...] = ACTIONS
_time = lru_cache(maxsize=64)(to_rfc3339)


def size_of(action: int, held: float, advantage: float, margin: float) -> float | None:
    """The size hint: all of a position that is closed, else the more the better an action is than holding, 0.5 at the
    margin and towards 1 beyond; None for a cancel.
    """
    if action not in (BUY, SELL):
        return None
    if held != 0.0:
        return 1.0
    return round(advantage / (advantage + margin), 3) if advantage + margin > 0.0 else 1.0


def build_signal(
    keys: npt.NDArray[np.int64],
    values: npt.NDArray[np.float64],
    names: Sequence[str],
    where: tuple[str, int],
    force: ActiveModels,
    build: str,
) -> Signal:
    """The message of one action.

    keys : int64[5], values : float64[SIGNAL_VALUES], as streams.engine.output.Output documents; where : topic and
    partition
    """
    slot, ts, offset, action, which = keys.tolist()
    held, price, *q = values.tolist()
    advantage = q[action] - q[HOLD]
    return Signal(
        id=stable_id(PLACES[which], names[slot], ts),
        instrument=names[slot],
        ts=_time(ts),
        policy=DDQN,
        model=force.models[PLACES[which]],
        action=_NAMES[action],
        q_values={name: None if math.isnan(value) else value for name, value in zip(ACTIONS, q, strict=True)},
        advantage=advantage,
        price=None if math.isnan(price) else price,
        size=size_of(action, held, advantage, force.config.policy.margin),
        position=held,
        cause=Cause(where[0], where[1], offset),
        build=build,
    )
