"""The trading environment as Gymnasium sees it, where gymnasium is installed, and what is said where it is not."""

from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from detectors.ddqn.gymnasium_env import vector_env
from detectors.ddqn.planted import planted
from detectors.ddqn.trading import Rules, TradingEnvironment
from tapewatch.errors import TapewatchError

INSTALLED = find_spec("gymnasium") is not None


def lanes() -> TradingEnvironment:
    return TradingEnvironment([planted(1, 60)], 4, Rules(starts="opening"))


@pytest.mark.skipif(INSTALLED, reason="gymnasium is installed")
def test_without_gymnasium_the_error_names_the_extra() -> None:
    with pytest.raises(TapewatchError, match="not installed"):
        vector_env(lanes())


@pytest.mark.skipif(not INSTALLED, reason="gymnasium is not installed (extra: train)")
def test_lanes_are_a_vector_environment_that_resets_itself_in_the_same_step() -> None:
    env: Any = vector_env(lanes())
    seen, info = env.reset(seed=3)
    assert env.observation_space.contains(seen)
    hold = np.zeros(4, dtype=np.int64)
    for _ in range(58):
        seen, rewards, terminated, truncated, info = env.step(hold)
        assert not terminated.any()
        assert not truncated.any()
    seen, rewards, terminated, truncated, info = env.step(hold)
    assert terminated.all()
    assert info["_final_obs"].all()
    assert np.all(info["final_obs"][:, -1] == 0.0)
    assert np.all(seen[:, -1] == 1.0)
    assert info["action_mask"].shape == (4, 5)
    assert not rewards.any()
