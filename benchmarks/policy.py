"""A policy to measure with where none is shipped: random weights, of the usual size."""

import numpy as np

from detectors.ddqn.lanes import ACTIONS
from detectors.ddqn.model import Card, Policy, PolicyMetadata
from detectors.ddqn.virtual import ENVIRONMENT, PRIVATE
from streams.engine.features import NAMES

FEATURES, HIDDEN = 18, 32


def stand_in(seed: int = 1) -> Policy:
    """Two layers of 32 units over the first 18 features and what a policy sees of itself."""
    rng, inputs = np.random.default_rng(seed), FEATURES + len(PRIVATE)
    shapes = {
        "w1": (HIDDEN, inputs), "b1": (HIDDEN,), "w2": (HIDDEN, HIDDEN), "b2": (HIDDEN,),
        "w": (len(ACTIONS), HIDDEN), "b": (len(ACTIONS),),
    }  # fmt: skip
    arrays = {name: (rng.normal(size=shape) / 6.0).astype(np.float32) for name, shape in shapes.items()}
    arrays |= {"center": np.zeros(FEATURES, dtype=np.float32), "scale": np.ones(FEATURES, dtype=np.float32)}
    card = Card(seed=seed, limits="Random weights: for measuring time alone.")
    return Policy(PolicyMetadata(ENVIRONMENT, (*NAMES[:FEATURES], *PRIVATE), ACTIONS, card), arrays)
