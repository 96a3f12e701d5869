"""The trading environment as a Gymnasium vector environment; gymnasium is in the `train` extra."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np

from detectors.ddqn.environment import I8
from detectors.ddqn.trading import TradingEnvironment
from tapewatch.errors import TapewatchError


def vector_env(trading: TradingEnvironment) -> Any:
    """A `gymnasium.vector.VectorEnv` over the lanes. TapewatchError where gymnasium is not installed.

    `info["action_mask"]` holds what may be done next. Lanes whose episode ended begin a new one in the same step
    (AutoresetMode.SAME_STEP): `info["final_obs"]` and `info["_final_obs"]` say what they ended with, and where.
    """
    try:
        gymnasium = import_module("gymnasium")
    except ImportError:
        raise TapewatchError(
            "gymnasium is not installed", "Install the extra: pip install 'tapewatch[train]'."
        ) from None
    spaces = gymnasium.spaces
    single, action = spaces.Box(-np.inf, np.inf, (trading.inputs,), np.float32), spaces.Discrete(trading.actions)
    members: Mapping[str, Any] = {
        "num_envs": trading.lanes,
        "single_observation_space": single,
        "single_action_space": action,
        "observation_space": spaces.Box(-np.inf, np.inf, (trading.lanes, trading.inputs), np.float32),
        "action_space": spaces.MultiDiscrete(np.full(trading.lanes, trading.actions)),
        "metadata": {"autoreset_mode": gymnasium.vector.AutoresetMode.SAME_STEP},
        "reset": _reset,
        "step": _step,
        "trading": trading,
    }
    return type("TradingVectorEnv", (gymnasium.vector.VectorEnv,), dict(members))()


def _reset(self: Any, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
    states, masks = self.trading.reset(0 if seed is None else seed)
    return states, {"action_mask": masks}


def _step(self: Any, actions: I8) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
    found = self.trading.step(np.asarray(actions, dtype=np.int64))
    ended = found.terminated | found.truncated
    info: dict[str, Any] = {"action_mask": found.masks}
    if ended.any():
        info |= {"final_obs": found.next_states, "_final_obs": ended}
    return found.states, found.rewards, found.terminated, found.truncated, info
