"""Small policies of random weights for the engine's tests, and settings under which they act often."""

from typing import Any

import numpy as np

from detectors.ddqn.lanes import ACTIONS
from detectors.ddqn.model import Card, Policy, PolicyMetadata
from detectors.ddqn.virtual import ENVIRONMENT, PRIVATE
from streams.engine.detector_config import DetectorConfig
from streams.engine.models import ActiveModels, ModelStore
from streams.engine.policy import DDQN, PolicySettings

FEATURES = ("ret_5s", "spread_bps", "ofi_1s", "depth_imb_1", "quote_rate_60s")
EAGER = PolicySettings(margin=0.01, wait_s=2.0, warm_s=5.0, shorting=True)


def made(seed: int, features: tuple[str, ...] = FEATURES, hidden: int = 8, **described: Any) -> Policy:
    """A policy of random weights over these features."""
    random, inputs = np.random.default_rng(seed), len(features) + len(PRIVATE)
    shapes = {"w1": (hidden, inputs), "b1": (hidden,), "w2": (hidden, hidden), "b2": (hidden,), "w": (5, hidden)}
    arrays = {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    arrays["b"] = np.zeros(len(ACTIONS), dtype=np.float32)
    arrays["center"] = random.normal(size=len(features)).astype(np.float32)
    arrays["scale"] = np.full(len(features), 0.5, dtype=np.float32)
    names = {"environment": ENVIRONMENT, "inputs": (*features, *PRIVATE), "actions": ACTIONS, **described}
    return Policy(PolicyMetadata(card=Card(seed=seed), **names), arrays)


def acting(
    policy: PolicySettings = EAGER, models: dict[str, Policy] | None = None, watch: bool = False
) -> ActiveModels:
    """Nothing in force but policies, by what they are promoted as; seed 1 as the one that acts unless told."""
    shelf, models = ModelStore(), models or {DDQN: made(1)}
    hashes = {name: shelf.put(model.encoded()) for name, model in models.items()}
    return ActiveModels(shelf, hashes, DetectorConfig(watch=watch, policy=policy))
